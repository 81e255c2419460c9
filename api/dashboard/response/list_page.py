"""The list of one kind of cases: by state, agency and whether it is late, newest first, page by page."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Query, Request
from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import empty, panel, text
from api.dashboard.frame import frame
from api.dashboard.response import lookups
from api.dashboard.response.case_table import CaseTable
from api.dashboard.response.kinds import BY_NAME, READY_SECONDS, CaseKind
from api.dashboard.response.shown import Named
from api.dashboard.steps.names import state_name
from api.dashboard.telling import telling, why
from api.dashboard.visitor import Visitor

PAGE: Final = 50
MOST_LATE: Final = 500
REFRESH_SECONDS: Final = 10.0
_BOX: Final = "outlined dense options-dense hide-bottom-space behavior=menu"


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/response/{kind}", response_timeout=READY_SECONDS)
    async def cases(
        request: Request,
        kind: str,
        state: Annotated[list[str], Query(default_factory=list)],
        agency: str = "",
        overdue: bool = False,
    ) -> None:
        visitor = await Visitor.of(request)
        found = BY_NAME.get(kind)
        if found is None:
            missing(visitor)
            return
        try:
            names = await lookups.named(visitor, kind)
            page = ListPage(visitor, found, names, state, agency, overdue=overdue)
            await page.read()
        except Refused as refused:
            told(visitor, found, refused)
        else:
            page.build()


def missing(visitor: Visitor) -> None:
    """There is no such kind."""
    t = visitor.t
    with frame(visitor, t("Response")), ui.element("section").classes("panel"):
        empty(t("There is no such page."), t("Go to Response and choose from there."))


def told(visitor: Visitor, kind: CaseKind, refused: Refused) -> None:
    """What is shown in place of the list when it cannot be read."""
    title = visitor.t.word("kind", kind.name)
    with frame(visitor, title):
        back(visitor, "/response", visitor.t("Response"))
        with ui.element("section").classes("panel"):
            empty(visitor.t("This cannot be shown."), why(visitor, refused).partition("\n")[0])


def back(visitor: Visitor, path: str, to: str) -> None:
    """The way up."""
    ui.html(f'<a class="back" href="{path}">← {visitor.t("Back to {page}", page=to)}</a>', sanitize=False)


class ListPage:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, kind: CaseKind, names: Named, state: list[str], agency: str, *, overdue: bool) -> None:
        self._visitor, self._kind, self._names = visitor, kind, names
        self._state, self._agency, self._overdue = [one for one in state if one in kind.machine.states], agency, overdue
        self._pages = 1
        self._items: list[Any] = []
        self._late: frozenset[str] = frozenset()
        self._more = False

    async def read(self) -> None:
        """Read as many pages as are shown, and which cases are late, where that is what is still wanted. Raises Refused."""
        wanted = self._wanted
        api, query = self._visitor.api, {"state": self._state, "agency": self._agency, "overdue": "true" if self._overdue else None}
        if not self._filters_agency:
            del query["agency"]
        items: list[Any] = []
        cursor = ""
        for _ in range(self._pages):
            page = (await api.get(self._kind.path, limit=PAGE, cursor=cursor, **query)).body
            items += page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                break
        late = (await api.get(self._kind.path, overdue="true", limit=MOST_LATE)).body["items"]
        if self._wanted == wanted:
            self._items, self._more, self._late = items, bool(cursor), frozenset(one["number"] for one in late)

    @property
    def _wanted(self) -> tuple[Any, ...]:
        return self._state, self._agency, self._overdue, self._pages

    @property
    def _filters_agency(self) -> bool:
        """Whether such cases belong to agencies, and the visitor sees more than one."""
        whole_city = self._kind.name in ("warnings", "readiness", "members", "shares", "investigations", "campaigns")
        return not whole_city and not self._visitor.principal.agency

    def build(self) -> None:
        """Build the page."""
        visitor, kind, t = self._visitor, self._kind, self._visitor.t
        title = t.word("kind", kind.name)
        with frame(visitor, title):
            back(visitor, "/response", t("Response"))
            with ui.element("div").classes("page-head"):
                text("h1", title)
                if kind.creation(visitor.principal):
                    ui.html(f'<a class="tool primary" href="/response/{kind.name}/new">{t("New")}</a>', sanitize=False)
            text("p", t.word("kind_about", kind.name), "lead")
            self._filters()
            with panel(title) as head:
                with head:
                    self._note = text("span", "", "note").props("role=status")
                self._table = CaseTable(visitor, kind, self._names)
                with ui.element("div") as self._none:
                    empty(t("Nothing here."), t("New ones appear here by themselves. Where filters are set, others may show more."))
                with ui.element("div").classes("next-page") as self._next:
                    ui.button(t("Show more"), on_click=self._further, color=None).props("flat no-caps")
            self._show()
            ui.timer(REFRESH_SECONDS, self._refresh, immediate=False)

    def _filters(self) -> None:
        t, kind = self._visitor.t, self._kind
        states = {one: state_name(t, kind.machine.kind, one) for one in sorted(kind.machine.states)}
        with ui.element("div").classes("case-filters").props("role=search"):
            state = ui.select(states, label=t("State"), multiple=True, value=self._state, clearable=True).props(f"{_BOX} use-chips")
            state.on_value_change(lambda event: self._choose(state=event.value or []))
            if self._filters_agency:
                known = {one.id: self._visitor.agency_name(one.id) for one in self._visitor.centre.settings.agencies}
                agency = ui.select(known, label=t("Agency"), value=self._agency or None, clearable=True).props(_BOX)
                agency.on_value_change(lambda event: self._choose(agency=event.value or ""))
            late = ui.checkbox(t("Only overdue"), value=self._overdue)
            late.on_value_change(lambda event: self._choose(overdue=bool(event.value)))

    async def _choose(self, *, state: list[str] | None = None, agency: str | None = None, overdue: bool | None = None) -> None:
        self._state = self._state if state is None else state
        self._agency = self._agency if agency is None else agency
        self._overdue = self._overdue if overdue is None else overdue
        self._pages = 1
        chosen = [("state", one) for one in self._state] + [("agency", self._agency)] * bool(self._agency)
        query = urlencode([*chosen, *([("overdue", "true")] if self._overdue else [])])
        ui.run_javascript(f"history.replaceState(null, '', location.pathname + '{'?' + query if query else ''}')")
        await self._refresh()

    async def _further(self) -> None:
        self._pages += 1
        await self._refresh()

    async def _refresh(self) -> None:
        with telling(self._visitor):
            await self.read()
            self._show()

    def _show(self) -> None:
        t = self._visitor.t
        self._table.show(self._items, self._late)
        self._none.set_visibility(not self._items)
        self._next.set_visibility(self._more)
        count = t("{count} shown", count=len(self._items))
        self._note.set_content(t("{count} shown, there are more", count=len(self._items)) if self._more else count)
