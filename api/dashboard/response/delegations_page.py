"""Which linked centre watches which agency, and since when."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from html import escape
from typing import Any

from fastapi import Request
from nicegui import ui

from api.dashboard.client import Answer, Refused
from api.dashboard.elements import empty, panel, text, time_html
from api.dashboard.frame import frame
from api.dashboard.response import lookups
from api.dashboard.response.kinds import READY_SECONDS
from api.dashboard.response.list_page import back
from api.dashboard.response.shown import Named, Showing
from api.dashboard.steps.dialog import Deed, DeedDialog, etag_of
from api.dashboard.steps.document import document
from api.dashboard.telling import telling, why
from api.dashboard.visitor import Visitor
from core.permissions import Action

_PATH = "/v1/delegations"


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/response/delegations", response_timeout=READY_SECONDS)
    async def delegations(request: Request) -> None:
        visitor = await Visitor.of(request)
        t = visitor.t
        try:
            page = DelegationsPage(visitor, await lookups.named(visitor, "delegations"))
            await page.read()
        except Refused as refused:
            with frame(visitor, t.word("kind", "delegations")), ui.element("section").classes("panel"):
                empty(t("This cannot be shown."), why(visitor, refused).partition("\n")[0])
        else:
            page.build()


class DelegationsPage:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, names: Named) -> None:
        self._visitor, self._names = visitor, names
        self._showing = Showing(visitor, "delegation", names)
        self._map: Mapping[str, Any] = {}
        self._history: list[Mapping[str, Any]] = []

    async def read(self) -> None:
        """Read the map and the history. Raises Refused."""
        self._map = (await self._visitor.api.get(f"{_PATH}/map")).body
        self._history = (await self._visitor.api.get(_PATH, limit=100)).body["items"]

    def build(self) -> None:
        """Build the page."""
        t = self._visitor.t
        title = t.word("kind", "delegations")
        with frame(self._visitor, title):
            back(self._visitor, "/response", t("Response"))
            with ui.element("div").classes("page-head"):
                text("h1", title)
                if self._visitor.principal.may(Action.CENTRES_WRITE):
                    ui.button(t("New"), on_click=self._new, color=None).props("unelevated no-caps").classes("primary")
            text("p", t.word("kind_about", "delegations"), "lead")
            self._body = ui.element("div").classes("stack")
            self._show()

    def _show(self) -> None:
        t = self._visitor.t
        self._body.clear()
        with self._body:
            with panel(t("Who watches whom now")):
                columns = ("agency", "watched", "centre", "own", "link", "since", "reason")
                ui.html(self._showing.table(self._map["agencies"], columns), sanitize=False)
            with panel(t("History")):
                if not self._history:
                    text("p", t("Nothing has been delegated yet."), "notice")
                for one in self._history:
                    self._entry(one)

    def _entry(self, one: Mapping[str, Any]) -> None:
        t, visitor = self._visitor.t, self._visitor
        until = time_html(one["until"]) if one["until"] else escape(t("open"))
        with ui.element("div").classes("entry"):
            ui.html(
                f"<b>{escape(visitor.agency_name(one['agency']))}</b> ← {escape(one['centre'])}"
                f'<div class="soft">{time_html(one["since"])} – {until} · {escape(one["made_by"].partition(":")[2])}</div>'
                f"<div>{escape(one['reason'])}</div>",
                sanitize=False,
            )
            if one["until"] is None and visitor.principal.may(Action.CENTRES_WRITE):
                ui.button(t("End"), on_click=partial(self._end, one), color=None).props("outline dense no-caps").classes("danger")

    async def _new(self) -> None:
        await self._ask(self._visitor.t("Let a centre watch an agency"), _PATH, _PATH)

    async def _end(self, one: Mapping[str, Any]) -> None:
        path = f"{_PATH}/{one['id']}/end"
        await self._ask(self._visitor.t("End the delegation"), path, f"{_PATH}/{{delegation_id}}/end", ends=one)

    async def _ask(self, title: str, path: str, template: str, *, ends: Mapping[str, Any] | None = None) -> None:
        with telling(self._visitor):
            operation = (await document()).operation(template)
            choices = lookups.common(self._visitor, self._names)
            DeedDialog(
                self._visitor,
                Deed(
                    title=title,
                    button=self._visitor.t("Save"),
                    of="delegation",
                    operation=operation,
                    path=path,
                    after=self._again,
                    choices=choices,
                    dangerous=ends is not None,
                    etag=etag_of(ends) if ends else "",
                    read=f"{_PATH}/{ends['id']}" if ends else "",
                    seen=ends or {},
                ),
            )

    async def _again(self, _answer: Answer) -> None:
        await self.read()
        self._show()
