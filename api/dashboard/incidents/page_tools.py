"""What can be done around an incident beside its steps: watch it, take its evidence out, begin a case about it, ask threat lists."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.elements import text
from api.dashboard.incidents import around
from api.dashboard.incidents.dialogs import Ask
from api.dashboard.incidents.rows import person
from api.dashboard.steps.bar import Subject
from api.dashboard.telling import done, telling
from api.dashboard.visitor import Visitor
from core.permissions import Action

_SAID: Final = frozenset({"assess", "mark", "rate"})


def known_already(subject: Subject, action: str) -> Mapping[str, Any]:
    """What the form of a step begins with: names of people without the kind they are."""
    record = subject.record
    if action == "assign":
        return {"assignee": person(record["assignee"])}
    if action == "restrict":
        return {"members": [person(one) for one in record["members"]]}
    return {**record, "reason": ""} if action in _SAID else {}


class Tools:
    """The buttons that always stand there."""

    def __init__(self, visitor: Visitor, number: str, changed: Callable[[], Awaitable[None]]) -> None:
        self._visitor, self._number, self._changed = visitor, number, changed
        self._path = f"/v1/incidents/{number}"
        self._watches = False
        t = visitor.t
        with ui.element("div").classes("incident-tools"):
            self._watch = ui.button(t("Watch"), color=None, icon="visibility", on_click=self._toggle).props("flat dense no-caps")
            if visitor.principal.may(Action.EVIDENCE_EXPORT):
                ui.button(t("Take the evidence out"), color=None, icon="inventory_2", on_click=self._ask_bundle).props("flat dense no-caps")
            said = f'<button class="tool" type="button" data-keys>{escape(t("Keys"))} <kbd>?</kbd></button>'
            ui.html(said, tag="span", sanitize=False).classes("end")

    def show(self, detail: Mapping[str, Any]) -> None:
        """Say whether the visitor watches it."""
        self._watches = self._visitor.principal.actor in detail["watchers"]
        t = self._visitor.t
        self._watch.set_text(t("Stop watching") if self._watches else t("Watch"))

    async def _toggle(self) -> None:
        with telling(self._visitor):
            act = self._visitor.api.delete if self._watches else self._visitor.api.put
            await act(f"{self._path}/watch")
            done(self._visitor.t("You are told no more.") if self._watches else self._visitor.t("You are told what happens to it."))
            await self._changed()

    def _ask_bundle(self) -> None:
        t = self._visitor.t
        note = t("A signed file with raw lines, rules and what was done. Who takes it, and why, stands in the audit trail.")
        Ask(self._visitor, t("Take the evidence out"), t("Download"), self._bundle, note).reason(t("Why"))

    async def _bundle(self, typed: Mapping[str, Any]) -> None:
        with telling(self._visitor):
            answer = await self._visitor.api.post(f"{self._path}/evidence-bundle", {"reason": typed["reason"]})
            ui.download(answer.body, f"{self._number}.evidence.zip", "application/zip")
            await self._changed()


def making_links(visitor: Visitor, number: str) -> None:
    """Links that begin a case about the incident, for what the visitor may begin."""
    links = "".join(
        f'<a class="tool" href="{escape(href, quote=True)}">{escape(visitor.t("New: {kind}", kind=name))}</a>'
        for href, name in around.makings(visitor, number)
    )
    if links:
        ui.html(links, sanitize=False).classes("makings")


async def show_known(visitor: Visitor, value: str) -> None:
    """Ask what indicators say of a value, and show it."""
    t = visitor.t
    with telling(visitor):
        known = (await visitor.api.get("/v1/indicators", value=value)).body["items"]
        title = t("What threat lists know of {value}", value=value)
        with ui.dialog(value=True).props("transition-duration=0") as dialog, ui.element("div").classes("sheet"):
            dialog.props["aria-label"] = title
            text("h2", title)
            ui.html(around.known_html(visitor, known), sanitize=False)
            with ui.element("div").classes("sheet-end"):
                ui.button(t("Close"), color=None, on_click=dialog.close).props("unelevated no-caps autofocus").classes("primary")
        dialog.on("hide", dialog.delete)
