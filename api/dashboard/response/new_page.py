"""Making a case: the form of its creation, on a page of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import empty, panel, text
from api.dashboard.frame import frame
from api.dashboard.response import lookups
from api.dashboard.response.kinds import BY_NAME, READY_SECONDS, CaseKind, Creation
from api.dashboard.response.list_page import back, missing, told
from api.dashboard.steps.document import Operation, document
from api.dashboard.steps.entries import Choices
from api.dashboard.steps.form import Form
from api.dashboard.visitor import Visitor


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/response/{kind}/new", response_timeout=READY_SECONDS)
    async def new(request: Request, kind: str, incident: str = "") -> None:
        visitor = await Visitor.of(request)
        found = BY_NAME.get(kind)
        if found is None:
            missing(visitor)
            return
        creation = found.creation(visitor.principal)
        if creation is None:
            forbidden(visitor, found)
            return
        try:
            operation = (await document()).operation(creation.path)
            names = await lookups.named(visitor, kind)
            choices = {**lookups.common(visitor, names), **await about(visitor, creation)}
        except Refused as refused:
            told(visitor, found, refused)
        else:
            NewPage(visitor, found, creation, operation, choices, incident)


async def about(visitor: Visitor, creation: Creation) -> Choices:
    """The incidents a case may be about, as its field wants them named."""
    if not creation.about:
        return {}
    known = await lookups.incidents(visitor)
    return {creation.about: {named_as(creation, number): label for number, label in known.items()}}


def named_as(creation: Creation, incident: str) -> str:
    """How the field of a creation names an incident."""
    with_kind = creation.about == "about" and creation.path != "/v1/personal-cases"
    return f"incident/{incident}" if with_kind else incident


def forbidden(visitor: Visitor, kind: CaseKind) -> None:
    """Who may not make one is told so."""
    t = visitor.t
    with frame(visitor, t.word("kind", kind.name)):
        back(visitor, f"/response/{kind.name}", t.word("kind", kind.name))
        with ui.element("section").classes("panel"):
            empty(t("This role does not write this."), t("Ask the SOC lead if you need it."))


class NewPage:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, kind: CaseKind, creation: Creation, operation: Operation, choices: Choices, incident: str) -> None:
        self._visitor, self._kind, self._creation = visitor, kind, creation
        t, name = visitor.t, visitor.t.word("kind", kind.name)
        title = t("New: {kind}", kind=name)
        with frame(visitor, title):
            back(visitor, f"/response/{kind.name}", name)
            with ui.element("div").classes("page-head"):
                text("h1", title)
            text("p", t.word("kind_about", kind.name), "lead")
            with panel(t("What is to be written down")), ui.element("div").classes("panel-body"):
                self._form = Form(visitor, kind.machine.kind, operation, choices=choices, initial=self._initial(incident))
                with ui.element("div").classes("sheet-end"):
                    self._button = ui.button(t("Save"), on_click=self._send, color=None).props("unelevated no-caps").classes("primary")

    def _initial(self, incident: str) -> Mapping[str, Any]:
        own = {"agency": self._visitor.principal.agency} if self._visitor.principal.agency else {}
        named = {self._creation.about: named_as(self._creation, incident)} if incident and self._creation.about else {}
        return {**own, **named}

    async def _send(self) -> None:
        body = self._form.read()
        if body is None:
            return
        self._button.disable()
        try:
            made = (await self._visitor.api.post(self._creation.path, body)).body
        except Refused as refused:
            self._button.enable()
            if refused.status == 401:
                ui.navigate.to(self._visitor.login_url)
            self._form.complain(refused)
        else:
            ui.navigate.to(f"/response/{self._kind.name}/{made['number']}")
