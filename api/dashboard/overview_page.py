"""The first page: what comes in, what is found, the newest incidents. It refreshes itself every two seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from html import escape
from typing import Final

import structlog
from fastapi import Request
from nicegui import ui

from api import disclosure
from api.dashboard.chart import MinuteChart
from api.dashboard.frame import empty, frame, text
from api.dashboard.incident_table import IncidentTable
from api.dashboard.standing import Banners, Standing, read
from api.dashboard.texts import kst, number, share
from api.dashboard.visitor import Visitor
from api.overview import Overview, Overviews
from core.errors import Forbidden, StoreError, Unauthenticated
from core.permissions import Action
from respond.incidents import queries as incidents
from respond.incidents.queries import Summary

REFRESH_SECONDS: Final = 2.0
SHOWN: Final = 20
_GRAVE: Final = ("critical", "high")
_log = structlog.get_logger()


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/")
    async def overview(request: Request) -> None:
        page = OverviewPage(Visitor.of(request), request.state.overviews)
        await page.refresh()
        ui.timer(REFRESH_SECONDS, page.refresh)


class Card:
    """One figure with its name and a note."""

    def __init__(self, name: str) -> None:
        with ui.element("div").classes("card") as self._box:
            text("span", name, "name")
            self._value = text("span", "–", "value")
            self._note = text("span", "", "note")

    def show(self, value: str, note: str, mood: str = "") -> None:
        """Show a figure; `mood` is '', `warn` (something is wrong) or `ember` (there is work)."""
        self._value.set_content(escape(value))
        self._note.set_content(escape(note))
        self._box.classes(replace=f"card {mood}")


class OverviewPage:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, overviews: Overviews) -> None:
        self._visitor = visitor
        self._overviews = overviews
        t = visitor.t
        self._reads_incidents = visitor.principal.may(Action.INCIDENTS_READ)
        with frame(visitor, t("overview.title")):
            with ui.element("div").classes("page-head"):
                text("h1", t("overview.title"))
                self._live = text("span", t("live"), "live").props("role=status")
            self._banners = Banners(visitor)
            with ui.element("section").classes("cards").props(f'aria-label="{t("overview.title")}"'):
                self._rate = Card(t("card.rate"))
                self._received = Card(t("card.received"))
                self._quarantined = Card(t("card.quarantined"))
                self._lag = Card(t("card.lag"))
                self._detections = Card(t("card.detections"))
                self._open = Card(t("card.open")) if self._reads_incidents else None
            self._chart = MinuteChart(t)
            self._build_incidents()

    def _build_incidents(self) -> None:
        t = self._visitor.t
        with ui.element("section").classes("panel"):
            with ui.element("header"):
                text("h2", t("incidents.title"))
                if self._reads_incidents:
                    text("span", t("incidents.keys"), "note right")
            self._some = ui.element("div")
            with self._some:
                self._table = IncidentTable(self._visitor)
            self._none = ui.element("div")
            with self._none:
                empty(t("incidents.empty" if self._reads_incidents else "incidents.forbidden"), t("incidents.hint"))
            self._some.set_visibility(False)

    async def refresh(self) -> None:
        """Bring every figure up to date; when that fails, say since when nothing new came and go on trying."""
        visitor, t = self._visitor, self._visitor.t
        try:
            await visitor.recheck()
            overview = await self._overviews.get(visitor.principal)
            found = await asyncio.to_thread(self._newest) if self._reads_incidents else ()
            standing = await asyncio.to_thread(read, visitor)
        except Unauthenticated:
            ui.navigate.to(visitor.login_url)
            return
        except Forbidden:  # the roles changed since the page was built
            ui.navigate.reload()
            return
        except StoreError as error:
            _log.warning("dashboard.stale", error=str(error))
            self._live.set_content(escape(t("stale", time=kst(visitor.centre.clock.now()))))
            self._live.classes(add="stale")
            return
        self._live.set_content(escape(t("live")))
        self._live.classes(remove="stale")
        self._show(overview, found, standing)

    def _newest(self) -> Sequence[Summary]:
        sight = disclosure.common_sight(self._visitor.principal)
        with self._visitor.centre.database.session(readonly=True) as session:
            return incidents.newest(session, sight, SHOWN)

    def _show(self, overview: Overview, found: Sequence[Summary], standing: Standing) -> None:
        t = self._visitor.t
        self._banners.show(standing)
        self._rate.show(number(overview.events_per_second), t("card.rate.note"))
        self._received.show(number(overview.received_today), t("card.today"))
        quarantined = share(overview.quarantined_today, overview.received_today)
        self._quarantined.show(number(overview.quarantined_today), t("card.quarantined.note", share=quarantined))
        failing = next((stage.name for stage in overview.stages if stage.problem), "")
        note = t("card.lag.problem", stage=failing) if failing else t("card.lag.note")
        self._lag.show(number(overview.lag), note, "warn" if failing else "")
        self._detections.show(number(overview.detections_today), t("card.today"))
        if self._open is not None:
            grave = sum(overview.open_by_severity.get(severity, 0) for severity in _GRAVE)
            self._open.show(
                number(overview.open_incidents), t("card.open.note", grave=number(grave)), "ember" if overview.open_incidents else ""
            )
        self._chart.show(overview.minutes)
        self._table.show(found, overview.at)
        self._some.set_visibility(bool(found))
        self._none.set_visibility(not found)
