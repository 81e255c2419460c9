"""Entries made of entries: a group of fields, and a list that grows by a button."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.elements import text
from api.dashboard.steps.entries import (
    MISSING,
    ChoiceEntry,
    Context,
    Entry,
    FlagEntry,
    IntegerEntry,
    TextEntry,
    TimeEntry,
    TristateEntry,
    words_of,
)
from api.dashboard.steps.fields import Field, Shape, listed
from api.dashboard.steps.names import field_name

_PLAIN: Final = {
    Shape.TEXT: TextEntry,
    Shape.LONG_TEXT: TextEntry,
    Shape.TIME: TimeEntry,
    Shape.INTEGER: IntegerEntry,
    Shape.FLAG: FlagEntry,
    Shape.TRISTATE: TristateEntry,
}


def entry(field: Field, context: Context) -> Entry:
    """The input for a field, placed where one is."""
    if field.shape is Shape.GROUP:
        return GroupEntry(field, context)
    options = words_of(field, context)
    if field.shape is Shape.LIST:
        if options is None:
            options = words_of(listed(field), context)
        return ListEntry(field, context) if options is None else ChoiceEntry(field, context, options, several=True)
    return _PLAIN[field.shape](field, context) if options is None else ChoiceEntry(field, context, options)


class GroupEntry(Entry):
    """Fields that belong together, under a heading."""

    def __init__(self, field: Field, context: Context, *, headed: bool = True) -> None:
        super().__init__(field, context)
        self.parts: dict[str, Entry] = {}
        with ui.element("fieldset").classes("group wide") as self.element:
            if headed:
                text("legend", self.label)
            for one in field.fields:
                self.parts[one.name] = entry(one, context.within(one.name))

    def set(self, value: Any) -> None:
        """Show what there is already, part by part."""
        self._had = bool(value)
        for name, part in self.parts.items():
            part.set((value or {}).get(name))

    def value(self) -> Any:
        """The parts that hold something; MISSING when none does and none is needed."""
        sent = {name: found for name, part in self.parts.items() if (found := part.value()) is not MISSING}
        if sent or self.field.required:
            return sent
        return None if self._had and self.field.nullable else MISSING

    def check(self, *, whole: bool = True) -> bool:
        """Whether every part can be sent. A group that may be left out may be left empty."""
        if not self.field.required and self._is_blank():
            return True
        wrong = [part for part in self.parts.values() if not part.check(whole=whole)]
        return not wrong

    def _is_blank(self) -> bool:
        return all(part.value() in (MISSING, "", None) for part in self.parts.values() if part.field.shape is not Shape.FLAG)

    def complain(self, path: Sequence[str], reason: str) -> bool:
        """Pass it on to the part that is meant."""
        part = self.parts.get(path[0]) if path else None
        return part is not None and part.complain(path[1:], reason)

    def first_wrong(self) -> Entry | None:
        """The first part that complains."""
        return next((wrong for part in self.parts.values() if (wrong := part.first_wrong())), None)


class ListEntry(Entry):
    """A list of texts or groups: rows with a button to take each away, and one to add another."""

    def __init__(self, field: Field, context: Context) -> None:
        super().__init__(field, context)
        self._rows: list[tuple[ui.element, Entry]] = []
        with ui.element("fieldset").classes("group many wide") as self.element:
            text("legend", self.label)
            self._box = ui.element("div").classes("rows")
            self._told = text("p", "", "wrong").props("role=alert")
            add = ui.button(self.t("Add"), icon="add", on_click=self._add, color=None).props("flat dense no-caps")
            add.props["aria-label"] = f"{self.t('Add')}: {field_name(self.t, context.of, field.name)}"
        if field.required:
            self._add()

    def _add(self) -> Entry:
        with self._box, ui.element("div").classes("list-row") as row:
            made = self._row_entry(listed(self.field))
            away = ui.button(icon="close", on_click=lambda: self._drop(row), color=None).props("flat dense round")
            away.props["aria-label"] = self.t("Remove")
        self._rows.append((row, made))
        self._told.set_content("")
        return made

    def _row_entry(self, of: Field) -> Entry:
        return GroupEntry(of, self.context, headed=False) if of.shape is Shape.GROUP else entry(of, self.context)

    def _drop(self, row: ui.element) -> None:
        self._rows = [one for one in self._rows if one[0] is not row]
        row.delete()

    def set(self, value: Any) -> None:
        """Show what there is already, row by row."""
        self._had = bool(value)
        if self._had:
            for row, _ in list(self._rows):
                self._drop(row)
            for one in value:
                self._add().set(one)

    def value(self) -> Any:
        """The rows that hold something."""
        sent = [found for _, made in self._rows if (found := made.value()) not in (MISSING, "", {})]
        return sent if sent or self.field.required or self._had else MISSING

    def check(self, *, whole: bool = True) -> bool:
        """Whether every row can be sent, and there is one where one is needed."""
        if whole and self.field.required and self.field.least and not self.value():
            return not self.complain((), self.t("This is needed."))
        wrong = [made for _, made in self._rows if not made.check(whole=whole)]
        return not wrong

    def complain(self, path: Sequence[str], reason: str) -> bool:
        """Pass it on to the row that is meant, or say it below the list."""
        if path and path[0].isdigit() and int(path[0]) < len(self._rows):
            return self._rows[int(path[0])][1].complain(path[1:], reason)
        self._told.set_content(escape(reason))
        return True

    def focus(self) -> None:
        """Go to the first row."""
        if self._rows:
            self._rows[0][1].focus()

    def first_wrong(self) -> Entry | None:
        """The first row that complains, or this one."""
        found = next((wrong for _, made in self._rows if (wrong := made.first_wrong())), None)
        return found or (self if self._told.content else None)
