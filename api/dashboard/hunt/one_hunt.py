"""One hunt: how far it is and how long it will take, what it found by rule, agency and hour, and the events themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any, Final
from urllib.parse import urlencode

from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import panel, severity_html, state_html, text, time_html
from api.dashboard.hunt.buttons import tool
from api.dashboard.refusals import refusal
from api.dashboard.telling import telling
from api.dashboard.texts import number, share
from api.dashboard.visitor import Visitor
from core.clock import KST
from core.permissions import Action

_OPEN: Final = ("queued", "running")
_SHOWN: Final = 50
_HOUR: Final = timedelta(hours=1)
_MOST_BARS: Final = 24 * 62
_WORDS: Final = "#84909f"
_LINES: Final = "rgba(132,144,159,.20)"
_BAR: Final = "#5b8db8"


class HuntPanel:
    """The panel of a page; not seen until it shows a hunt."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor, self._id, self._seen, self._etag = visitor, "", "", ""
        self._in_turn = asyncio.Lock()  # what was asked first is not shown last
        t = visitor.t
        self._box = ui.element("div").classes("hunt-one")
        with self._box, panel(t("The hunt")):
            with ui.element("div").classes("hunt-progress"):
                self._line = ui.html("", sanitize=False).classes("line").props("role=status")
                self._bar = ui.html("", sanitize=False)
                self._cancel = tool(t("Cancel the hunt"), self._stop)
            self._rules = ui.html("", sanitize=False).classes("scroll").props("tabindex=0")
            label = t("What was found by the hour")
            self._hours = ui.echart(_options(t("matches"))).classes("hunt-hours").props(f'role=img aria-label="{label}"')
            self._title = text("p", t("The earliest of what was found"), "notice")
            self._events = ui.html("", sanitize=False).classes("hunt-found")
        self._box.set_visibility(False)

    async def show(self, hunt_id: str) -> None:
        """Show this hunt once it was read. Raises Refused."""
        async with self._in_turn:
            self._box.set_visibility(False)
            self._id, self._seen = hunt_id, ""
            try:
                await self._read()
            except Refused:
                self._id = ""  # not looked at again, nor told again
                raise
            self._box.set_visibility(True)

    async def refresh(self) -> None:
        """Bring up to date what has changed, if a hunt is shown. Raises Refused."""
        async with self._in_turn:
            if self._id:
                await self._read()

    async def _read(self) -> None:
        read = await self._visitor.api.get(f"/v1/hunts/{self._id}")
        hunt, self._etag = read.body, read.etag
        now = f"{hunt['state']} {hunt['slices_done']} {hunt['rows_done']}"
        is_open = hunt["state"] in _OPEN
        if now == self._seen and not is_open:
            return
        self._line.set_content(self._line_html(hunt))
        self._bar.set_content(self._bar_html(hunt))
        self._cancel.set_visibility(is_open)
        if now != self._seen:
            self._rules.set_content(self._rules_html(hunt))
            await self._found()
        self._seen = now

    async def _found(self) -> None:
        path = f"/v1/hunts/{self._id}"
        if not self._visitor.principal.may(Action.LOGS_READ):
            self._show_hours((await self._visitor.api.get(f"{path}/hours")).body["items"])
            self._title.set_visibility(False)
            return
        hours, found = await asyncio.gather(
            self._visitor.api.get(f"{path}/hours"), self._visitor.api.get(f"{path}/detections", limit=_SHOWN)
        )
        self._show_hours(hours.body["items"])
        self._title.set_visibility(bool(found.body["items"]))
        self._events.set_content(self._events_html(found.body["items"]))

    async def _stop(self) -> None:
        with telling(self._visitor):
            async with self._in_turn:
                await self._visitor.api.delete(f"/v1/hunts/{self._id}", etag=self._etag)
                await self._read()

    def _line_html(self, hunt: dict[str, Any]) -> str:
        t = self._visitor.t
        parts = [state_html(self._visitor, "hunt", hunt["state"]), between_html(hunt)]
        if hunt["rows_total"]:
            done, total = number(hunt["rows_done"]), number(hunt["rows_total"])
            parts.append(escape(t("{done} of {total} events ({share})", done=done, total=total, share=_share(hunt))))
        if (left := self._left(hunt)) is not None:
            parts.append(escape(t("about {seconds} s to go", seconds=number(round(left)))))
        if hunt["problem"]:
            parts.append(f"<b>{escape(refusal(t, hunt['problem']))}</b>")
        return "".join(f"<span>{part}</span>" for part in parts)

    def _left(self, hunt: dict[str, Any]) -> float | None:
        """The seconds a running hunt will still take, as it has gone so far; None when that is not known."""
        if hunt["state"] != "running" or not hunt["started_at"] or not hunt["rows_done"]:
            return None
        gone = (self._visitor.centre.clock.now() - datetime.fromisoformat(hunt["started_at"])).total_seconds()
        return float(max(0.0, gone * (hunt["rows_total"] - hunt["rows_done"]) / hunt["rows_done"]))

    def _bar_html(self, hunt: dict[str, Any]) -> str:
        label = escape(self._visitor.t("Progress"), quote=True)
        if hunt["state"] == "queued":
            return f'<progress aria-label="{label}"></progress>'
        most = hunt["rows_total"] or 1
        done = most if hunt["state"] == "done" else hunt["rows_done"]
        return f'<progress max="{most}" value="{done}" aria-label="{label}"></progress>'

    def _rules_html(self, hunt: dict[str, Any]) -> str:
        t = self._visitor.t
        names = {t("Severity"): "", t("Rule"): "", t("Agency"): "", t("Matches"): "right", t("First knowable"): ""}
        head = "".join(f'<th scope="col" class="{classes}">{escape(name)}</th>' for name, classes in names.items())
        rows = "".join(self._rule_html(rule) for rule in hunt["rules"])
        return f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'

    def _rule_html(self, rule: dict[str, Any]) -> str:
        t = self._visitor.t
        notes = []
        if rule["problem"]:
            notes.append(refusal(t, rule["problem"]))
        if rule["capped"]:
            notes.append(t("only the earliest {kept} are shown; all are counted", kept=number(rule["kept"])))
        if rule["off_at"]:
            named = ", ".join(self._visitor.agency_name(one) if one else t("every agency") for one in rule["off_at"])
            notes.append(t("switched off at {agencies}", agencies=named))
        about = escape(self._visitor.title(rule["title"])) + "".join(f'<div class="soft">{escape(note)}</div>' for note in notes)
        whole = f"<tr><td>{severity_html(self._visitor, rule['level'])}</td><td>{about}</td>"
        if not rule["agencies"]:
            return f'{whole}<td class="soft">–</td><td class="right num">0</td><td>–</td></tr>'
        rows = [
            f"<td>{escape(self._visitor.agency_name(one['agency']))}</td><td class='right num'>{number(one['matches'])}</td>"
            f'<td><a href="{_event_url(one["first_event_id"], one["first_event_at"])}">{time_html(one["first_event_at"])}</a></td></tr>'
            for one in rule["agencies"]
        ]
        return whole + "<tr><td></td><td></td>".join(rows)

    def _show_hours(self, hours: Sequence[dict[str, Any]]) -> None:
        self._hours.set_visibility(bool(hours))
        if not hours:
            return
        found = {datetime.fromisoformat(one["at"]): one["detections"] for one in hours}
        first, last = min(found), max(found)
        count = min(int((last - first) / _HOUR) + 1, _MOST_BARS)
        starts = [first + place * _HOUR for place in range(count)]
        self._hours.options["xAxis"]["data"] = [at.astimezone(KST).strftime("%m-%d %H:00") for at in starts]
        self._hours.options["series"][0]["data"] = [found.get(at, 0) for at in starts]
        self._hours.update()

    def _events_html(self, found: Sequence[dict[str, Any]]) -> str:
        if not found:
            return ""
        t = self._visitor.t
        names = (t("Time"), t("Agency"), t("Rule"), t("Line"))
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
        rows = "".join(
            f'<tr class="opens"><td class="num"><a href="{_event_url(one["event_id"], one["event_time"])}">'
            f"{time_html(one['event_time'])}</a></td>"
            f"<td>{escape(self._visitor.agency_name(one['agency']))}</td><td>{escape(self._visitor.title(one['rule_title']))}</td>"
            f'<td class="mono">{escape(one["raw"][:200])}</td></tr>'
            for one in found
        )
        return f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def between_html(of: dict[str, Any]) -> str:
    """From when to when history was searched."""
    return f"{time_html(of['since'])} – {time_html(of['until'])}"


def _event_url(event_id: str, at: str) -> str:
    """The search page with this event open, and what happened around it."""
    moment = datetime.fromisoformat(at)
    around = {"since": (moment - _HOUR / 4).isoformat(), "until": (moment + _HOUR / 4).isoformat(), "event": event_id}
    return escape(f"/hunt?{urlencode(around)}", quote=True)


def _share(hunt: dict[str, Any]) -> str:
    return share(min(hunt["rows_done"], hunt["rows_total"]), hunt["rows_total"])


def _options(name: str) -> dict[str, Any]:
    words, line = {"color": _WORDS, "fontSize": 11}, {"lineStyle": {"color": _LINES}}
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 52, "right": 18, "top": 12, "bottom": 26},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "confine": True},
        "xAxis": {
            "type": "category",
            "data": [],
            "axisTick": {"show": False},
            "axisLine": line,
            "axisLabel": words | {"hideOverlap": True},
        },
        "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 3, "axisLabel": words, "splitLine": line},
        "series": [{"type": "bar", "name": name, "data": [], "itemStyle": {"color": _BAR}}],
    }
