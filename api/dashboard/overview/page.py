"""The page itself: built once for a visitor, then refreshed every two seconds from one computation for all who see the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from html import escape
from typing import Final

import structlog
from fastapi import Request
from nicegui import ui

from api import disclosure
from api.dashboard.elements import empty, panel, text, time_html
from api.dashboard.frame import frame
from api.dashboard.incidents.table import IncidentTable
from api.dashboard.overview.agencies import Tiles
from api.dashboard.overview.cards import Cards
from api.dashboard.overview.centres import Links
from api.dashboard.overview.chart import MinuteChart
from api.dashboard.overview.due import Due
from api.dashboard.overview.intake import Intake
from api.dashboard.overview.matrix import Matrix
from api.dashboard.overview.standing import Banners, Standing, read
from api.dashboard.visitor import Visitor
from api.overview import Overview, Overviews
from core.errors import Forbidden, StoreError, Unauthenticated
from core.permissions import Action
from respond.incidents import queries as incidents
from respond.incidents.queries import Summary

READY_SECONDS: Final = 30.0
"""A page of many figures is given more time than the three seconds NiceGUI gives others."""
REFRESH_SECONDS: Final = 2.0
SHOWN: Final = 20
_log = structlog.get_logger()


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/", response_timeout=READY_SECONDS)
    async def overview(request: Request) -> None:
        page = OverviewPage(await Visitor.of(request), request.state.overviews)
        await page.refresh()
        ui.timer(REFRESH_SECONDS, page.refresh)


class OverviewPage:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, overviews: Overviews) -> None:
        self._visitor = visitor
        self._overviews = overviews
        t = visitor.t
        self._reads_incidents = visitor.principal.may(Action.INCIDENTS_READ)
        with frame(visitor, t("Overview")), ui.element("div").classes("overview"):
            with ui.element("div").classes("page-head"):
                text("h1", t("Overview"))
                self._live = text("span", t("Live"), "live").props("role=status")
            self._banners = Banners(visitor)
            self._cards = Cards(visitor)
            with ui.element("div").classes("beside chart-row"):
                self._chart = MinuteChart(t)
                with ui.element("div").classes("stack"):
                    self._intake = Intake(visitor)
                    self._links = Links(visitor) if visitor.principal.may(Action.CENTRES_READ) else None
            with ui.element("div").classes("beside"):
                self._matrix = Matrix(visitor) if self._reads_incidents else None
                self._due = Due(visitor)
            self._tiles = Tiles(visitor)
            self._build_incidents()

    def _build_incidents(self) -> None:
        t = self._visitor.t
        with panel(t("Newest incidents")) as head:
            if self._reads_incidents:
                with head:
                    text("span", t("j and k to move, Enter to open"), "note right")
            self._some = ui.element("div")
            with self._some:
                self._table = IncidentTable(self._visitor)
            self._none = ui.element("div")
            with self._none:
                empty(
                    t("No incidents yet.") if self._reads_incidents else t("This role does not read incidents."),
                    t("They appear here as soon as a rule fires.") if self._reads_incidents else t("What it does read is in the menu."),
                )
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
            self._live.set_content(t("No fresh figures. Last update {time}", time=time_html(visitor.centre.clock.now())))
            self._live.classes(add="stale")
            return
        self._live.set_content(escape(t("Live")))
        self._live.classes(remove="stale")
        self._show(overview, found, standing)

    def _newest(self) -> Sequence[Summary]:
        sight = disclosure.common_sight(self._visitor.principal)
        with self._visitor.centre.database.session(readonly=True) as session:
            return incidents.newest(session, sight, SHOWN)

    def _show(self, overview: Overview, found: Sequence[Summary], standing: Standing) -> None:
        self._banners.show(standing)
        self._cards.show(overview)
        self._chart.show(overview.minutes)
        self._intake.show(overview.ledger)
        if self._links is not None:
            self._links.show(overview.centres)
        if self._matrix is not None:
            self._matrix.show(overview.incidents)
        self._due.show(overview.clocks, overview.at)
        self._tiles.show(overview.agencies, overview.at)
        self._table.show(found, overview.at)
        self._some.set_visibility(bool(found))
        self._none.set_visibility(not found)
