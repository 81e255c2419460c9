"""The lines that prove an incident, with the words marked that made the rule fire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from nicegui import ui

from api.dashboard.conditions import condition
from api.dashboard.elements import panel, text, time_html
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor

FIRST = 20
MORE = 50


class EvidencePanel:
    """The panel; `show` brings it up to date and leaves alone what has not changed."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor, self._most = visitor, FIRST
        self._shown = ""
        self._detail: Mapping[str, Any] = {}
        self._lines: Mapping[str, Mapping[str, Any]] = {}
        t = visitor.t
        with panel(t("Evidence")) as head:
            with head:
                self._note = text("span", "", "note")
            self._hidden = text("p", t("This role does not read raw logs; their SHA-256 is shown instead."), "notice")
            self._list = ui.html("", tag="ol", sanitize=False).classes("evidence")
            self._more = ui.button(t("More lines"), color=None, on_click=self._show_more).props("flat no-caps").classes("more-lines")

    def show(self, detail: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> None:
        """Show the evidence of an incident; `lines` say what held on each (`/reasons`)."""
        self._detail, self._lines = detail, {one["detection_id"]: one for one in lines}
        self._draw()

    def _show_more(self) -> None:
        self._most += MORE
        self._draw()

    def _draw(self) -> None:
        t, kept = self._visitor.t, self._detail["evidence"]
        note = t("{kept} of {all} detections kept as evidence", all=number(self._detail["detections"]), kept=number(len(kept)))
        html = "".join(self._item(one) for one in kept[: self._most])
        if html != self._shown:
            self._shown = html
            self._list.set_content(html)
        self._note.set_content(escape(note))
        self._hidden.set_visibility(any(one["raw"] is None for one in kept))
        self._more.set_visibility(len(kept) > self._most)

    def _item(self, one: Mapping[str, Any]) -> str:
        why = self._lines.get(one["detection_id"], {})
        hits = why.get("hits", [])
        if one["raw"] is None:
            line = f"sha256 {one['raw_sha256']}"
        else:
            line = marked(one["raw"], [tuple(span) for hit in hits for span in hit["spans"]])
        event = escape(one["event_id"], quote=True)
        return (
            f'<li><div class="about"><span class="num">{time_html(one["event_time"])}</span>'
            f'<span class="soft">{escape(self._visitor.title(one["rule_title"]))}</span><span class="id">{event}</span></div>'
            f'<pre tabindex="0" aria-label="{escape(self._visitor.t("Raw line"), quote=True)}">{line}</pre>{self._why(why, hits)}</li>'
        )

    def _why(self, why: Mapping[str, Any], hits: Sequence[Mapping[str, Any]]) -> str:
        t = self._visitor.t
        said = list(dict.fromkeys(f"<b>{escape(one['detection'])}</b>: {escape(condition(t, one['test']))}" for one in hits))
        member = f'<span class="soft">{escape(t("matched by {rule}", rule=why["member"]))}</span>' if why.get("member") else ""
        if not said and not member:
            return ""
        return f'<ul class="held">{member}{"".join(f"<li>{one}</li>" for one in said)}</ul>'


def marked(line: str, spans: Iterable[tuple[int, int]]) -> str:
    """`line` as HTML with the parts in `spans` (begin and end, in characters) marked; those that touch or overlap are one."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted((max(begin, 0), min(end, len(line))) for begin, end in spans):
        if begin >= end:
            continue
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    pieces, at = [], 0
    for begin, end in found:
        pieces.append(f"{escape(line[at:begin])}<mark>{escape(line[begin:end])}</mark>")
        at = end
    return "".join(pieces) + escape(line[at:])
