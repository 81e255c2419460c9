"""Incidents by state and severity; each number leads to the queue of exactly these."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from nicegui import ui

from api.dashboard.elements import panel, severity_html, state_html, text
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor
from respond.grouping import LEVELS
from respond.incidents.machine import ENDED, State

_SEVERITIES: Final = tuple(reversed(LEVELS))
_STATES: Final = (*(state for state in State if state not in ENDED), *(state for state in State if state in ENDED))


class Matrix:
    """A table that `show` brings up to date; a number is a link that stays, so focus does."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._shown: dict[tuple[str, str], int] = {}
        self._cells: dict[tuple[str, str], ui.html] = {}
        t = visitor.t
        with (
            panel(t("Incidents by state and severity"), t("exercises not counted")),
            ui.element("div").classes("scroll").props("tabindex=0"),
            ui.element("table").classes("list matrix"),
        ):
            with ui.element("thead"), ui.element("tr"):
                text("th", t("State")).props("scope=col")
                for severity in _SEVERITIES:
                    ui.html(severity_html(visitor, severity), tag="th", sanitize=False).props("scope=col")
            with ui.element("tbody"):
                for state in _STATES:
                    self._row(state)

    def _row(self, state: State) -> None:
        t = self._visitor.t
        with ui.element("tr").classes("ended" if state in ENDED else ""):
            ui.html(state_html(self._visitor, "state", state.value), tag="th", sanitize=False).props("scope=row")
            for severity in _SEVERITIES:
                names = f"{t.word('state', state.value)}, {t.word('severity', severity)}"
                href = f"/incidents?state={state.value}&severity={severity}"
                with ui.element("td"):
                    link = ui.html("0", tag="a", sanitize=False).classes("zero")
                    link.props(f'href="{href}" title="{escape(names, quote=True)}" tabindex=-1')
                self._cells[state.value, severity] = link
                self._shown[state.value, severity] = 0

    def show(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Show these numbers. One that is zero is passed over by the keyboard."""
        for key, cell in self._cells.items():
            count = counts.get(key, 0)
            if count != self._shown[key]:
                cell.set_content(number(count))
                cell.classes(replace="" if count else "zero")
                cell.props("tabindex=0" if count else "tabindex=-1")
                self._shown[key] = count
