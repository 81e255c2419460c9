"""The inputs of a form, one for each shape of a field. Times are typed and shown in KST and sent in UTC.

An entry that holds nothing sends nothing, unless it is needed, or held something before: then it sends that there is nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from nicegui import ui

from api.dashboard.steps.fields import Field, Shape
from api.dashboard.steps.names import field_name, hint, value_name
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor
from core.clock import KST

MISSING: Final = object()
"""What an entry sends that sends nothing."""
MANY_OPTIONS: Final = 10
"""From so many options on one may type to find one."""
_MINUTE: Final = "%Y-%m-%dT%H:%M"
_BOX: Final = "outlined dense hide-bottom-space"

Choices = Mapping[str, Mapping[Any, str]]
"""What may be chosen, by the path of the field without places (`people.role`): the values and how they are called."""


@dataclass(frozen=True, slots=True)
class Context:
    """What entries need to know. `of` is the machine whose words are used, `path` where the field stands."""

    visitor: Visitor
    of: str
    choices: Choices
    path: str = ""

    def within(self, name: str) -> Context:
        """The context of a part."""
        return replace(self, path=f"{self.path}.{name}" if self.path else name)


class Entry:
    """An input of one value. Subclasses give `_typed`, `_show` and the element."""

    element: Any

    def __init__(self, field: Field, context: Context) -> None:
        self.field, self.context, self.t = field, context, context.visitor.t
        self._had = False

    @property
    def label(self) -> str:
        """What stands at the input; a star marks what is needed."""
        name = field_name(self.t, self.context.of, self.field.name)
        zone = f" ({self.t('KST')})" if self.field.shape is Shape.TIME else ""
        return f"{name}{zone}{' *' if self.field.required else ''}"

    def finish(self, element: Any, *, hinted: bool = True) -> None:
        """Take `element` as the input."""
        self.element = element
        told = hint(self.t, self.context.of, self.field.name, required=self.field.required)
        if told and hinted:
            element.props["hint"] = told
        element.on_value_change(self._clear)

    def set(self, value: Any) -> None:
        """Show what there is already."""
        self._had = value not in (None, "", [], {})
        if self._had:
            self._show(value)

    def value(self) -> Any:
        """What is sent, or MISSING."""
        typed = self._typed()
        if typed is not MISSING:
            return typed
        return self.field.empty if self._had else MISSING

    def check(self, *, whole: bool = True) -> bool:
        """Whether this can be sent; says at the input what is wrong. What is needed may be missing when it is not the `whole`."""
        wrong = "" if not whole and self._is_empty() else self._wrong()
        if wrong:
            self.complain((), wrong)
        return not wrong

    def _is_empty(self) -> bool:
        try:
            return self._typed() is MISSING
        except ValueError:
            return False

    def complain(self, _path: Sequence[str], reason: str) -> bool:
        """Say at the input what is wrong with it."""
        self.element.error = reason
        return True

    def focus(self) -> None:
        """Go there."""
        self.element.run_method("focus")

    def first_wrong(self) -> Entry | None:
        """The first input that complains."""
        return self if getattr(self.element, "error", None) else None

    def _clear(self) -> None:
        if self.element.error:
            self.element.error = None

    def _wrong(self) -> str:
        needed = self.field.required and self._typed() is MISSING
        return self.t("This is needed.") if needed else ""

    def _typed(self) -> Any:
        raise NotImplementedError

    def _show(self, value: Any) -> None:
        self.element.value = value


class TextEntry(Entry):
    """A line, or a text of several."""

    def __init__(self, field: Field, context: Context) -> None:
        super().__init__(field, context)
        long = field.shape is Shape.LONG_TEXT
        element = ui.textarea(self.label).props(f"{_BOX} autogrow rows=3") if long else ui.input(self.label).props(_BOX)
        if field.most is not None:
            element.props["maxlength"] = field.most
        self.finish(element.classes("wide" if long else ""))

    def _typed(self) -> Any:
        return (self.element.value or "").strip() or MISSING

    def _wrong(self) -> str:
        typed = self._typed()
        if typed is MISSING:
            return super()._wrong()
        if self.field.most is not None and len(typed) > self.field.most:
            return self.t("At most {most} characters.", most=number(self.field.most))
        if self.field.pattern and not re.search(self.field.pattern, typed):
            return self.t("This is not written as it has to be.")
        return ""


class TimeEntry(Entry):
    """A moment, to the minute."""

    def __init__(self, field: Field, context: Context) -> None:
        super().__init__(field, context)
        element = ui.input(self.label).props(f"{_BOX} type=datetime-local stack-label")
        with element.add_slot("append"):
            now = ui.button(icon="schedule", on_click=self._now, color=None).props("flat dense round")
            now.props["aria-label"] = self.t("Now")
        self.finish(element)

    def _now(self) -> None:
        self._show(self.context.visitor.centre.clock.now().isoformat())

    def _show(self, value: Any) -> None:
        self.element.value = datetime.fromisoformat(value).astimezone(KST).strftime(_MINUTE)

    def _typed(self) -> Any:
        typed = self.element.value
        return moment(typed).isoformat() if typed else MISSING

    def _wrong(self) -> str:
        try:
            return super()._wrong()
        except ValueError:
            return self.t("This is no time.")


def moment(typed: str) -> datetime:
    """A time as it is typed (KST, without zone), in UTC. ValueError when it is none."""
    return datetime.fromisoformat(typed).replace(tzinfo=KST).astimezone(UTC)


class IntegerEntry(Entry):
    """A whole number."""

    def __init__(self, field: Field, context: Context) -> None:
        super().__init__(field, context)
        self.finish(ui.input(self.label).props(f"{_BOX} type=number step=1 inputmode=numeric"))

    def _show(self, value: Any) -> None:
        self.element.value = str(value)

    def _typed(self) -> Any:
        typed = str(self.element.value or "").strip()
        return int(typed) if typed else MISSING

    def _wrong(self) -> str:
        try:
            typed = self._typed()
        except ValueError:
            return self.t("This is no whole number.")
        if typed is MISSING:
            return super()._wrong()
        least, most = self.field.least, self.field.most
        if least is not None and typed < least:
            return self.t("At least {least}.", least=number(least))
        if most is not None and typed > most:
            return self.t("At most {most}.", most=number(most))
        return ""


class ChoiceEntry(Entry):
    """One of a set, or several. '' among the options is an answer where one is needed (nobody); elsewhere nothing chosen says the same."""

    def __init__(self, field: Field, context: Context, options: Mapping[Any, str], *, several: bool = False) -> None:
        super().__init__(field, context)
        self._several = several
        self._options = {value: called for value, called in options.items() if value != "" or field.required}
        find = len(self._options) >= MANY_OPTIONS
        chosen = field.default if isinstance(field.default, (str, int)) and field.default in self._options else None
        clearable = not field.required and chosen is None
        element = ui.select(self._options, label=self.label, multiple=several, with_input=find, clearable=clearable)
        element.props(f"{_BOX} options-dense behavior=menu{' use-chips' if several else ''}")
        if chosen is not None:
            element.value = chosen
        self.finish(element.classes("wide" if several else ""))

    def _show(self, value: Any) -> None:
        for one in value if self._several else [value]:
            self._options.setdefault(one, str(one))
        self.element.set_options(self._options, value=value)

    def _typed(self) -> Any:
        typed = self.element.value
        return MISSING if typed is None or typed == [] else typed


class TristateEntry(ChoiceEntry):
    """Yes, no, or not known."""

    def __init__(self, field: Field, context: Context) -> None:
        t = context.visitor.t
        super().__init__(field, context, {"yes": t("Yes"), "no": t("No")})

    def _show(self, value: Any) -> None:
        self.element.value = "yes" if value else "no"

    def set(self, value: Any) -> None:
        """Show what there is already; no is something, too."""
        self._had = value is not None
        if self._had:
            self._show(value)

    def _typed(self) -> Any:
        return {"yes": True, "no": False}.get(self.element.value, MISSING)


class FlagEntry(Entry):
    """Yes or no."""

    def __init__(self, field: Field, context: Context) -> None:
        super().__init__(field, context)
        self.element = ui.checkbox(self.label.removesuffix(" *"), value=bool(field.default)).classes("flag")
        told = hint(self.t, context.of, field.name, required=field.required)
        if told:
            self.element.tooltip(told)

    def set(self, value: Any) -> None:
        """Show what there is already."""
        if value is not None:
            self.element.value = bool(value)

    def check(self, *, whole: bool = True) -> bool:  # noqa: ARG002 - as the others
        """A flag is always one or the other."""
        return True

    def complain(self, _path: Sequence[str], _reason: str) -> bool:
        """A checkbox has no place for it."""
        return False

    def first_wrong(self) -> Entry | None:
        """Never this one."""
        return None

    def _typed(self) -> Any:
        return bool(self.element.value)


def words_of(field: Field, context: Context) -> Mapping[Any, str] | None:
    """What may be chosen for a field; None when anything may be typed."""
    given = context.choices.get(context.path)
    if given is not None:
        return given
    if field.shape is Shape.CHOICE:
        return {word: value_name(context.visitor.t, field.name, word) for word in field.words}
    return None
