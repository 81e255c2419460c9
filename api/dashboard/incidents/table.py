"""The list of incidents: rows stay where they are while they change, so focus and scroll position survive every update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final

from nicegui import ui

from api.dashboard.elements import severity_html, text, time_html
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor
from respond.incidents.queries import Summary

_COLUMNS: Final = {
    "severity": "",
    "number": "num soft",
    "agency": "",
    "incident": "",
    "state": "",
    "detections": "right num",
    "time": "right num soft",
}


@dataclass
class _Row:
    """One row on screen: what it shows, and the elements that show it."""

    shown: tuple[str, ...]
    line: ui.element
    cells: list[ui.html]


class IncidentTable:
    """A table that `show` brings up to date."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._rows: dict[str, _Row] = {}
        t = visitor.t
        with ui.element("div").classes("scroll").props("tabindex=0"), ui.element("table").classes("list incidents"):
            with ui.element("thead"), ui.element("tr"):
                names = (t("Severity"), t("Number"), t("Agency"), t("Incident"), t("State"), t("Detections"), t("Last event"))
                for name, classes in zip(names, _COLUMNS.values(), strict=True):
                    text("th", name, "right" if "right" in classes else "").props("scope=col")
            self._body = ui.element("tbody")

    def show(self, incidents: Sequence[Summary], now: datetime) -> None:
        """Make the table show exactly `incidents`, in their order, changing only what differs."""
        wanted = {incident.number: self._cells(incident, now) for incident in incidents}
        for gone in self._rows.keys() - wanted.keys():
            self._rows.pop(gone).line.delete()
        for place, (name, cells) in enumerate(wanted.items()):
            row = self._rows.get(name)
            if row is None:
                self._rows[name] = self._make(cells, place)
            elif row.shown != cells:
                for cell, old, new in zip(row.cells, row.shown, cells, strict=True):
                    if old != new:
                        cell.set_content(new)
                row.shown = cells

    def _make(self, cells: tuple[str, ...], place: int) -> _Row:
        with self._body, ui.element("tr").classes("opens") as line:
            made = [
                ui.html(cell, tag="td", sanitize=False).classes(f"cell cell-{column} {classes}")
                for cell, (column, classes) in zip(cells, _COLUMNS.items(), strict=True)
            ]
        line.move(target_index=place)
        return _Row(cells, line, made)

    def _cells(self, incident: Summary, now: datetime) -> tuple[str, ...]:
        visitor, t = self._visitor, self._visitor.t
        exercise = f' <span class="tag">{t("Exercise")}</span>' if incident.exercise else ""
        return (
            severity_html(visitor, incident.severity),
            escape(incident.number),
            escape(visitor.agency_name(incident.agency)),
            f'<a href="/incidents/{escape(incident.number, quote=True)}">{escape(visitor.title(incident.title))}</a>{exercise}',
            f'<span class="state {incident.state.value}">{escape(t.word("state", incident.state.value))}</span>',
            number(incident.detections),
            time_html(incident.last_event_at, now),
        )
