"""The dialog of one step or creation: what it is and which article it carries out, its form, and what came of sending it.

Whoever was slower than somebody else is told what changed, keeps what was typed, and may send it again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.client import Answer, Refused
from api.dashboard.elements import text, time_html
from api.dashboard.steps.document import Operation
from api.dashboard.steps.entries import Choices
from api.dashboard.steps.form import Form
from api.dashboard.steps.names import actor_name, field_name, law_name, state_name, step_name
from api.dashboard.telling import done
from api.dashboard.visitor import Visitor

_SLOWER: Final = (409, 412)
_NOT_TOLD: Final = frozenset({"version", "updated_at", "progress", "state"})


def itself(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is read is the record."""
    return record


@dataclass(frozen=True, slots=True)
class Deed:
    """What is to be done: sending the form of `operation` to `path`.

    `of` is the machine whose words are used. `etag` is that of the record as it was `seen`, `read` the path to see it anew, and `pick`
    takes the record out of what is read there.
    """

    title: str
    button: str
    of: str
    operation: Operation
    path: str
    after: Callable[[Answer], Awaitable[None]]
    about: str = ""
    etag: str = ""
    read: str = ""
    pick: Callable[[Mapping[str, Any]], Mapping[str, Any]] = itself
    seen: Mapping[str, Any] = field(default_factory=dict)
    choices: Choices = field(default_factory=dict)
    initial: Mapping[str, Any] = field(default_factory=dict)
    hidden: Sequence[str] = ()
    dangerous: bool = False


class DeedDialog:
    """An open dialog; it goes when the deed is done or given up."""

    def __init__(self, visitor: Visitor, deed: Deed) -> None:
        self._visitor, self._deed, self._etag, self._seen = visitor, deed, deed.etag, deed.seen
        t = visitor.t
        with (
            ui.context.client.content,  # not where the button stands: that may be built anew meanwhile
            ui.dialog(value=True).props("no-backdrop-dismiss") as self._dialog,
            ui.element("div").classes("sheet"),
        ):
            self._dialog.props["aria-label"] = deed.title
            text("h2", deed.title)
            self._explain()
            self._form = Form(visitor, deed.of, deed.operation, choices=deed.choices, initial=deed.initial, hidden=deed.hidden)
            with ui.element("div").classes("sheet-end"):
                ui.button(t("Cancel"), on_click=self._dialog.close, color=None).props("flat no-caps").classes("cancel")
                kind = "danger" if deed.dangerous else "primary"
                self._send_button = ui.button(deed.button, on_click=self._send, color=None).props("unelevated no-caps").classes(kind)
        self._dialog.on("hide", self._dialog.delete)

    def _explain(self) -> None:
        t, operation = self._visitor.t, self._deed.operation
        if self._deed.about:
            text("p", self._deed.about, "about")
        told = []
        if operation.to:
            told.append(t("Afterwards: {state}", state=state_name(t, operation.machine, operation.to)))
        if operation.law:
            told.append(law_name(t, operation.law))
        if told:
            text("p", " · ".join(told), "soft")

    async def _send(self) -> None:
        body = self._form.read()
        if body is None:
            return
        self._send_button.disable()
        try:
            answer = await self._visitor.api.post(self._deed.path, body, etag=self._etag)
        except Refused as refused:
            await self._refused(refused)
        else:
            with ui.context.client.content:  # the dialog is gone before what follows has ended
                self._dialog.close()
                done(self._visitor.t("Done: {what}", what=self._deed.title))
                await self._deed.after(answer)
        finally:
            if not self._send_button.is_deleted:
                self._send_button.enable()

    async def _refused(self, refused: Refused) -> None:
        if refused.status == 401:
            ui.navigate.to(self._visitor.login_url)
        elif refused.status in _SLOWER and self._deed.read:
            await self._look_again(refused)
        else:
            self._form.complain(refused)

    async def _look_again(self, refused: Refused) -> None:
        """Tell what changed since the record was seen; what was typed stays and can be sent again."""
        try:
            now = self._deed.pick((await self._visitor.api.get(self._deed.read)).body)
        except Refused as missing:
            self._form.complain(missing)
            return
        if now["version"] == self._seen["version"]:
            self._form.complain(refused)  # nobody was faster: the step is not possible for another reason
            return
        t = self._visitor.t
        lines = [escape(t("It was changed meanwhile. What you typed is still here.")), *self._changes(now)]
        self._etag, self._seen = etag_of(now), now
        if self._deed.operation.action not in now.get("progress", {}).get("steps", [self._deed.operation.action]):
            lines.append(escape(t("This step does not exist any more.")))
        else:
            lines.append(escape(t("If it still holds, send it again.")))
        self._form.tell(lines)

    def _changes(self, now: Mapping[str, Any]) -> list[str]:
        """What became different since the record was seen, as lines of HTML."""
        t, before = self._visitor.t, self._seen
        seen = len(before.get("progress", {}).get("history", []))
        did = [
            f"{time_html(one['at'])} {escape(actor_name(t, one['actor']))}: {escape(step_name(t, self._deed.of, one['action']))}"
            for one in now.get("progress", {}).get("history", [])[seen:]
        ]
        differs = [field_name(t, self._deed.of, name) for name in now if name not in _NOT_TOLD and now[name] != before.get(name)]
        return did + ([escape(t("Changed: {fields}", fields=", ".join(differs)))] if differs else [])


def etag_of(record: Mapping[str, Any]) -> str:
    """The ETag of a record as it was read."""
    return f'"{record["version"]}"'
