"""The events found, newest first: a grid that is moved in by arrow keys, whose rows open by a click or Enter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from nicegui import ui

from api.dashboard.hunt.fields import value_text
from api.dashboard.texts import utc
from api.dashboard.visitor import Visitor
from core.clock import KST
from core.events import EVENTS, Kind

_WIDTHS: Final = {"raw": 560, "url": 320, "event_time": 196, "received_at": 196, "agency": 170, "sig_name": 240, "user_agent": 240}
_USUAL: Final = 136
_OPENS: Final = "emitEvent('hunt-open', event.data.event_id)"


class EventTable:
    """The grid of a page."""

    def __init__(self, visitor: Visitor, columns: Sequence[str]) -> None:
        self._visitor, self._columns = visitor, tuple(columns)
        t = visitor.t
        options = {
            "columnDefs": self._definitions(),
            "rowData": [],
            ":getRowId": "row => row.data.event_id",
            ":onCellClicked": f"event => {_OPENS}",
            ":onCellKeyDown": f"event => {{ if (event.event.key === 'Enter') {_OPENS} }}",
            "defaultColDef": {"sortable": False, "resizable": True, "suppressHeaderMenuButton": True},
            "ensureDomOrder": True,
            "suppressColumnVirtualisation": True,
            "enableBrowserTooltips": True,
            "suppressFieldDotNotation": True,
            "rowHeight": 34,
            "headerHeight": 36,
            "localeText": {"noRowsToShow": t("No event was found."), "loadingOoo": t("Searching …"), "ariaLabelGrid": t("Events")},
        }
        self._grid = ui.aggrid(options, auto_size_columns=False).classes("hunt-grid")

    def show(self, events: Sequence[dict[str, Any]]) -> None:
        """Show exactly these."""
        self._grid.options["rowData"] = [self._row(event) for event in events]
        self._grid.update()

    def add(self, events: Sequence[dict[str, Any]]) -> None:
        """Show these too, below; the place one looks at stays."""
        rows = [self._row(event) for event in events]
        self._grid.options["rowData"] = [*self._grid.options["rowData"], *rows]
        self._grid.run_grid_method("applyTransaction", {"add": rows})

    def choose(self, columns: Sequence[str], events: Sequence[dict[str, Any]]) -> None:
        """Show these columns."""
        self._columns = tuple(columns)
        self._grid.options["columnDefs"] = self._definitions()
        self.show(events)

    def _definitions(self) -> list[dict[str, Any]]:
        word = self._visitor.t.word
        return [
            {
                "field": name,
                "headerName": name,
                "headerTooltip": word("column", name),
                "width": _WIDTHS.get(name, _USUAL),
                "tooltipField": f"{name} UTC" if EVENTS.column(name).kind is Kind.TIME else name,
                "cellClass": "mono-cell" if name == "raw" else "right-cell" if EVENTS.column(name).kind.is_number else "",
            }
            for name in self._columns
        ]

    def _row(self, event: dict[str, Any]) -> dict[str, Any]:
        row: dict[str, Any] = {"event_id": event["event_id"]}
        for name in self._columns:
            value = event.get(name)
            if value is None:
                continue
            if EVENTS.column(name).kind is Kind.TIME:
                at = datetime.fromisoformat(value)
                row[name], row[f"{name} UTC"] = at.astimezone(KST).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3], utc(at)
            else:
                row[name] = self._visitor.agency_name(value) if name == "agency" else value_text(self._visitor, name, value)
        return row
