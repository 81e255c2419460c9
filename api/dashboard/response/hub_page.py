"""What waits for the visitor: cases past their time first, then by kind those whose next step is theirs, and the clocks that run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from fastapi import Request
from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import empty, panel, tag_html, text
from api.dashboard.frame import frame
from api.dashboard.response import lookups
from api.dashboard.response.case_table import agency_of, marks, title_of
from api.dashboard.response.kinds import KINDS, READY_SECONDS, CaseKind, link_of
from api.dashboard.response.progress import clock_html
from api.dashboard.response.shown import LONG, Showing
from api.dashboard.steps.names import state_html
from api.dashboard.telling import telling, why
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor
from core.permissions import Action

REFRESH_SECONDS: Final = 20.0
SHOWN: Final = 5
CLOCKS: Final = 12
_LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one kind: cases whose next step is the visitor's, newest first, and how many there are (`more`: at least)."""

    kind: CaseKind
    items: Sequence[dict[str, Any]]
    more: bool


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/response", response_timeout=READY_SECONDS)
    async def response(request: Request) -> None:
        visitor = await Visitor.of(request)
        kinds = [kind for kind in KINDS if kind.is_for(visitor.principal)]
        t = visitor.t
        if not kinds:
            with frame(visitor, t("Response")), ui.element("section").classes("panel"):
                empty(t("This role reads no cases."), t("Ask the SOC lead if you need it."))
            return
        try:
            page = HubPage(visitor, kinds)
            await page.read()
        except Refused as refused:
            with frame(visitor, t("Response")), ui.element("section").classes("panel"):
                empty(t("This cannot be shown."), why(visitor, refused).partition("\n")[0])
        else:
            page.build()


class HubPage:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, kinds: Sequence[CaseKind]) -> None:
        self._visitor, self._kinds = visitor, kinds
        self._waiting: list[Waiting] = []
        self._clocks: list[dict[str, Any]] = []
        self._showing: dict[str, Showing] = {}

    async def read(self) -> None:
        """Read what waits and which clocks run. Raises Refused."""
        visitor = self._visitor
        clocks, waiting = await asyncio.gather(
            visitor.api.get("/v1/clocks", limit=_LISTED), asyncio.gather(*(self._of(kind) for kind in self._kinds))
        )
        self._clocks, self._waiting = clocks.body["items"], waiting
        new = [one.kind for one in waiting if one.items and one.kind.name not in self._showing]
        names = await asyncio.gather(*(lookups.named(visitor, kind.name) for kind in new))
        self._showing |= {kind.name: Showing(visitor, kind.machine.kind, named) for kind, named in zip(new, names, strict=True)}

    async def _of(self, kind: CaseKind) -> Waiting:
        states = kind.waits_in(self._visitor.principal)
        if not states:
            return Waiting(kind, [], more=False)
        mine = {"mine": "true"} if kind.name == "members" and not self._visitor.principal.may(Action.TEAMS_PROPOSE) else {}
        page = (await self._visitor.api.get(kind.path, state=states, limit=_LISTED, **mine)).body
        return Waiting(kind, page["items"], more=bool(page["next_cursor"]))

    def build(self) -> None:
        """Build the page."""
        visitor, t = self._visitor, self._visitor.t
        with frame(visitor, t("Response")):
            with ui.element("div").classes("page-head"):
                text("h1", t("Response"))
                self._count = text("span", "", "soft").props("role=status")
            with ui.element("div").classes("columns"):
                with ui.element("div").classes("stack"):
                    with panel(t("Overdue")) as head:
                        with head:
                            text("span", t("Internal targets are the centre's own, no time limits of the law."), "note")
                        self._late = ui.html("", tag="ul", sanitize=False).classes("clocks linked")
                    with panel(t("Waits for you")):
                        self._list = ui.html("", sanitize=False).classes("waiting")
                with ui.element("div").classes("stack"):
                    with panel(t("Clocks that run")):
                        self._running = ui.html("", tag="ul", sanitize=False).classes("clocks linked")
                    with panel(t("Everything")):
                        ui.html(self._all(), tag="nav", sanitize=False).classes("kinds").props["aria-label"] = t("Kinds of cases")
            self._show()
            ui.timer(REFRESH_SECONDS, self._refresh, immediate=False)

    async def _refresh(self) -> None:
        with telling(self._visitor):
            await self.read()
            self._show()

    def _show(self) -> None:
        t = self._visitor.t
        waiting = sum(len(one.items) for one in self._waiting)
        self._count.set_content(escape(t.n("{count} case waits for you", "{count} cases wait for you", waiting)))
        late = [one for one in self._clocks if one["overdue_seconds"]]
        running = [one for one in self._clocks if not one["overdue_seconds"]]
        self._late.set_content("".join(self._clock(one) for one in late) or _quiet(t("Nothing is past its time.")))
        self._running.set_content("".join(self._clock(one) for one in running[:CLOCKS]) or _quiet(t("No clock runs.")))
        found = "".join(self._waits(one) for one in self._waiting if one.items)
        self._list.set_content(
            found or f'<p class="notice">{escape(t("Nothing waits for you. What comes in appears here by itself."))}</p>'
        )

    def _clock(self, one: dict[str, Any]) -> str:
        visitor, t = self._visitor, self._visitor.t
        mark = tag_html(t("Exercise")) if one["exercise"] else ""
        whose = escape(visitor.agency_name(one["agency"])) if one["agency"] else escape(t("Whole city"))
        link = f'<a href="{link_of(one["number"])}">{escape(one["number"])}</a>'
        return clock_html(t, one["kind"], {**one, "stopped_at": None}).replace(
            "</li>", f'<span class="whose">{link} {whose} {mark}</span></li>'
        )

    def _waits(self, one: Waiting) -> str:
        t, kind = self._visitor.t, one.kind
        showing = self._showing[kind.name]
        rows = "".join(self._case(kind, showing, record) for record in one.items[:SHOWN])
        query = "&".join(f"state={state}" for state in kind.waits_in(self._visitor.principal))
        count = f"{number(len(one.items))}{'+' if one.more else ''}"
        all_of_it = f'<a class="all" href="/response/{kind.name}?{query}">{escape(t("All {count}", count=count))}</a>'
        head = f"<h3>{escape(t.word('kind', kind.name))} {all_of_it if len(one.items) > SHOWN else ''}</h3>"
        return f'{head}<ul class="cases-in-short">{rows}</ul>'

    def _case(self, kind: CaseKind, showing: Showing, record: dict[str, Any]) -> str:
        visitor = self._visitor
        title = title_of(visitor, kind, showing, record)[:LONG]
        return (
            f'<li><a href="{link_of(record["number"])}"><span class="number">{escape(record["number"])}</span> {escape(title)}</a>'
            f'<span class="soft">{agency_of(visitor, record)}</span>{state_html(visitor.t, kind.machine.kind, record["state"])}'
            f"{marks(visitor, record)}</li>"
        )

    def _all(self) -> str:
        t = self._visitor.t
        links = [(f"/response/{kind.name}", kind.icon, t.word("kind", kind.name)) for kind in self._kinds]
        if self._visitor.principal.may(Action.CENTRES_READ):
            links.append(("/response/delegations", "lan", t.word("kind", "delegations")))
        return "".join(
            f'<a href="{path}"><i class="material-icons" aria-hidden="true">{icon}</i>{escape(name)}</a>' for path, icon, name in links
        )


def _quiet(message: str) -> str:
    return f'<li class="quiet">{escape(message)}</li>'
