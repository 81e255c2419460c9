"""The numbers of the mayor's page: this month against the last, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from api.dashboard.beacons import FIRES
from api.dashboard.elements import severity_html
from api.dashboard.response.shown import duration
from api.dashboard.texts import Texts, number
from api.dashboard.visitor import Visitor

Record = Mapping[str, Any]


def headline(visitor: Visitor, effect: Record, readiness: Record) -> str:
    """The level of the national warning in force, and beside it the centre's own readiness, never one as the other."""
    t = visitor.t
    level = effect["level_en"] if t.language == "en" else effect["level_ko"]
    warning = effect["warning"]
    told = f"{warning['issuer']} {warning['reference']}" if warning else t("No warning is in force.")
    own = readiness["readiness"]
    named = {one["id"]: one["en"] if t.language == "en" else one["ko"] for one in readiness["policy"]["levels"]}
    own_level = named.get(own["level"], own["level"]) if own else t("Normal")
    return _card(t("National cyber warning"), level, told, effect["effects"]["banner"] or "calm") + _card(
        t("The centre is ready at"), own_level, t("Decided by the centre itself; no national warning")
    )


def month(visitor: Visitor, now: Record, before: Record) -> str:
    """Incidents and reports of this month, and what they were last month."""
    t = visitor.t
    cards = [_card(t("Incidents this month"), number(now["incidents"]), _against(t, now["incidents"], before["incidents"]))]
    this, last = now["reports"], before["reports"]
    if this is not None and last is not None:
        cards.append(_card(t("Reports from agencies"), number(this["submitted"]), _against(t, this["submitted"], last["submitted"])))
        median = this["median_seconds"]
        took = duration(t, median) if median is not None else "–"
        late = t.n("{count} later than the centre's target", "{count} later than the centre's target", this["late"])
        cards.append(_card(t("Typical time until an accident is reported"), took, late))
    return "".join(cards)


def severities(visitor: Visitor, now: Record, before: Record) -> str:
    """Incidents by severity, this month and the last."""
    t = visitor.t
    rows = "".join(
        f'<tr><th scope="row">{severity_html(visitor, severity)}</th>'
        f'<td class="count">{number(now["by_severity"].get(severity, 0))}</td>'
        f'<td class="count soft">{number(before["by_severity"].get(severity, 0))}</td></tr>'
        for severity in reversed(FIRES)
    )
    head = "".join(f'<th scope="col" class="count">{escape(name)}</th>' for name in (t("This month"), t("Last month")))
    return (
        f'<table class="list calm"><thead><tr><th scope="col">{escape(t("Severity"))}</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )


def compliance(visitor: Visitor, found: Record) -> str:
    """How many paragraphs of the law stand how."""
    t, states = visitor.t, found["states"]
    return "".join(
        f'<div class="card"><span class="name"><span class="standing is-{state}">{escape(t.word("standing", state))}</span></span>'
        f'<span class="value">{number(states.get(state, 0))}</span></div>'
        for state in ("met", "partly", "overdue", "nothing")
    )


def _card(name: str, value: str, note: str, mood: str = "calm") -> str:
    return (
        f'<div class="big is-{escape(mood, quote=True)}"><span class="name">{escape(name)}</span><span class="value">{escape(value)}</span>'
        f'<span class="note">{escape(note)}</span></div>'
    )


def _against(t: Texts, now: int, before: int) -> str:
    return t("last month: {count}", count=number(before)) if now or before else t("last month: none")
