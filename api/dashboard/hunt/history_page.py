"""Running rules over history: which rules over which time, what it would cost, how far it is, what it found; and earlier hunts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any, Final
from urllib.parse import quote

from fastapi import Request
from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import empty, panel, state_html, text, time_html
from api.dashboard.frame import frame
from api.dashboard.hunt.asked import local, moment
from api.dashboard.hunt.buttons import tool
from api.dashboard.hunt.one_hunt import HuntPanel, between_html
from api.dashboard.hunt.tabs import tabs
from api.dashboard.telling import telling
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor
from core.permissions import Action

_RULES_AT_ONCE: Final = 500
_LISTED: Final = 20
_RIGHT: Final = ' class="right"'
_REFRESH: Final = 2.0
_USUAL: Final = timedelta(days=7)
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""No day of today's, so that times are told with theirs."""


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/hunt/history")
    async def history(request: Request) -> None:
        visitor = await Visitor.of(request)
        t = visitor.t
        if not visitor.principal.may(Action.HUNTS_RUN):
            with frame(visitor, t("Hunt")), ui.element("section").classes("panel"):
                empty(t("This role runs no hunts."), t("Ask the SOC lead if you need it."))
            return
        HistoryPage(visitor, request.query_params.get("hunt", ""), request.query_params.get("rule", ""))


