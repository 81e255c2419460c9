"""The agencies by health: a tile for each, those in trouble in front."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Final

from nicegui import ui

from api.agency_health import AgencyHealth, Health
from api.dashboard.elements import empty, text, time_html
from api.dashboard.overview.kept import KeptLinks, Shown
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor

_ICONS: Final = {
    Health.LIVE: "check_circle",
    Health.LATE: "schedule",
    Health.SILENT: "volume_off",
    Health.NEVER: "radio_button_unchecked",
}
_ORDER: Final = tuple(Health)
_MANY: Final = 60


class Tiles:
    """A panel that `show` brings up to date."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        t = visitor.t
        with ui.element("section").classes("panel"):
            with ui.element("header"):
                text("h2", t("Agencies"))
                self._sum = text("span", "", "note healths").props("role=status")
            with ui.element("ul").classes("tiles") as self._list:
                self._links = KeptLinks(self._list)
            self._none = ui.element("div")
            with self._none:
                empty(t("No agency is set up yet."), t("Write the agencies into the settings, then connect a source."))

    def show(self, agencies: Sequence[AgencyHealth], now: datetime) -> None:
        """Show the agencies, the silent ones first."""
        counts = Counter(one.health for one in agencies)
        self._sum.set_content("".join(self._count(health, counts[health]) for health in _ORDER))
        ordered = sorted(agencies, key=lambda one: _ORDER.index(one.health))
        self._links.show({one.agency: self._tile(one, now) for one in ordered})
        self._list.classes(replace="tiles many" if len(agencies) > _MANY else "tiles")
        self._list.set_visibility(bool(agencies))
        self._none.set_visibility(not agencies)

    def _count(self, health: Health, count: int) -> str:
        word = escape(self._visitor.t.word("health", health))
        return f'<span class="health is-{health}">{_icon(health)}{word} <b>{number(count)}</b></span>'

    def _tile(self, one: AgencyHealth, now: datetime) -> Shown:
        t = self._visitor.t
        word = escape(t.word("health", one.health))
        if one.health in (Health.LATE, Health.SILENT) and one.heard_at is not None:
            word = t("{word} since {time}", word=word, time=time_html(one.heard_at, now))
        elif one.health is Health.LIVE and one.live < one.sources:
            word = escape(t("{live} of {sources} sources live", live=one.live, sources=one.sources))
        name = escape(self._visitor.agency_name(one.agency))
        html = f'{_icon(one.health)}<span class="name">{name}</span><span class="word">{word}</span>'
        partly = " partly" if one.health is Health.LIVE and one.live < one.sources else ""
        return Shown(html, f"tile is-{one.health}{partly}", f"/sources?agency={one.agency}")


def _icon(health: Health) -> str:
    return f'<i class="material-icons" aria-hidden="true">{_ICONS[health]}</i>'
