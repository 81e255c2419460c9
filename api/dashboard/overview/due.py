"""What is due next: the running clocks of all cases, overdue ones first."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape
from typing import Final

from nicegui import ui

from api.clocks import Clocks, Running
from api.dashboard.elements import empty, tag_html, text, time_html
from api.dashboard.overview.kept import KeptLinks, Shown
from api.dashboard.steps.names import clock_name
from api.dashboard.texts import Texts, number
from api.dashboard.visitor import Visitor

_PLACES: Final = {
    "report": "reports",
    "request": "requests",
    "personal_case": "personal",
    "warning": "warnings",
    "warning_notice": "notices",
    "readiness": "readiness",
    "team_member": "members",
    "share_receipt": "receipts",
    "duty": "duties",
}
"""Where the cases of a kind are shown, below `/response`."""
_SOON: Final = timedelta(hours=4)


class Due:
    """A panel that `show` brings up to date."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        t = visitor.t
        with ui.element("section").classes("panel"):
            with ui.element("header"):
                text("h2", t("Open clocks"))
                self._sum = text("span", "", "note").props("role=status")
            with ui.element("ul").classes("due") as self._list:
                self._links = KeptLinks(self._list)
            self._none = ui.element("div")
            with self._none:
                empty(t("Nothing is due."), t("Clocks of reports, requests, warnings and other cases appear here while they run."))

    def show(self, clocks: Clocks, now: datetime) -> None:
        """Show what is due next."""
        t = self._visitor.t
        told = t("{total} running, {overdue} overdue", total=number(clocks.total), overdue=number(clocks.overdue))
        self._sum.set_content(escape(told))
        self._sum.classes(replace="note warn" if clocks.overdue else "note")
        self._links.show({f"{one.number} {one.name}": self._row(one, now) for one in clocks.items})
        self._list.set_visibility(bool(clocks.items))
        self._none.set_visibility(not clocks.items)

    def _row(self, one: Running, now: datetime) -> Shown:
        t = self._visitor.t
        left = None if one.due_at is None else one.due_at - now
        mood = "calm" if left is None else "over" if left < timedelta(0) else "soon" if left < _SOON else "calm"
        when = escape(t("without delay")) if one.due_at is None else time_html(one.due_at, now)
        remark = "" if left is None else _remark(t, left)
        exercise = f" {tag_html(t('Exercise'))}" if one.exercise else ""
        agency = self._visitor.agency_name(one.agency) if one.agency else t("the centre")
        html = (
            f'<span class="left {mood}">{escape(remark) or when}</span>'
            f'<span class="what"><b>{escape(clock_name(t, one.kind, one.name))}</b> {escape(t.word("due", one.kind))} '
            f'<span class="num">{escape(one.number)}</span>{exercise}</span>'
            f'<span class="who">{escape(agency)} · {escape(t.word("set_by", one.basis))}</span>'
            f'<span class="at">{when if remark else ""}</span>'
        )
        return Shown(html, f"clock-row is-{mood}", f"/response/{_PLACES.get(one.kind, one.kind)}/{one.number}")


def _remark(t: Texts, left: timedelta) -> str:
    return t("overdue by {span}", span=_span(t, -left)) if left < timedelta(0) else t("in {span}", span=_span(t, left))


def _span(t: Texts, span: timedelta) -> str:
    """A length of time as people say it, in its greatest unit."""
    minutes = int(span.total_seconds() // 60)
    if minutes < 60:
        return t.n("{count} minute", "{count} minutes", minutes)
    if minutes < 48 * 60:
        return t.n("{count} hour", "{count} hours", minutes // 60)
    return t.n("{count} day", "{count} days", minutes // (24 * 60))
