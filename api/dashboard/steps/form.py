"""A form for the body of an operation: it reads what was typed, and shows what the API finds wrong at the field it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import text
from api.dashboard.refusals import refusal
from api.dashboard.steps.document import Operation
from api.dashboard.steps.entries import MISSING, Choices, Context
from api.dashboard.steps.fields import Field, Shape
from api.dashboard.steps.nested import entry
from api.dashboard.telling import why
from api.dashboard.visitor import Visitor

_REASON: Final = "reason"
"""The field every step has; it stands last."""


class Form:
    """The inputs of an operation, placed where one is. `hidden` fields are sent as `initial` has them."""

    def __init__(
        self,
        visitor: Visitor,
        of: str,
        operation: Operation,
        *,
        choices: Choices | None = None,
        initial: Mapping[str, Any] | None = None,
        hidden: Sequence[str] = (),
    ) -> None:
        self._visitor = visitor
        self._fixed = {name: (initial or {})[name] for name in hidden}
        context = Context(visitor, of, choices or {})
        fields = [one for one in _ordered(operation) if one.name not in hidden]
        with ui.element("div").classes("step-form"):
            self.entries = {one.name: entry(one, context.within(one.name)) for one in fields}
            if fields:
                is_any = any(one.required for one in fields)
                text("p", visitor.t("* is needed.") if is_any else visitor.t("May be left empty."), "needed wide")
        self._alert = text("div", "", "form-alert").props("role=alert")
        for name, made in self.entries.items():
            made.set((initial or {}).get(name))

    def read(self, *, whole: bool = True) -> dict[str, Any] | None:
        """What is to be sent; None when something is missing or wrong, which is then said where it is.

        What is needed may still be missing when it is not the `whole`, as in a draft.
        """
        self._alert.set_content("")
        wrong = [made for made in self.entries.values() if not made.check(whole=whole)]
        if wrong:
            self._go_to_wrong()
            return None
        typed = {name: sent for name, made in self.entries.items() if (sent := made.value()) is not MISSING}
        return {**typed, **self._fixed}

    def read_one(self, name: str) -> Any:
        """What one field would send; None when that is nothing, or nothing that can be sent."""
        try:
            sent = self.entries[name].value()
        except ValueError:
            return None
        return None if sent is MISSING else sent

    def show(self, record: Mapping[str, Any]) -> None:
        """Show what a record says in the fields of its names."""
        for name, made in self.entries.items():
            if name in record:
                made.set(record[name])

    def complain(self, refused: Refused) -> None:
        """Say what the API found wrong: at the fields it names, and the rest above the buttons."""
        placed = [self._place(one["where"], one["reason"]) for one in refused.errors]
        if not placed or not all(placed):
            self.say(why(self._visitor, refused))
        self._go_to_wrong()

    def say(self, message: str) -> None:
        """Say something above the buttons, where screen readers hear it."""
        self.tell([escape(line) for line in message.splitlines()])

    def tell(self, lines: Sequence[str]) -> None:
        """As `say`, of lines that are HTML."""
        self._alert.set_content("".join(f"<p>{line}</p>" for line in lines))

    def _place(self, where: str, reason: str) -> bool:
        place, *path = where.removeprefix("body").lstrip(".").split(".")
        found = self.entries.get(place)
        return found is not None and found.complain(path, refusal(self._visitor.t, reason))

    def _go_to_wrong(self) -> None:
        for made in self.entries.values():
            if wrong := made.first_wrong():
                wrong.focus()
                return


def _ordered(operation: Operation) -> list[Field]:
    last = [one for one in operation.fields if one.name == _REASON]
    needed = [replace(one, required=one.required or operation.needs_reason, shape=Shape.LONG_TEXT) for one in last]
    return [one for one in operation.fields if one.name != _REASON] + needed
