"""The wait for a source's first line: it ends with a line that was read; one that was not is shown with its reason until then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.elements import text, time_html
from api.dashboard.visitor import Visitor
from core.events import UNKNOWN_AGENCY
from core.permissions import Action

_SKEW: Final = timedelta(days=2)
_TIMES: Final = frozenset({"event_time", "received_at"})
_HIDDEN: Final = frozenset({"event_id", "raw", "agency", "source"})
_OFFERED: Final = 8
_ITSELF: Final = "no_parser"
"""The reason whose detail says nothing more."""
Source = tuple[str, str]
"""An agency's id and the source's name."""


class FirstLine:
    """What has come since the page was opened. `claim` is given the address of a sender nobody claims when the visitor chooses it."""

    def __init__(self, visitor: Visitor, claim: Callable[[str], None]) -> None:
        self._visitor, self._claim = visitor, claim
        self._since = visitor.centre.clock.now()
        self._known: set[str] = set()
        self._done = False
        t = visitor.t
        waiting = f'<p class="lead">{escape(t("Waiting for the first line ..."))}</p>'
        self._place = ui.html(waiting, sanitize=False).props("role=status")
        self._refused = ""
        self._strangers = ui.element("div")

    async def look(self, source: Source | None) -> None:
        """Ask whether a line of `source` came (None: it has no name yet). Raises Refused."""
        if self._done:
            return
        if source:
            event = await self._event(source)
            if event is not None:
                self._done = True
                self._place.set_content(self._read(event))
                self._strangers.clear()
                return
            line = await self._quarantined(source)
            if line is not None and line["event_id"] != self._refused:
                self._refused = line["event_id"]
                self._place.set_content(self._not_read(line))
        if self._visitor.principal.scope(Action.LOGS_READ) is None:
            found = (await self._visitor.api.get("/v1/sources")).body["items"]
            self._offer([one["source"] for one in found if one["agency"] == UNKNOWN_AGENCY])

    async def _event(self, source: Source) -> dict[str, Any] | None:
        now = self._visitor.centre.clock.now()
        span = {"since": (now - _SKEW).isoformat(), "until": (now + _SKEW).isoformat()}  # its clock may be wrong
        asked = f'received_at:["{self._since:%Y-%m-%dT%H:%M:%SZ}" TO *]'
        of_it = {"agency": source[0], "source": source[1]}
        found = (await self._visitor.api.get("/v1/events", q=asked, limit=1, **of_it, **span)).body["items"]
        return found[0] if found else None

    async def _quarantined(self, source: Source) -> dict[str, Any] | None:
        since = self._since.replace(microsecond=0)
        span = {"since": since.isoformat(), "until": (self._visitor.centre.clock.now() + timedelta(seconds=1)).isoformat()}
        found = (await self._visitor.api.get("/v1/quarantine", limit=1, agency=source[0], source=source[1], **span)).body["items"]
        return found[0] if found else None

    def _read(self, event: dict[str, Any]) -> str:
        t = self._visitor.t
        shown = ((name, value) for name, value in event.items() if name not in _HIDDEN)
        columns = "".join(f"<div><dt>{escape(name)}</dt><dd>{_value_html(name, value)}</dd></div>" for name, value in shown)
        return (
            f'<p class="lead first-line"><b>{escape(t("We received your first line and parsed it so:"))}</b> '
            f"{escape(t('parser {parser}', parser=event.get('parser', '')))} · {time_html(event.get('received_at'))}</p>"
            f"{self._raw(event)}<dl class='event first-event'>{columns}</dl>"
        )

    def _not_read(self, line: dict[str, Any]) -> str:
        t, reason = self._visitor.t, line["reason"]
        why = escape(t.word("quarantine", reason))
        detail = f" <span class='soft'>({escape(line['detail'])})</span>" if line.get("detail") and reason != _ITSELF else ""
        return (
            f'<p class="lead first-line is-refused"><b>{escape(t("A line came, but it could not be read. It is kept in quarantine."))}</b> '
            f"{time_html(line['received_at'])}</p>"
            f"{self._raw(line) if line.get('raw') else ''}"
            f"<dl class='facts unread'><div><dt>{escape(t('Why'))}</dt><dd>{why}{detail}</dd></div>"
            f"<div><dt>{escape(t('What to do'))}</dt><dd>{escape(t.word('quarantine_advice', reason))}</dd></div></dl>"
            f'<p class="lead">{escape(t("Waiting for a line that can be read ..."))}</p>'
        )

    def _raw(self, line: dict[str, Any]) -> str:
        name = escape(self._visitor.t("The line as it came"), quote=True)
        return f'<pre class="yaml wraps" tabindex="0" role="region" aria-label="{name}">{escape(line["raw"])}</pre>'

    def _offer(self, strangers: list[str]) -> None:
        """What came and is nobody's may be this source: its address is one click away."""
        t = self._visitor.t
        shown = strangers[:_OFFERED]
        if {*shown} == self._known:
            return
        self._known = {*shown}
        self._strangers.clear()
        with self._strangers:
            if shown:
                text("p", t("Lines came from senders nobody claims. Is one of them yours?"), "lead")
            with ui.element("div").classes("tools strangers"):
                for one in shown:
                    address = one.removeprefix("unknown-")
                    ui.button(address, on_click=partial(self._claim, address), color=None).props("flat no-caps dense")


def _value_html(column: str, value: Any) -> str:
    return time_html(value) if column in _TIMES else escape(str(value))
