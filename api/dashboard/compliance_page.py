"""The compliance page: each paragraph of the law this system answers to, how it stands, and the evidence behind it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby
from typing import Final

from fastapi import Request
from nicegui import ui

from api.compliance import judge
from api.compliance.facts import Fact, State
from api.compliance.judge import Judged
from api.dashboard.elements import empty, text, time_html
from api.dashboard.frame import frame
from api.dashboard.texts import kst, number, utc
from api.dashboard.visitor import Visitor
from core.errors import StoreError
from core.permissions import Action

READY_SECONDS: Final = 30.0
"""A page of many facts is given more time than the three seconds NiceGUI gives others."""
SHOWN_AGENCIES: Final = 12


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/compliance", response_timeout=READY_SECONDS)
    async def compliance(request: Request) -> None:
        visitor = await Visitor.of(request)
        t = visitor.t
        if not visitor.principal.may(Action.DUTIES_READ):
            _nothing(visitor, t("This role does not read compliance."), t("Ask the SOC lead if you need it."))
            return
        try:
            found = await judge.judge(visitor.centre, visitor.principal)
        except StoreError:
            _nothing(visitor, t("This cannot be shown right now."), t("The database does not answer. Try again in a moment."))
        else:
            _page(visitor, found)


def _nothing(visitor: Visitor, title: str, hint: str) -> None:
    with frame(visitor, visitor.t("Compliance")), ui.element("section").classes("panel"):
        empty(title, hint)


def _page(visitor: Visitor, found: Sequence[Judged]) -> None:
    t = visitor.t
    with frame(visitor, t("Compliance")):
        with ui.element("div").classes("page-head"):
            text("h1", t("Compliance"))
            as_of = t("As of {time} KST. The centre's own reading of its records.", time=time_html(visitor.centre.clock.now()))
            ui.html(as_of, tag="span", sanitize=False).classes("soft")
        ui.html(_summary(visitor, found), tag="section", sanitize=False).classes("cards standing").props(f'aria-label="{t("Standing")}"')
        for _, rows in groupby(found, key=lambda one: one.act.id):
            _act(visitor, list(rows))


def _summary(visitor: Visitor, found: Sequence[Judged]) -> str:
    counts = {state: sum(one.state is state for one in found) for state in State}
    return "".join(
        f'<div class="card"><span class="name"><span class="standing is-{state}">{escape(visitor.t.word("standing", state))}</span></span>'
        f'<span class="value">{number(count)}</span></div>'
        for state, count in counts.items()
    )


def _act(visitor: Visitor, rows: Sequence[Judged]) -> None:
    t, act = visitor.t, rows[0].act
    with ui.element("section").classes("panel"):
        with ui.element("header"):
            text("h2", f"{act.id} · {act.en if t.language == 'en' else act.ko}")
        columns = (t("Paragraph"), t("What it asks"), t("Standing"), t("Grounds"))
        head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
        body = "".join(_row(visitor, one) for one in rows)
        with ui.element("div").classes("scroll").props("tabindex=0"):
            ui.html(f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>", tag="table", sanitize=False).classes("list paragraphs")


def _row(visitor: Visitor, one: Judged) -> str:
    t, english = visitor.t, visitor.t.language == "en"
    evidence = "".join(_evidence(visitor, each) for each in one.facts)
    if one.row.outside is not None:
        evidence = f'<li class="soft">{escape(one.row.outside.en if english else one.row.outside.ko)}</li>'
    if one.hidden:
        evidence += f'<li class="soft">{escape(t("{count} facts this role does not read", count=one.hidden))}</li>'
    return (
        f'<tr data-paragraph="{escape(one.row.id, quote=True)}"><th scope="row" class="num">{escape(one.row.id)}</th>'
        f"<td>{escape(one.row.en if english else one.row.ko)}</td>"
        f'<td><span class="standing is-{one.state}">{escape(t.word("standing", one.state))}</span></td>'
        f"<td><ul>{evidence}</ul></td></tr>"
    )


def _evidence(visitor: Visitor, one: Fact) -> str:
    words = one.en if visitor.t.language == "en" else one.ko
    link = f'<a href="{escape(one.link, quote=True)}">{escape(words)}</a>'
    return f'<li class="fact is-{one.state}">{link}{_last(visitor, one)}{_lacking(visitor, one.agencies)}</li>'


def _last(visitor: Visitor, one: Fact) -> str:
    if one.last_at is None:
        return ""
    told = escape(visitor.t("last {time}", time=kst(one.last_at)))
    return f' <time class="soft" datetime="{utc(one.last_at)}" title="{utc(one.last_at)}">{told}</time>'


def _lacking(visitor: Visitor, agencies: Sequence[str]) -> str:
    if not agencies:
        return ""
    t = visitor.t
    names = [visitor.agency_name(agency) if agency else t("the centre") for agency in agencies[:SHOWN_AGENCIES]]
    more = f" {t('and {count} more', count=len(agencies) - SHOWN_AGENCIES)}" if len(agencies) > SHOWN_AGENCIES else ""
    return f'<div class="lacking">{escape(t("Agencies: {agencies}", agencies=", ".join(names)) + more)}</div>'
