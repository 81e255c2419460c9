"""Searching events: the bar, bars over time, columns with their values, the events, and one of them beside.

What is asked stands in the address, so that a search is a link, and the browser goes back through searches.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import datetime
from html import escape
from typing import Any, Final

from fastapi import Request
from nicegui import ui
from nicegui.events import GenericEventArguments

from api.dashboard.client import Refused
from api.dashboard.elements import empty, text
from api.dashboard.frame import frame
from api.dashboard.hunt import help as language_help
from api.dashboard.hunt.asked import COLUMNS_COOKIE, Asked
from api.dashboard.hunt.buttons import tool
from api.dashboard.hunt.detail import EventPanel
from api.dashboard.hunt.draft import DraftDialog
from api.dashboard.hunt.export import ExportDialog
from api.dashboard.hunt.fields import Fields
from api.dashboard.hunt.histogram import Histogram
from api.dashboard.hunt.mistakes import mistake
from api.dashboard.hunt.query_bar import QueryBar
from api.dashboard.hunt.table import EventTable
from api.dashboard.hunt.tabs import tabs
from api.dashboard.hunt.writing import with_value
from api.dashboard.telling import telling
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor
from core.permissions import Action

PER_PAGE: Final = 100
_MOST_ROWS: Final = 5000
"""The browser holds no more; who wants more exports."""


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/hunt")
    async def hunt(request: Request) -> None:
        visitor = await Visitor.of(request)
        t = visitor.t
        if not visitor.principal.may(Action.LOGS_READ):
            with frame(visitor, t("Hunt")), ui.element("section").classes("panel"):
                empty(t("This role does not read raw logs."), t("Ask the SOC lead if you need it."))
            return
        SearchPage(visitor, request)


class SearchPage:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, request: Request) -> None:
        self._visitor = visitor
        self._asked = Asked.of(request.query_params, request.cookies.get(COLUMNS_COOKIE, "").replace(".", ","))
        self._between = self._asked.between(visitor.centre.clock.now())
        self._events: list[dict[str, Any]] = []
        self._total, self._cursor = 0, ""
        self._task: asyncio.Task[tuple[dict[str, Any], dict[str, Any]]] | None = None
        t = visitor.t
        with frame(visitor, t("Hunt")):
            with ui.element("div").classes("page-head"):
                text("h1", t("Hunt"))
                tabs(visitor, "/hunt")
            self._bar = QueryBar(visitor, lambda: self._asked, self._search, self._stop)
            self._times = Histogram(t, self._narrow)
            with ui.element("div").classes("hunt-body"):
                Fields(visitor, self._asked.columns, self._values, self._choose)
                self._results()
            self._panel = EventPanel(visitor)
            self._help = language_help.dialog(t)
            self._export = ExportDialog(visitor, lambda: (self._asked, *self._between, self._total))
            self._draft = DraftDialog(visitor, lambda: self._asked.q)
        ui.on("hunt-help", lambda _: self._help.open())
        ui.on("hunt-filter", self._filter)
        ui.on("hunt-open", lambda event: self._panel.open(str(event.args), self._asked.q))
        ui.timer(0.05, lambda: self._begin(request.query_params.get("event", "")), once=True)

    def _results(self) -> None:
        t = self._visitor.t
        with ui.element("section").classes("panel hunt-results"):
            with ui.element("header"):
                text("h2", t("Events"))
                self._said = ui.html("", tag="span", sanitize=False).classes("note").props("role=status")
                with ui.element("span").classes("tools"):
                    tool(t("Export"), self._exported)
                    tool(t("Save as rule"), self._drafted)
            self._table = EventTable(self._visitor, self._asked.columns)
            with ui.element("footer"):
                self._more = tool(t("Show {count} more", count=PER_PAGE), self._show_more)
                self._more.set_visibility(False)

    def _exported(self) -> None:
        self._export.open()

    async def _drafted(self) -> None:
        await self._draft.open()

    async def _begin(self, event_id: str) -> None:
        await self._search(self._asked)
        if event_id:
            await self._panel.open(event_id, self._asked.q)

    async def _search(self, asked: Asked) -> None:
        """Show what `asked` finds; a search under way ends."""
        self._stop()
        self._asked = asked
        self._between = asked.between(self._visitor.centre.clock.now())
        self._bar.show(asked)
        self._bar.wrong(None)
        self._bar.busy(True)
        self._said.set_content(escape(self._visitor.t("Searching …")))
        began = time.monotonic()
        self._task = task = asyncio.create_task(self._found())
        try:
            page, times = await task
        except Refused as refused:
            self._failed(refused)
        except asyncio.CancelledError:
            if self._task is task:
                self._said.set_content(escape(self._visitor.t("Stopped.")))
        else:
            self._show(page, times, time.monotonic() - began)
        finally:
            if self._task is task:
                self._bar.busy(False)

    async def _found(self) -> tuple[dict[str, Any], dict[str, Any]]:
        api = self._visitor.api
        page, times = await asyncio.gather(
            api.get("/v1/events", **self._query(), limit=PER_PAGE), api.get("/v1/events/histogram", **self._query())
        )
        return page.body, times.body

    def _show(self, page: dict[str, Any], times: dict[str, Any], seconds: float) -> None:
        self._events, self._cursor, self._total = page["items"], page["next_cursor"], times["events"]
        self._times.show(times)
        self._table.show(self._events)
        self._tell(seconds)
        ui.run_javascript("bongsuHunt.ran()")

    def _failed(self, refused: Refused) -> None:
        if refused.status == 401:
            ui.navigate.to(self._visitor.login_url)
            return
        self._bar.wrong(mistake(self._visitor, refused))
        self._said.set_content("")
        ui.run_javascript("bongsuHunt.field().focus()")

    def _tell(self, seconds: float | None = None) -> None:
        t = self._visitor.t
        said = t.n("{count} event", "{count} events", self._total)
        if self._total > len(self._events):
            said = t("{shown} of {total}, newest first", shown=number(len(self._events)), total=said)
        if seconds is not None:
            said += " · " + t("{seconds} s", seconds=f"{seconds:.1f}")
        if not self._total:
            said += " · " + t("Ask for a longer time, or for less.")
        self._said.set_content(escape(said))
        self._more.set_visibility(bool(self._cursor) and len(self._events) < _MOST_ROWS)

    async def _show_more(self) -> None:
        with telling(self._visitor):
            between = self._between
            page = (await self._visitor.api.get("/v1/events", **self._query(), limit=PER_PAGE, cursor=self._cursor)).body
            if self._between is not between:  # another search began
                return
            self._events += page["items"]
            self._cursor = page["next_cursor"]
            self._table.add(page["items"])
            self._tell()

    async def _narrow(self, since: datetime, until: datetime) -> None:
        await self._search(self._asked.within(since, until))

    async def _filter(self, event: GenericEventArguments) -> None:
        said = event.args
        q = with_value(self._asked.q, str(said["column"]), said["value"], exclude=bool(said.get("exclude")))
        await self._search(replace(self._asked, q=q))

    async def _values(self, column: str, limit: int) -> dict[str, Any]:
        answer = await self._visitor.api.get("/v1/events/values", of=column, limit=limit, **self._query())
        found: dict[str, Any] = answer.body
        return found

    async def _choose(self, columns: tuple[str, ...]) -> None:
        self._asked = replace(self._asked, columns=columns)
        self._bar.show(self._asked)
        self._table.choose(columns, self._events)

    def _query(self) -> dict[str, str]:
        since, until = self._between
        return {"q": self._asked.q, "since": since.isoformat(), "until": until.isoformat()}

    def _stop(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
