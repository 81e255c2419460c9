"""The query bar: the search with completion, the time, and what is wrong with it.

The field is the browser's own and keeps what is typed; `static/hunt.js` moves through what is offered and tells this module what happens.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from typing import Any, Final

from nicegui import ui
from nicegui.events import GenericEventArguments

from api.dashboard.client import Refused
from api.dashboard.hunt import writing
from api.dashboard.hunt.asked import RANGES, Asked, local, moment
from api.dashboard.hunt.columns import UNCOUNTED
from api.dashboard.hunt.mistakes import Mistake, marked_html
from api.dashboard.hunt.writing import Offer, Place
from api.dashboard.texts import Texts, number
from api.dashboard.visitor import Visitor
from core.events import EVENTS

_THROTTLE: Final = 0.1  # seconds between two questions for what could be typed
_SELECTED: Final = " selected"


class QueryBar:
    """The bar of one page. `asked` gives what the page shows; `run` is told what to show instead."""

    def __init__(self, visitor: Visitor, asked: Callable[[], Asked], run: Callable[[Asked], Any], stop: Callable[[], None]) -> None:
        self._visitor, self._asked, self._run = visitor, asked, run
        ui.html(self._html(asked()), sanitize=False).classes("query-bar")
        self._wrong = ui.html("", sanitize=False).classes("query-wrong").props("role=alert")
        ui.on("hunt-run", self._ran)
        ui.on("hunt-typed", self._typed, throttle=_THROTTLE, leading_events=False)
        ui.on("hunt-stop", lambda _: stop())

    def show(self, asked: Asked) -> None:
        """Make the fields say what is asked, and the address bar too."""
        told = {"q": asked.q, "range": asked.range, "since": _local(asked.since), "until": _local(asked.until), "url": asked.url}
        ui.run_javascript(f"bongsuHunt.asked({json.dumps(told)})")

    def busy(self, busy: bool) -> None:
        """Offer to stop while a search runs."""
        ui.run_javascript(f"bongsuHunt.busy({json.dumps(busy)})")

    def wrong(self, mistake: Mistake | None) -> None:
        """Say what is wrong, and where; None: nothing."""
        if mistake is None:
            self._wrong.set_content("")
            return
        where = ""
        if mistake.at is not None:
            place = self._visitor.t("Character {place}", place=number(mistake.at + 1))
            where = f'<pre tabindex="0">{marked_html(self._asked().q, mistake.at)}</pre><span class="soft">{escape(place)}</span> '
        self._wrong.set_content(f"<div>{where}<b>{escape(mistake.said)}</b></div>")

    def _ran(self, event: GenericEventArguments) -> Any:
        said = event.args
        query = {name: str(said.get(name, "")) for name in ("q", "range", "since", "until")}
        if query["range"]:
            query["since"] = query["until"] = ""
        return self._run(Asked.of({**query, "columns": ",".join(self._asked().columns)}))

    async def _typed(self, event: GenericEventArguments) -> None:
        text, caret, number_ = str(event.args.get("text", "")), int(event.args.get("caret", 0)), int(event.args.get("n", 0))
        at = writing.place(text, caret)
        offers = await self._values(at, event.args) if at.column else self._names(at)
        shown = [{"insert": one.insert, "label": one.label, "note": one.note} for one in offers[: writing.MOST_SHOWN]]
        ui.run_javascript(f"bongsuHunt.offer({json.dumps({'n': number_, 'start': at.start, 'end': at.end, 'offers': shown})})")

    def _names(self, at: Place) -> list[Offer]:
        t = self._visitor.t
        notes = {"AND": t("both"), "OR": t("either"), "NOT": t("but not")}
        found = [Offer(f"{word} ", word, notes[word]) for word in writing.operators(at)] if at.typed or at.after_value else []
        if at.typed or not at.after_value:
            columns = writing.columns_like(at.typed) if at.typed else [EVENTS.column(name) for name in _FIRST]
            found += [Offer(f"{column.name}:", column.name, t.word("column", column.name)) for column in columns]
        return found

    async def _values(self, at: Place, said: dict[str, Any]) -> list[Offer]:
        """The commonest values that begin with what was typed, in the time the bar says."""
        if at.column in UNCOUNTED:
            return []
        column, t = EVENTS.column(at.column), self._visitor.t
        since, until = Asked.of({name: str(said.get(name, "")) for name in ("range", "since", "until")}).between(
            self._visitor.centre.clock.now()
        )
        begins = f"{column.name}:{at.typed}*" if at.typed.isalnum() and column.kind.is_text else ""
        try:
            answer = await self._visitor.api.get(
                "/v1/events/values", of=column.name, q=begins, since=since.isoformat(), until=until.isoformat(), limit=50
            )
        except Refused:
            return []
        found = []
        for one in answer.body["commonest"]:
            for value in one["value"] if isinstance(one["value"], list) else [one["value"]]:
                if str(value).lower().startswith(at.typed.lower()):
                    note = t.n("{count} event", "{count} events", one["events"])
                    found.append(Offer(f"{writing.written(value)} ", str(value), note))
        return list({one.insert: one for one in found}.values())

    def _html(self, asked: Asked) -> str:
        t, texts = self._visitor.t, _labels(self._visitor.t)
        ranges = "".join(
            f'<option value="{name}"{_SELECTED if asked.range == name else ""}>{escape(label)}</option>' for name, label in texts.items()
        )
        own = f'<option value=""{_SELECTED if not asked.range else ""}>{escape(t("From … to …"))}</option>'
        labels = {
            "recent": t("Recent"),
            "saved": t("Saved"),
            "saved_now": t("Saved."),
            "forgotten": t("No longer saved."),
            "copied": t("Copied."),
        }
        person = escape(self._visitor.principal.name, quote=True)
        keep, list_of = escape(t("Keep this search in this browser"), quote=True), escape(t("Suggestions"), quote=True)
        return (
            f'<form class="query" role="search" data-hunt data-columns="{",".join(asked.columns)}" data-person="{person}"'
            f" data-labels='{escape(json.dumps(labels), quote=True)}'>"
            f'<div class="query-field"><label class="unseen" for="hunt-q">{escape(t("Search events"))}</label>'
            f'<input id="hunt-q" type="text" role="combobox" aria-autocomplete="list" aria-expanded="false" aria-controls="hunt-list" '
            f'autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="4000" '
            f'placeholder="{escape(_EXAMPLE, quote=True)}" value="{escape(asked.q, quote=True)}">'
            f'<ul id="hunt-list" role="listbox" aria-label="{list_of}" hidden></ul></div>'
            f'<button type="button" class="tool" data-hunt-save aria-pressed="false" title="{keep}">'
            f'<i class="material-icons" aria-hidden="true">star_border</i><span class="unseen">{escape(t("Save search"))}</span></button>'
            f'<button type="button" class="tool" data-hunt-help>?<span class="unseen">{escape(t("Help on the language"))}</span></button>'
            f'<label class="unseen" for="hunt-range">{escape(t("Time range"))}</label>'
            f'<select id="hunt-range" class="tool">{ranges}{own}</select>'
            f'<span class="own-range" data-own-range{"" if not asked.range else " hidden"}>'
            f'<label>{escape(t("From"))} <input type="datetime-local" step="1" id="hunt-since" value="{_local(asked.since)}"></label>'
            f'<label>{escape(t("to"))} <input type="datetime-local" step="1" id="hunt-until" value="{_local(asked.until)}"></label>'
            f'<small class="soft">KST</small></span>'
            f'<button type="submit" class="tool go">{escape(t("Search"))}</button>'
            f'<button type="button" class="tool" data-hunt-stop hidden>{escape(t("Stop"))}</button>'
            f'<span class="unseen" role="status" data-hunt-said></span></form>'
        )


_FIRST: Final = ("src_ip", "dst_ip", "dst_port", "disposition", "agency", "user", "url", "log_class", "sig_name", "domain")
_EXAMPLE: Final = 'src_ip:10.0.0.0/8 AND dst_port:(22 OR 3389) AND "union select"'


def _labels(t: Texts) -> dict[str, str]:
    labels = {"15m": t("Last 15 minutes"), "1h": t("Last hour"), "24h": t("Last day"), "7d": t("Last week")}
    return {name: labels[name] for name in RANGES}


def _local(at: Any) -> str:
    found = moment(at) if isinstance(at, str) else at
    return "" if found is None else local(found)
