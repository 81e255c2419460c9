"""A table of cases: rows stay where they are while they change, so focus and scroll position survive every update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from nicegui import ui

from api.dashboard.elements import tag_html, text, time_html
from api.dashboard.response.kinds import CaseKind
from api.dashboard.response.shown import LONG, Named, Showing
from api.dashboard.steps.names import field_name, state_html, value_name
from api.dashboard.visitor import Visitor

Record = Mapping[str, Any]


@dataclass
class _Row:
    shown: tuple[str, ...]
    line: ui.element
    cells: list[ui.html]


class CaseTable:
    """A table of one kind of cases that `show` brings up to date."""

    def __init__(self, visitor: Visitor, kind: CaseKind, names: Named) -> None:
        self._visitor, self._kind = visitor, kind
        self._showing = Showing(visitor, kind.machine.kind, names)
        self._rows: dict[str, _Row] = {}
        t = visitor.t
        columns = [field_name(t, kind.machine.kind, field) for field in kind.columns]
        with ui.element("div").classes("scroll").props("tabindex=0"), ui.element("table").classes("list cases"):
            with ui.element("thead"), ui.element("tr"):
                for name in (t("Number"), t("Title"), t("Agency"), t("State"), *columns, t("Last changed")):
                    text("th", name).props("scope=col")
            self._body = ui.element("tbody")

    def show(self, records: Sequence[Record], overdue: frozenset[str]) -> None:
        """Make the table show exactly these cases, in their order, changing only what differs."""
        wanted = {record["number"]: self._cells(record, overdue) for record in records}
        for gone in self._rows.keys() - wanted.keys():
            self._rows.pop(gone).line.delete()
        for place, (number, cells) in enumerate(wanted.items()):
            row = self._rows.get(number)
            if row is None:
                self._rows[number] = self._make(cells, place)
            elif row.shown != cells:
                for cell, old, new in zip(row.cells, row.shown, cells, strict=True):
                    if old != new:
                        cell.set_content(new)
                row.shown = cells

    def _make(self, cells: tuple[str, ...], place: int) -> _Row:
        names = ("number", "title", "agency", "state", *self._kind.columns, "changed")
        with self._body, ui.element("tr").classes("opens") as line:
            made = [
                ui.html(cell, tag="td", sanitize=False).classes(f"cell cell-{name}{'' if name in _PLACED else ' cell-more'}")
                for name, cell in zip(names, cells, strict=True)
            ]
        line.move(target_index=place)
        return _Row(cells, line, made)

    def _cells(self, record: Record, overdue: frozenset[str]) -> tuple[str, ...]:
        showing, kind = self._showing, self._kind
        late = tag_html(self._visitor.t("Overdue"), "late") if record["number"] in overdue else ""
        return (
            escape(record["number"]),
            f"{self._link(record)} {marks(self._visitor, record)}{late}",
            agency_of(self._visitor, record),
            state_html(self._visitor.t, kind.machine.kind, record["state"]),
            *(self._cell(showing, field, record.get(field)) for field in kind.columns),
            time_html(record["updated_at"], self._visitor.centre.clock.now()),
        )

    def _link(self, record: Record) -> str:
        title = title_of(self._visitor, self._kind, self._showing, record)
        shown = title if len(title) <= LONG else f"{title[: LONG - 1]}…"
        return f'<a href="/response/{self._kind.name}/{escape(record["number"], quote=True)}">{escape(shown)}</a>'

    def _cell(self, showing: Showing, field: str, value: Any) -> str:
        if field == "tracks":
            return ", ".join(
                f"{escape(value_name(showing.t, 'track', one['track']))}: {state_html(showing.t, 'personal_' + one['track'], one['state'])}"
                for one in value or []
            )
        if isinstance(value, str) and value[4:5] == "-" and value[10:11] == "T":
            return time_html(value, self._visitor.centre.clock.now())
        return showing.html(field, value)


_PLACED = frozenset({"number", "title", "agency", "state", "changed"})
"""Columns that have a place on a phone."""


def marks(visitor: Visitor, record: Record) -> str:
    """The marks beside a title."""
    return tag_html(visitor.t("Exercise")) if record["exercise"] else ""


def agency_of(visitor: Visitor, record: Record) -> str:
    """Whose case it is."""
    return escape(visitor.agency_name(record["agency"]) if record["agency"] else record.get("provider") or visitor.t("Whole city"))


def title_of(visitor: Visitor, kind: CaseKind, showing: Showing, record: Record) -> str:
    """What a case is called; its number when it has no name."""
    title = kind.titled(record)
    field = kind.title.rpartition(".")[2]
    return showing.named.get(field, {}).get(title, title) or record.get("scenario_id", "") or f"{visitor.t.word('kind', kind.name)}"
