"""The page itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from html import escape
from typing import Any, Final

from fastapi import Request
from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import empty, panel, text, time_html
from api.dashboard.frame import frame
from api.dashboard.mayor import figures, waiting
from api.dashboard.mayor.papers import Papers
from api.dashboard.mayor.waiting import Waiting
from api.dashboard.response import lookups
from api.dashboard.response.case_table import agency_of, title_of
from api.dashboard.response.kinds import BY_NAME, CaseKind
from api.dashboard.response.shown import Showing
from api.dashboard.steps.names import state_html
from api.dashboard.telling import telling, why
from api.dashboard.visitor import Visitor
from core.clock import KST

READY_SECONDS: Final = 30.0
REFRESH_SECONDS: Final = 30.0
ISSUES: Final = 6

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What the page shows."""

    effect: Record
    readiness: Record
    now: Record
    before: Record
    waiting: list[tuple[CaseKind, Record]]
    teams: list[Record]


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/mayor", response_timeout=READY_SECONDS)
    async def mayor(request: Request) -> None:
        visitor = await Visitor.of(request)
        t = visitor.t
        try:
            found, compliance, issued, named = await asyncio.gather(
                read(visitor),
                visitor.api.get("/v1/compliance"),
                visitor.api.get("/v1/feed/issues", limit=ISSUES),
                asyncio.gather(*(lookups.named(visitor, kind.name) for kind in waiting.KINDS)),
            )
        except Refused as refused:
            with frame(visitor, t("Mayor's office")), ui.element("section").classes("panel"):
                empty(t("This cannot be shown."), why(visitor, refused).partition("\n")[0])
        else:
            names = dict(zip((kind.name for kind in waiting.KINDS), named, strict=True))
            MayorPage(visitor, found, names, compliance.body, issued.body["items"])


async def read(visitor: Visitor) -> Found:
    """Read what changes. Raises Refused."""
    api, today = visitor.api, visitor.centre.clock.now().astimezone(KST).date()
    last = today.replace(day=1) - timedelta(days=1)
    effect, readiness, now, before, teams, waits = await asyncio.gather(
        api.get("/v1/warnings/effect"),
        api.get("/v1/readiness/in-force"),
        api.get(f"/v1/figures/{today:%Y-%m}"),
        api.get(f"/v1/figures/{last:%Y-%m}"),
        api.get("/v1/teams", state=["formed", "active"], limit=20),
        waiting.read(visitor),
    )
    return Found(effect.body, readiness.body, now.body, before.body, waits, teams.body["items"])


class MayorPage:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, found: Found, names: Mapping[str, Any], compliance: Record, issued: list[Record]) -> None:
        self._visitor, self._names = visitor, names
        t = visitor.t
        with frame(visitor, t("Mayor's office")), ui.element("div").classes("mayor"):
            with ui.element("div").classes("page-head"):
                text("h1", t("Mayor's office"))
                self._as_of = text("span", "", "soft").props("role=status")
                ui.html(f'<button class="tool" type="button" onclick="print()">{t("Print")}</button>', sanitize=False).classes("no-print")
            self._head = ui.html("", sanitize=False).classes("bigs")
            self._month = ui.html("", sanitize=False).classes("bigs")
            self._waiting = Waiting(visitor, names, self._refresh)
            with ui.element("div").classes("columns even"):
                with panel(t("Incidents by severity")):
                    self._severities = ui.html("", sanitize=False)
                with panel(t("Emergency teams at work")):
                    self._teams = ui.html("", sanitize=False)
            with panel(t("How the law's duties stand")) as head:
                with head:
                    ui.html(f'<a href="/compliance">{t("All paragraphs")}</a>', sanitize=False).classes("note")
                ui.html(figures.compliance(visitor, compliance), sanitize=False).classes("cards inside")
            Papers(visitor, issued)
            self._show(found)
            ui.timer(REFRESH_SECONDS, self._refresh, immediate=False)

    async def _refresh(self) -> None:
        with telling(self._visitor):
            self._show(await read(self._visitor))

    def _show(self, found: Found) -> None:
        visitor, t = self._visitor, self._visitor.t
        self._as_of.set_content(t("As of {time} KST", time=time_html(visitor.centre.clock.now())))
        self._head.set_content(figures.headline(visitor, found.effect, found.readiness))
        self._month.set_content(figures.month(visitor, found.now, found.before))
        self._severities.set_content(figures.severities(visitor, found.now, found.before))
        self._waiting.show(found.waiting)
        kind = BY_NAME["teams"]
        showing = Showing(visitor, kind.machine.kind, self._names.get("teams", {}))
        rows = "".join(
            f'<li><a href="/response/teams/{one["number"]}">{escape(title_of(visitor, kind, showing, one))}</a>'
            f'<span class="soft">{agency_of(visitor, one)}</span>{state_html(t, kind.machine.kind, one["state"])}</li>'
            for one in found.teams
        )
        self._teams.set_content(
            f'<ul class="cases-in-short">{rows}</ul>' if rows else f'<p class="quiet">{escape(t("No team is at work."))}</p>'
        )
