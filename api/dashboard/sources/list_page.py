"""The sources of every agency, or of one: when each was last heard, how fast, how well it is read, and how its clock goes."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape
from typing import Any, Final

from fastapi import Request
from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import empty, panel, tag_html, text, time_html
from api.dashboard.frame import frame
from api.dashboard.telling import telling, why
from api.dashboard.texts import number, share
from api.dashboard.visitor import Visitor
from core.events import UNKNOWN_AGENCY
from core.permissions import Action

REFRESH_SECONDS: Final = 10.0
READY_SECONDS: Final = 30.0
LATE: Final = timedelta(minutes=5)
SILENT: Final = timedelta(hours=1)
_COLUMNS: Final = ("source", "state", "last", "rate", "parsed", "skewed", "parser")
_RIGHT: Final = frozenset({"last", "rate", "parsed", "skewed"})


def register() -> None:
    """Make the pages known to NiceGUI."""

    @ui.page("/sources", response_timeout=READY_SECONDS)
    async def sources(request: Request) -> None:
        await _page(await Visitor.of(request), "")

    @ui.page("/sources/{agency}", response_timeout=READY_SECONDS)
    async def of_agency(request: Request, agency: str) -> None:
        await _page(await Visitor.of(request), agency)


def state_of(last_at: str | None, now: datetime) -> str:
    """live, late (nothing for five minutes), silent (for an hour) or never."""
    if not last_at:
        return "never"
    ago = now - datetime.fromisoformat(last_at)
    return "live" if ago < LATE else "late" if ago < SILENT else "silent"


async def _page(visitor: Visitor, agency: str) -> None:
    t = visitor.t
    try:
        found = (await visitor.api.get("/v1/sources")).body
        baselines = (await visitor.api.get("/v1/baselines")).body if agency and visitor.principal.may(Action.RULES_READ) else None
    except Refused as error:
        with frame(visitor, t("Sources")), ui.element("section").classes("panel"):
            empty(t.word("problem", error.code), why(visitor, error).partition("\n")[2])
        return
    with frame(visitor, visitor.agency_name(agency) if agency else t("Sources")):
        if agency:
            ui.html(f'<a class="back" href="/sources">← {escape(t("Back to the sources"))}</a>', sanitize=False)
        with ui.element("div").classes("page-head"):
            text("h1", visitor.agency_name(agency) if agency else t("Agencies and sources"))
            if visitor.principal.may(Action.LOGS_READ):
                ui.html(f'<a class="tool primary" href="/sources/new">{escape(t("Connect a source"))}</a>', sanitize=False).classes(
                    "at-end"
                )
        place = ui.element("div").classes("stack")
        shown = _Shown(visitor, place, agency)
        shown.show(found)
        if baselines is not None:
            _usual(visitor, [one for one in baselines["sources"] if one["agency"] == agency])

    async def refresh() -> None:
        with telling(visitor):
            shown.show((await visitor.api.get("/v1/sources")).body)

    ui.timer(REFRESH_SECONDS, refresh, immediate=False)


class _Shown:
    """The tables by agency; only what differs is sent again."""

    def __init__(self, visitor: Visitor, place: ui.element, agency: str) -> None:
        self._visitor = visitor
        self._place = place
        self._agency = agency
        self._tables: dict[str, tuple[str, ui.html]] = {}

    def show(self, found: dict[str, Any]) -> None:
        """Show what the API told."""
        t = self._visitor.t
        items = [one for one in found["items"] if not self._agency or one["agency"] == self._agency]
        known = [one.id for one in self._visitor.centre.settings.agencies if not self._agency or one.id == self._agency]
        heard = {one["agency"] for one in items}
        agencies = [*(one for one in known if one in heard or not self._agency), *sorted(heard - {*known})]
        if not agencies and not self._tables:
            with self._place, ui.element("section").classes("panel"):
                empty(t("No source is known."), t("Connect one: the wizard gives what its forwarder needs, and waits for the first line."))
        for agency in agencies:
            body = self._rows([one for one in items if one["agency"] == agency], datetime.fromisoformat(found["at"]))
            if agency not in self._tables:
                self._tables[agency] = (body, self._made(agency, body))
            elif self._tables[agency][0] != body:
                self._tables[agency][1].set_content(body)
                self._tables[agency] = (body, self._tables[agency][1])

    def _made(self, agency: str, body: str) -> ui.html:
        t = self._visitor.t
        note = t("senders no setting names") if agency == UNKNOWN_AGENCY else agency
        with self._place, panel(self._visitor.agency_name(agency), note) as head:
            if not self._agency and agency != UNKNOWN_AGENCY:
                with head:
                    ui.html(
                        f'<a class="tool" href="/sources/{escape(agency, quote=True)}">{escape(t("Details"))}</a>', sanitize=False
                    ).classes("at-end")
            with ui.element("div").classes("scroll").props("tabindex=0"):
                return ui.html(body, tag="table", sanitize=False).classes("list sources-table")

    def _rows(self, items: list[dict[str, Any]], now: datetime) -> str:
        t = self._visitor.t
        if not items:
            return f'<tbody><tr><td class="soft">{escape(t("Nothing is set up and nothing came yet."))}</td></tr></tbody>'
        titles = (t("Source"), t("State"), t("Last line"), t("Lines/s"), t("Parsed"), t("Clock off"), t("Parser"))
        named = zip(_COLUMNS, titles, strict=True)
        head = "".join(f'<th scope="col"{" class=right" if name in _RIGHT else ""}>{escape(title)}</th>' for name, title in named)
        return f"<thead><tr>{head}</tr></thead><tbody>{''.join(self._row(one, now) for one in items)}</tbody>"

    def _row(self, one: dict[str, Any], now: datetime) -> str:
        t = self._visitor.t
        state = state_of(one["last_at"], now)
        mark = "" if one["declared"] else tag_html(t("not in the settings"))
        cells = {
            "source": f"<b>{escape(one['source'])}</b> {mark}",
            "state": f'<span class="heard is-{state}">{escape(t.word("source_state", state))}</span>',
            "last": time_html(one["last_at"], now),
            "rate": number(float(one["per_second"])),
            "parsed": share(one["parsed"], one["lines"]) if one["lines"] else "–",
            "skewed": share(one["skewed"], one["lines"]) if one["lines"] else "–",
            "parser": escape(one["parser"]) or "–",
        }
        return (
            "<tr>" + "".join(f'<td class="{"right num" if name in _RIGHT else ""}">{cell}</td>' for name, cell in cells.items()) + "</tr>"
        )


def _usual(visitor: Visitor, sources: list[dict[str, Any]]) -> None:
    t = visitor.t
    with panel(t("What is usual"), t("learned from the last five weeks")):
        if not sources:
            empty(t("Nothing is learned yet."), t("It takes some days of lines."))
            return
        titles = (t("Source"), t("State"), t("First heard"), t("Lines in such an hour"), t("Silence last told"))
        head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
        rows = "".join(
            f"<tr><td><b>{escape(one['source'])}</b></td>"
            f"<td>{escape(t.word('baseline_state', one['state']))}</td>"
            f"<td>{time_html(one['first'])}</td><td class='num'>{_lines(one['usual_lines'])}</td>"
            f"<td>{time_html(one['silence_told'])}</td></tr>"
            for one in sources
        )
        with ui.element("div").classes("scroll").props("tabindex=0"):
            ui.html(f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>", tag="table", sanitize=False).classes("list")


def _lines(usual: float | None) -> str:
    return "–" if usual is None else number(usual)