class HistoryPage:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, hunt: str, rule: str) -> None:
        self._visitor, self._rule, self._listed = visitor, rule, ""
        t = visitor.t
        with frame(visitor, t("Hunt")):
            with ui.element("div").classes("page-head"):
                text("h1", t("Hunt"))
                tabs(visitor, "/hunt/history")
            self._ask_panel()
            self._panel = HuntPanel(visitor)
            with panel(t("Earlier hunts")):
                self._list = ui.html("", sanitize=False).classes("scroll").props("tabindex=0")
        ui.timer(0.05, lambda: self._begin(hunt), once=True)
        ui.timer(_REFRESH, self._refresh)

    def _ask_panel(self) -> None:
        t, now = self._visitor.t, self._visitor.centre.clock.now()
        with panel(t("Run rules over history"), t("Finds what has happened; opens no incident.")), ui.element("div").classes("hunt-ask"):
            self._rules = ui.select({}, multiple=True, label=t("Rules in force"), with_input=True, on_change=self._known)
            self._rules.props('outlined dense use-chips clearable input-debounce="200"').classes("whole")
            self._yaml = ui.textarea(t("Rules as Sigma YAML")).props(
                "outlined dense autogrow input-style='font-family: var(--mono); font-size: 13px'"
            )
            self._yaml.classes("whole")
            self._since = ui.input(t("From (Seoul time)"), value=local(now - _USUAL)).props(
                "outlined dense type=datetime-local step=1 stack-label"
            )
            self._until = ui.input(t("To (Seoul time)"), value=local(now)).props("outlined dense type=datetime-local step=1 stack-label")
            agencies = {one.id: self._visitor.agency_name(one.id) for one in self._visitor.centre.settings.agencies}
            own = self._visitor.principal.scope(Action.HUNTS_RUN)
            offered = {agency: name for agency, name in agencies.items() if own is None or agency in own}
            self._agencies = ui.select(offered, multiple=True, label=t("Agencies (none: all)")).props("outlined dense use-chips clearable")
            with ui.element("div").classes("hunt-choices"):
                tool(t("What would it cost?"), self._estimate)
                tool(t("Run"), self._run, main=True)
            self._cost = ui.html("", sanitize=False).classes("whole").props("role=status")

    async def _begin(self, hunt: str) -> None:
        with telling(self._visitor):
            self._rules.set_options(await self._rule_titles())
            if self._rule in self._rules.options:
                self._rules.set_value([self._rule])
            if text_of_draft := await ui.run_javascript("bongsuHunt.handedOver()", timeout=10):
                self._yaml.set_value(text_of_draft)
            if hunt:
                await self._panel.show(hunt)
        await self._refresh()

    async def _rule_titles(self) -> dict[str, str]:
        found: dict[str, str] = {}
        cursor = ""
        while not found or cursor:
            page = (await self._visitor.api.get("/v1/rules", limit=_RULES_AT_ONCE, cursor=cursor)).body
            found |= {one["rule_id"]: self._visitor.title(one["title"]) for one in page["items"]}
            cursor = page["next_cursor"]
            if not page["items"]:
                break
        return dict(sorted(found.items(), key=lambda one: one[1]))

    def _wish(self, *, dry_run: bool) -> dict[str, Any]:
        since, until = moment(str(self._since.value or "")), moment(str(self._until.value or ""))
        now = self._visitor.centre.clock.now()
        return {
            "since": (since or now - _USUAL).isoformat(),
            "until": (until or now).isoformat(),
            "rule_ids": list(self._rules.value or []),
            "rules": str(self._yaml.value or ""),
            "agencies": list(self._agencies.value or []) or None,
            "dry_run": dry_run,
        }

    async def _estimate(self) -> None:
        t = self._visitor.t
        with telling(self._visitor):
            cost = (await self._visitor.api.post("/v1/hunts", self._wish(dry_run=True))).body
            said = t(
                "About {seconds} s: {rows} events to look at, {size} MB of their columns.",
                seconds=number(cost["seconds"]),
                rows=number(cost["rows"]),
                size=number(cost["bytes"] / 1e6),
            )
            self._cost.set_content(escape(said))

    async def _run(self) -> None:
        with telling(self._visitor):
            made = (await self._visitor.api.post("/v1/hunts", self._wish(dry_run=False))).body
            ui.run_javascript(f"history.replaceState(null, '', '/hunt/history?hunt={made['id']}')")
            await self._panel.show(made["id"])
            await self._refresh()

    async def _known(self) -> None:
        """What history says of the one rule that is chosen."""
        t, chosen = self._visitor.t, list(self._rules.value or [])
        if len(chosen) != 1:
            self._cost.set_content("")
            return
        with telling(self._visitor):
            found = await self._first_knowable(chosen[0])
            if found is None:
                said = t("History was not searched for this rule yet.")
            elif not found["searched_at"]:
                said = t("History is being searched for this rule.")
            else:
                first = min((one["first_event_at"] for one in found["agencies"]), default="")
                counted = t.n("{count} match", "{count} matches", found["matches"])
                begin = time_html(first) if first else "–"
                self._cost.set_content(f"{escape(t('First knowable'))}: {begin} · {escape(counted)} · {between_html(found)}")
                return
            self._cost.set_content(escape(said))

    async def _first_knowable(self, rule_id: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = (await self._visitor.api.get(f"/v1/rules/{quote(rule_id, safe='')}/first-knowable")).body
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        return found

    async def _refresh(self) -> None:
        with telling(self._visitor):
            rows = (await self._visitor.api.get("/v1/hunts", kind="hunt", limit=_LISTED)).body["items"]
            shown = self._rows_html(rows)
            if shown != self._listed:
                self._listed = shown
                self._list.set_content(shown)
            await self._panel.refresh()

    def _rows_html(self, rows: list[dict[str, Any]]) -> str:
        t = self._visitor.t
        if not rows:
            hint = escape(t("Choose rules and a time above, and run."))
            return f'<div class="empty"><b>{escape(t("Nobody has hunted yet."))}</b><span>{hint}</span></div>'
        names = (t("Rules"), t("State"), t("Events from"), t("to"), t("Matches"), t("Asked by"), t("Asked at"))
        right = t("Matches")
        head = "".join(f'<th scope="col"{_RIGHT if name == right else ""}>{escape(name)}</th>' for name in names)
        body = "".join(self._row_html(row) for row in rows)
        return f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'

    def _row_html(self, row: dict[str, Any]) -> str:
        t, now = self._visitor.t, self._visitor.centre.clock.now()
        rules = row["rules"]
        title = self._visitor.title(rules[0]["title"]) if rules else "–"
        more = t(" and {count} more", count=number(len(rules) - 1)) if len(rules) > 1 else ""
        who = row["asked_by"].partition(":")[2] or row["asked_by"]
        return (
            f'<tr class="opens"><td><a href="/hunt/history?hunt={escape(row["id"], quote=True)}">{escape(title)}</a>{escape(more)}</td>'
            f"<td>{state_html(self._visitor, 'hunt', row['state'])}</td>"
            f'<td class="num">{time_html(row["since"], _LONG_AGO)}</td>'
            f'<td class="num">{time_html(row["until"], _LONG_AGO)}</td>'
            f'<td class="right num">{number(sum(one["matches"] for one in rules))}</td><td>{escape(who)}</td>'
            f'<td class="num">{time_html(row["asked_at"], now)}</td></tr>'
        )
