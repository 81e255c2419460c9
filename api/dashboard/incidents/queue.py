"""The queue of incidents: filters in the address, kept views, keys, many at once, and what is new without losing one's place.

The rows are one element of HTML; what changes later is sent to the browser row by row (`static/triage.js`), which holds focus, selection
and scroll position. Changes come from one look at the database for all open pages (`api.live.Changes`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any, Final

import structlog
from fastapi import Request
from nicegui import ui
from nicegui.events import GenericEventArguments

from api import disclosure
from api.dashboard.client import Refused
from api.dashboard.elements import empty, text, time_html
from api.dashboard.frame import frame
from api.dashboard.incidents import deeds, keys
from api.dashboard.incidents.dialogs import Ask, tell_refusals
from api.dashboard.incidents.filters import form_html
from api.dashboard.incidents.people import or_nobody
from api.dashboard.incidents.rows import cells_html, row_html, table_html
from api.dashboard.incidents.views import PATH as VIEWS
from api.dashboard.incidents.views import ViewsDialog, built_in, links_html
from api.dashboard.incidents.wanted import Wanted
from api.dashboard.telling import done, telling, why
from api.dashboard.visitor import Visitor
from api.incident_shapes import Incident
from api.live import LOOK_SECONDS, Changes, TooMuch
from core.errors import Forbidden, StoreError, Unauthenticated
from respond.incidents.queries import Change

PAGE: Final = 50
READY_SECONDS: Final = 30.0
_IDENTITY_EVERY: Final = 20  # looks
_ANEW_EVERY: Final = 10  # looks: how often a list is read anew that cannot be told row by row
_log = structlog.get_logger()


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/incidents", response_timeout=READY_SECONDS)
    async def queue(request: Request) -> None:
        visitor = await Visitor.of(request)
        wanted = Wanted.of(request.url.query) if request.url.query else built_in(visitor.t)[0][1]
        page = QueuePage(visitor, request.state.changes, wanted)
        await page.build()
        if page.is_live:
            ui.timer(LOOK_SECONDS, page.look)


class QueuePage:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, changes: Changes, wanted: Wanted) -> None:
        self._visitor, self._changes, self._wanted = visitor, changes, wanted
        self._items: dict[str, Incident] = {}
        self._cells: dict[str, str] = {}
        self._told: dict[str, Change] = {}
        self._kept: Sequence[dict[str, Any]] = ()
        self._cursor = ""
        self._looks = 0
        self.is_live = False

    async def build(self) -> None:
        """Read the first page and show it."""
        visitor, t = self._visitor, self._visitor.t
        try:
            await self._read()
            self._kept = (await visitor.api.get(VIEWS)).body["items"]
        except Refused as refused:
            with frame(visitor, t("Incidents")), ui.element("section").classes("panel"):
                empty(t("The incidents cannot be listed."), why(visitor, refused))
            return
        self.is_live = True
        with frame(visitor, t("Incidents")):
            self._head()
            with ui.element("section").classes("panel queue"):
                self._form()
                self._tools()
                with ui.element("div").classes("scroll").props("tabindex=0"):
                    ui.html(table_html(visitor, self._rows(self._items)), tag="table", sanitize=False).classes(
                        "list incidents triage"
                    ).props("id=queue")
                with ui.element("div").props("id=queue-empty") as self._none:
                    empty(t("No incident is like this."), t("Change the filters, or wait: new ones appear here by themselves."))
                self._more = ui.element("div").classes("more")
                with self._more:
                    ui.button(t("More"), color=None, on_click=self._next).props("flat no-caps id=queue-more")
            keys.queue_help(visitor)
        self._settle()
        ui.on("queue", self._heard)

    def _head(self) -> None:
        t = self._visitor.t
        with ui.element("div").classes("page-head"):
            text("h1", t("Incidents"))
            self._live = text("span", t("Live"), "live").props("role=status")
            ui.html(
                f'<button class="tool" type="button" data-do="help">{escape(t("Keys"))} <kbd>?</kbd></button>', tag="span", sanitize=False
            ).classes("end")
        with ui.element("nav").classes("views") as views:
            views.props["aria-label"] = t("Views")
            self._views = ui.html("", tag="div", sanitize=False).classes("links")
            ui.button(t("Keep this view"), color=None, icon="bookmark_border", on_click=self._views_dialog).props("flat dense no-caps")

    def _form(self) -> None:
        form = (
            ui.html(form_html(self._visitor, self._wanted), tag="form", sanitize=False)
            .classes("filters")
            .props("id=queue-form role=search")
        )
        form.props["aria-label"] = self._visitor.t("Filters")

    def _tools(self) -> None:
        """The bar with what can be done to the chosen rows, and where arrivals are announced."""
        visitor, t = self._visitor, self._visitor.t
        offered = keys.deeds_offered(visitor)
        buttons = "".join(
            f'<button class="tool" type="button" data-do="{one.action}" disabled>{escape(one.name)}'
            f"{f' <kbd>{one.key}</kbd>' if one.key else ''}</button>"
            for one in offered
        )
        said = escape(t("{count} chosen"), quote=True)
        fresh = escape(t("{count} new: show"), quote=True)
        ui.html(
            f'<label class="select"><input type="checkbox" data-all aria-label="{escape(t("Select all shown"), quote=True)}"></label>'
            f'<span class="count" data-count="{said}" role="status"></span>{buttons}'
            f'<button class="fresh" type="button" data-do="fresh" data-fresh="{fresh}" hidden></button>'
            f'<span class="heard" role="status" data-heard="{escape(t("{count} new incidents"), quote=True)}"></span>',
            sanitize=False,
        ).classes("bulk").props(f'id=queue-bar role=toolbar aria-label="{escape(t("What to do with the chosen ones"), quote=True)}"')

    # ---- reading ----

    @property
    def _now(self) -> datetime:
        return self._visitor.centre.clock.now()

    async def _asked(self, cursor: str = "") -> tuple[list[Incident], str] | None:
        """A page of the list, and the cursor of the next; None when the visitor wanted another list before it came."""
        wanted = self._wanted
        answer = (await self._visitor.api.get("/v1/incidents", **wanted.asked(), cursor=cursor, limit=PAGE)).body
        if self._wanted is not wanted:
            return None
        return [Incident.model_validate(one) for one in answer["items"]], answer["next_cursor"]

    async def _read(self, cursor: str = "") -> list[Incident] | None:
        """Read a page of the list, where it is still wanted; the first replaces what is shown."""
        answer = await self._asked(cursor)
        if answer is None:
            return None
        found, self._cursor = answer
        if not cursor:
            self._items, self._cells = {}, {}
        fresh = [one for one in found if one.number not in self._items]
        for one in fresh:
            self._keep(one)
        return fresh

    def _keep(self, incident: Incident) -> str:
        """Remember what is shown of an incident; gives the cells."""
        self._items[incident.number] = incident
        self._cells[incident.number] = cells_html(self._visitor, incident, self._now)
        return self._cells[incident.number]

    def _rows(self, numbers: Iterable[str]) -> str:
        return "".join(row_html(name, self._cells[name]) for name in numbers)

    async def _show(self) -> None:
        """Read the first page anew and show it."""
        if await self._read() is not None:
            self._call("show", self._rows(self._items))
            self._settle()

    async def _next(self) -> None:
        with telling(self._visitor):
            if found := await self._read(self._cursor):
                self._call("append", self._rows(one.number for one in found))
            self._settle()

    def _settle(self) -> None:
        self._none.set_visibility(not self._items)
        self._more.set_visibility(bool(self._cursor))
        self._views.set_content(links_html(self._visitor.t, self._wanted, self._kept))

    def _call(self, what: str, *given: object) -> None:
        ui.run_javascript(f"bongsuQueue.{what}({', '.join(json.dumps(one) for one in given)})")

    # ---- what is new ----

    async def look(self) -> None:
        """Bring what is shown up to date; when that fails, say since when nothing new came and go on trying."""
        visitor, t = self._visitor, self._visitor.t
        self._looks += 1
        try:
            if self._looks % _IDENTITY_EVERY == 0:
                await visitor.recheck()
            await self._take_in(await self._changes.latest(disclosure.sight(visitor.principal)))
        except TooMuch:
            if self._looks % _ANEW_EVERY == 0:
                await self._anew()
        except (Unauthenticated, Forbidden):
            ui.navigate.to(visitor.login_url)
        except (StoreError, Refused) as error:
            _log.warning("dashboard.stale", error=str(error))
            if "stale" not in self._live.classes:
                self._live.set_content(t("No fresh figures. Last update {time}", time=time_html(self._now)))
                self._live.classes(add="stale")
            return
        if "stale" in self._live.classes:
            self._live.set_content(escape(t("Live")))
            self._live.classes(remove="stale")

    async def _anew(self) -> None:
        with telling(self._visitor):
            await self._show()

    async def _take_in(self, changes: Sequence[Change]) -> None:
        news = [one for one in changes if self._told.get(one.incident.number) != one]
        self._told = {one.incident.number: one for one in changes}
        others: list[Incident] = []
        for one in news:
            incident = Incident.model_validate({**_fields(one), "merged_into": "", "split_from": ""})
            if one.absorbed:
                self._drop(incident.number)
            elif incident.number in self._items:
                self._renew(incident)
            else:
                others.append(incident)
        if others and not self._wanted.is_told_by_rows:
            await self._ask_for_others()
        elif others:
            me, now = self._visitor.principal.actor, self._now
            self._arrive([one for one in others if self._wanted.meets(one, me, now)])

    def _renew(self, incident: Incident) -> None:
        before = self._cells[incident.number]
        if (cells := self._keep(incident)) != before:
            self._call("change", [[incident.number, cells]])

    def _drop(self, name: str) -> None:
        if self._items.pop(name, None):
            self._cells.pop(name)
            self._call("drop", [name])

    async def _ask_for_others(self) -> None:
        """What of the changes the list has besides, only the database knows: read the first page."""
        if answer := await self._asked():
            self._arrive([one for one in answer[0] if one.number not in self._items])

    def _arrive(self, incidents: Sequence[Incident]) -> None:
        """Put them where they belong; what belongs behind the rows that are shown comes with `more`."""
        placed = []
        for one in sorted(incidents, key=self._wanted.place, reverse=True):
            mine = self._wanted.place(one)
            before = next((name for name, other in self._items.items() if self._wanted.place(other) > mine), "")
            if not before and self._cursor:
                continue
            shown = list(self._items)
            at = shown.index(before) if before else len(shown)
            placed.append([one.number, row_html(one.number, self._keep(one)), before])
            order = [*shown[:at], one.number, *shown[at:]]
            self._items = {name: self._items[name] for name in order}
        if placed:
            self._call("arrive", placed)
            self._none.set_visibility(False)

    # ---- what the visitor does ----

    async def _heard(self, event: GenericEventArguments) -> None:
        given = event.args[0] if isinstance(event.args, list) else event.args
        what, names = str(given.get("do", "")), [name for name in given.get("numbers") or () if name in self._items]
        if what == "filter":
            await self._filter(str(given.get("query", "")))
        elif what in {one.action for one in keys.deeds_offered(self._visitor)} and names:
            await self._act(what, [self._items[name] for name in names][: deeds.MOST_AT_ONCE])

    async def _filter(self, query: str) -> None:
        before, wanted = self._wanted, Wanted.of(query)
        self._wanted = wanted
        with telling(self._visitor):
            try:
                await self._show()
            except Refused:
                if self._wanted is wanted:
                    self._wanted = before
                raise

    async def _act(self, action: str, chosen: Sequence[Incident]) -> None:
        t, visitor = self._visitor.t, self._visitor
        many = t.n("{count} incident", "{count} incidents", len(chosen))
        match action:
            case "assign":
                await self._do(chosen, deeds.assign(visitor.principal.name))
            case "triage":
                await self._do(chosen, deeds.triage)
            case "assign_to":
                await self._ask_assignee(chosen, many)
            case "confirm":
                note = t("The agency is told. That does not replace its accident report.")
                Ask(visitor, t("Confirm {what}", what=many), t("Confirm"), lambda _: self._do(chosen, deeds.confirm), note)
            case "dismiss":
                title = t("False positive: {what}", what=many)
                ask = Ask(visitor, title, t("False positive"), lambda typed: self._do(chosen, deeds.dismiss(typed["reason"])))
                ask.reason(t("Why it is a false alarm"))
            case "merge":
                self._ask_merge(chosen, many)

    async def _ask_assignee(self, chosen: Sequence[Incident], many: str) -> None:
        visitor, t = self._visitor, self._visitor.t
        with telling(visitor):
            known = await or_nobody(visitor)
            ask = Ask(visitor, t("Assign {what}", what=many), t("Assign"), lambda typed: self._do(chosen, deeds.assign(typed["name"])))
            ask.choice("name", t("Assignee"), known, visitor.principal.name)

    def _ask_merge(self, chosen: Sequence[Incident], many: str) -> None:
        t = self._visitor.t
        if len(chosen) < 2:
            Ask(self._visitor, t("Merge"), t("Close"), self._nothing, t("Choose two or more incidents."))
            return

        async def go(typed: Mapping[str, Any]) -> None:
            await self._do([one for one in chosen if one.number != typed["into"]], deeds.merge(typed["into"], typed["reason"]))

        ask = Ask(self._visitor, t("Merge {what}", what=many), t("Merge"), go, t("The others are absorbed by the one you choose."))
        oldest = min(chosen, key=lambda one: one.opened_at)
        names = {one.number: f"{one.number} {self._visitor.title(one.title)}" for one in chosen}
        ask.choice("into", t("Which one stays"), names, oldest.number)
        ask.reason(t("Why they belong together"))

    async def _nothing(self, _: Mapping[str, Any]) -> None:
        return

    async def _do(self, chosen: Sequence[Incident], deed: Callable[[Incident], deeds.Deed]) -> None:
        visitor, t = self._visitor, self._visitor.t
        with telling(visitor):
            outcomes = await deeds.do(visitor, chosen, deed)
            before = dict(self._items)
            for one in outcomes:
                if one.incident is not None and one.incident.merged_into:
                    self._drop(one.number)
                elif one.incident is not None and one.number in self._items:
                    self._renew(one.incident)
            if any(one.refused for one in outcomes):
                tell_refusals(visitor, t("Not everything could be done."), outcomes, before)
            else:
                done(t.n("{count} incident done", "{count} incidents done", len(outcomes)))
                self._call("clear")

    def _views_dialog(self) -> None:
        ViewsDialog(self._visitor, self._wanted, self._kept, self._views_changed)

    async def _views_changed(self) -> None:
        self._kept = (await self._visitor.api.get(VIEWS)).body["items"]
        self._settle()


def _fields(change: Change) -> Mapping[str, Any]:
    return {name: getattr(change.incident, name) for name in Incident.model_fields}
