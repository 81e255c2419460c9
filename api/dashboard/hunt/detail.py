"""One event beside the table: its line with what was met marked, what it led to, ways on from it, its columns, and OCSF."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any, Final
from urllib.parse import quote

from nicegui import ui
from nicegui.events import GenericEventArguments

from api.dashboard.client import Refused
from api.dashboard.elements import severity_html, time_html
from api.dashboard.hunt.asked import SHOWABLE, Asked
from api.dashboard.hunt.fields import filters_html, value_text
from api.dashboard.hunt.writing import with_value
from api.dashboard.telling import telling
from api.dashboard.visitor import Visitor
from core.events import EVENTS, Kind

_AROUND: Final = timedelta(minutes=15)
_PIVOTS: Final = ("src_ip", "dst_ip", "user", "device", "domain", "dns_query", "file_hash", "url")


class EventPanel:
    """The panel of a page, shut until `open`."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        label = visitor.t("Event")
        self._box = ui.html("", tag="aside", sanitize=False).classes("event-panel").props(f'id=event-panel aria-label="{label}" hidden')
        ui.on("hunt-ocsf", self._ocsf)

    async def open(self, event_id: str, q: str) -> None:
        """Show the event of that id, as `q` found it."""
        api, path = self._visitor.api, f"/v1/events/{quote(event_id, safe='')}"
        with telling(self._visitor):
            event, led = await asyncio.gather(api.get(path), api.get(f"{path}/detections"))
            try:
                met = (await api.get(f"{path}/marks", q=q)).body
            except Refused:  # a search that cannot be read marks nothing
                met = {"columns": [], "spans": []}
            self._box.set_content(self._html(event.body, led.body["items"], met))
            ui.run_javascript("bongsuHunt.panel(true)")

    async def _ocsf(self, event: GenericEventArguments) -> None:
        with telling(self._visitor):
            found = await self._visitor.api.get(f"/v1/events/{quote(str(event.args), safe='')}/ocsf")
            shown = json.dumps(found.body, ensure_ascii=False, indent=2)
            ui.run_javascript(f"bongsuHunt.ocsf({json.dumps(shown)})")

    def _html(self, event: dict[str, Any], led: Sequence[dict[str, Any]], met: dict[str, Any]) -> str:
        t, event_id = self._visitor.t, escape(event["event_id"], quote=True)
        return (
            f'<header><h2 tabindex="-1">{escape(t("Event"))}</h2><span class="soft">{time_html(event["event_time"])} KST</span>'
            f'<button type="button" class="tool" data-hunt-shut aria-label="{escape(t("Close"))}">✕</button></header>'
            f"<section><h3>{escape(t('Line as it came'))} {_copy(t('Copy the line'), 'event-raw')}</h3>"
            f'<pre id="event-raw" tabindex="0">{marked(event["raw"], met["spans"])}</pre></section>'
            f"<section><h3>{escape(t('Led to'))}</h3>{self._led_html(led)}</section>"
            f"<section><h3>{escape(t('Around this time'))}</h3>{self._pivots_html(event)}</section>"
            f'<section><h3>{escape(t("Columns"))}</h3><table class="list">{self._columns_html(event, met["columns"])}</table></section>'
            f'<section><details data-hunt-ocsf="{event_id}"><summary>OCSF</summary>'
            f'<div>{_copy(t("Copy the JSON"), "event-ocsf")}<a class="tool" href="/v1/events/{event_id}/ocsf" download="{event_id}.json">'
            f'{escape(t("Download"))}</a></div><pre id="event-ocsf" tabindex="0"></pre></details></section>'
            f'<footer class="soft mono">{event_id}</footer>'
        )

    def _led_html(self, led: Sequence[dict[str, Any]]) -> str:
        t = self._visitor.t
        if not led:
            return f'<p class="soft">{escape(t("No rule has matched this event."))}</p>'
        return f"<ul>{''.join(f'<li>{self._one_led(one)}</li>' for one in led)}</ul>"

    def _one_led(self, one: dict[str, Any]) -> str:
        t = self._visitor.t
        number = escape(one["incident"], quote=True)
        where = f'<a href="/incidents/{number}">{number}</a>' if number else ""
        if not where and one["origin"] == "hunt":
            where = f'<span class="soft">{escape(t("found by a hunt"))}</span>'
        return f"{severity_html(self._visitor, one['rule_level'])} <span>{escape(self._visitor.title(one['rule_title']))}</span> {where}"

    def _pivots_html(self, event: dict[str, Any]) -> str:
        t, at = self._visitor.t, datetime.fromisoformat(event["event_time"])
        around = Asked().within(at - _AROUND, at + _AROUND)
        found = []
        for name in _PIVOTS:
            if event.get(name):
                url = Asked(q=with_value("", name, event[name]), range="", since=around.since, until=around.until).url
                said = f"{name} {event[name]}"
                found.append(f'<li><a href="{escape(url, quote=True)}">{escape(said)}</a></li>')
        everywhere = Asked(q=with_value("", "source", event["source"]), range="", since=around.since, until=around.until).url
        found.append(
            f'<li><a href="{escape(everywhere, quote=True)}">{escape(t("everything of source {source}", source=event["source"]))}</a></li>'
        )
        return f'<p class="soft">{escape(t("15 minutes before and after"))}</p><ul>{"".join(found)}</ul>'

    def _columns_html(self, event: dict[str, Any], met: Sequence[str]) -> str:
        return "".join(self._row(name, event[name], name in met) for name in SHOWABLE if name in event and name != "raw")

    def _row(self, name: str, value: Any, met: bool) -> str:
        t = self._visitor.t
        is_time = EVENTS.column(name).kind is Kind.TIME
        shown = value_text(self._visitor, name, value)
        cell = time_html(value) if is_time else f"<mark>{escape(shown)}</mark>" if met else escape(shown)
        filters = "" if is_time else filters_html(t, name, value, shown)
        return (
            f'<tr><th scope="row"><b>{name}</b><small>{escape(t.word("column", name))}</small></th>'
            f'<td><span class="mono">{cell}</span></td><td class="right">{filters}</td></tr>'
        )


def marked(line: str, spans: Sequence[Sequence[int]]) -> str:
    """The line with these parts marked, HTML."""
    return "".join(f"<mark>{escape(part)}</mark>" if met else escape(part) for part, met in _parts(line, spans))


def _parts(line: str, spans: Sequence[Sequence[int]]) -> Iterator[tuple[str, bool]]:
    at = 0
    for start, end in spans:
        yield line[at:start], False
        yield line[start:end], True
        at = end
    yield line[at:], False


def _copy(label: str, target: str) -> str:
    return f'<button type="button" class="mini wide" data-hunt-copy="{target}">{escape(label)}</button>'
