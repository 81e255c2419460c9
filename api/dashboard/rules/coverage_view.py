"""Can this fire here? For each agency which rules can fire on what its sources really fill, and why the others cannot."""

from __future__ import annotations

from html import escape
from typing import Any

from nicegui import ui

from api.dashboard.elements import empty, panel, text
from api.dashboard.rules import reading
from api.dashboard.texts import number, share
from api.dashboard.visitor import Visitor


async def show(visitor: Visitor) -> None:
    """Build the view. Refused when the visitor may not."""
    t = visitor.t
    found = (await visitor.api.get("/v1/rules/coverage", hours=24)).body
    titles = await reading.titles(visitor)
    with panel(t("Can this fire here?"), t("by the lines of the last 24 hours")):
        if not found["agencies"] or not titles:
            empty(t("Nothing can be told yet."), t("It takes rules that run, and lines of at least one agency."))
            return
        text("p", t("A rule can fire at an agency when some source of it fills every column the rule needs."), "lead")
        for agency in found["agencies"]:
            _agency(visitor, agency, titles)


def _agency(visitor: Visitor, found: dict[str, Any], titles: dict[str, str]) -> None:
    t = visitor.t
    can, cannot = len(found["can"]), sum(len(one["rules"]) for one in found["cannot"])
    told = t("{can} of {all} rules can fire", can=number(can), all=number(can + cannot))
    meter = f'<span class="meter" aria-hidden="true"><i style="width:{100 * can / max(can + cannot, 1):.0f}%"></i></span>'
    techniques = t("{count} techniques", count=number(len(found["techniques"])))
    reasons = "".join(_reason(visitor, one, titles) for one in _most_first(found["cannot"]))
    ui.html(
        f'<summary><b>{escape(visitor.agency_name(found["agency"]))}</b>{meter}<span class="num">{escape(told)}</span>'
        f'<span class="soft num">{share(can, can + cannot)} · {escape(techniques)}</span>'
        f"</summary><ul>{reasons}</ul>",
        tag="details",
        sanitize=False,
    ).classes("agency-coverage")


def _most_first(cannot: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(cannot, key=lambda one: -len(one["rules"]))


def _reason(visitor: Visitor, one: dict[str, Any], titles: dict[str, str]) -> str:
    count = visitor.t.n("{count} rule", "{count} rules", len(one["rules"]))
    links = ", ".join(f'<a href="/rules/{escape(rule, quote=True)}">{escape(titles.get(rule, rule))}</a>' for rule in one["rules"])
    return f'<li><b>{escape(reading.because(visitor, one["because"]))}</b> <span class="soft">{escape(count)}</span><p>{links}</p></li>'
