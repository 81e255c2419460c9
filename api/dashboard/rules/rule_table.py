"""The list of rules: filtered and sorted here, rows changed in place so that focus and scroll position survive an update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.beacons import FIRES
from api.dashboard.elements import empty, severity_html, tag_html, text, time_html
from api.dashboard.rules import attack
from api.dashboard.rules.reading import Library, Listed
from api.dashboard.texts import number, share
from api.dashboard.visitor import Visitor
from api.dashboard.words import WORDS

_STATES: Final = ("in_force", "set_aside", "tuned", "silenced", "quiet")
_COLUMNS: Final = ("level", "title", "class", "state", "day", "week", "false", "last")
_STEP: Final = 100
"""Rows shown at first, and how many more each time: an installation may have thousands of rules."""
_RIGHT: Final = frozenset({"day", "week", "false", "last"})
_KEYS: Final[dict[str, Callable[[Listed], Any]]] = {
    "level": lambda one: FIRES.get(one.level, 0),
    "title": lambda one: one.title.casefold(),
    "class": lambda one: one.classes,
    "state": lambda one: one.states,
    "day": lambda one: one.day,
    "week": lambda one: one.week,
    "false": lambda one: one.false_share,
    "last": lambda one: one.last_at,
}


class RuleTable:
    """The filters and the table of one visitor."""

    def __init__(self, visitor: Visitor, library: Library, *, tactic: str, technique: str) -> None:
        self._visitor = visitor
        self._library = library
        self._sorted, self._down = "week", True
        self._most = _STEP
        self._rows: dict[str, tuple[str, ui.html]] = {}
        self._filters: dict[str, Any] = {}
        self._technique = technique.upper()
        self._build_filters(tactic)
        t = visitor.t
        self._count = text("p", "", "count").props("role=status")
        with ui.element("div").classes("scroll").props("tabindex=0"), ui.element("table").classes("list rules-table") as self._table:
            with ui.element("thead"), ui.element("tr"):
                self._heads = {name: self._head(name, title) for name, title in zip(_COLUMNS, self._titles(), strict=True)}
            self._body = ui.element("tbody")
        with ui.element("div").classes("next-page") as self._rest:
            ui.button(t("Show more"), on_click=self._further, color=None).props("flat no-caps")
        with ui.element("div") as self._none:
            empty(t("No rule fits."), t("Take away a filter, or write the rule that is missing."))
        self._show()

    def take(self, library: Library) -> None:
        """Show `library` from now on."""
        self._library = library
        self._show()

    def _titles(self) -> Sequence[str]:
        t = self._visitor.t
        return (t("Level"), t("Rule"), t("Log class"), t("State"), t("24 hours"), t("7 days"), t("False alarms"), t("Last hit"))

    def _build_filters(self, tactic: str) -> None:
        t = self._visitor.t
        with ui.element("div").classes("rule-filters").props(f'role=search aria-label="{t("Filter rules")}"'):
            self._filters["q"] = ui.input(t("Search"), on_change=self._show).props("outlined dense clearable debounce=200").classes("wide")
            self._select("level", t("Level"), {one: t.word("severity", one) for one in reversed(FIRES)})
            self._select("class", t("Log class"), {one: t.word("rule_class", one) for one in WORDS["rule_class"]})
            self._select("state", t("State"), {one: t.word("rule_state", one) for one in _STATES})
            self._select("tactic", t("Tactic"), {one: t.word("tactic", one) for one in attack.TACTICS}, tactic or None)

    def _select(self, name: str, label: str, options: dict[str, str], value: str | None = None) -> None:
        chosen = ui.select(options, label=label, value=value if value in options else None, clearable=True, on_change=self._show)
        self._filters[name] = chosen.props("outlined dense options-dense")

    def _head(self, name: str, title: str) -> ui.element:
        with ui.element("th").classes("right" if name in _RIGHT else "").props("scope=col") as cell:
            with ui.element("button").props("type=button").classes("sort") as button:
                text("span", title)
            button.on("click", lambda: self._sort(name))
        return cell

    def _sort(self, name: str) -> None:
        self._down = not self._down if self._sorted == name else name not in ("title", "class", "state")
        self._sorted = name
        self._show()

    def _fits(self, one: Listed) -> bool:
        asked = {name: chosen.value for name, chosen in self._filters.items()}
        words = (asked["q"] or "").casefold()
        return (
            (not words or words in f"{one.title} {one.rule_id} {one.reason} {' '.join(one.techniques)}".casefold())
            and (asked["level"] is None or asked["level"] == one.level)
            and (asked["class"] is None or asked["class"] in one.classes)
            and (asked["state"] is None or asked["state"] in one.states)
            and self._stands(one, asked["tactic"])
        )

    def _stands(self, one: Listed, asked: str | None) -> bool:
        """Whether it stands in the matrix where it is asked for; one that was set aside stands nowhere."""
        if asked is None and not self._technique:
            return True
        return any(asked in (None, tactic) and self._technique in ("", technique) for tactic, technique in one.places)

    def _show(self) -> None:
        t, every = self._visitor.t, [*self._library.rules, *self._library.set_aside]
        found = sorted((one for one in every if self._fits(one)), key=lambda one: one.title.casefold())
        found.sort(key=_KEYS[self._sorted], reverse=self._down)
        shown = found[: self._most]
        for name, cell in self._heads.items():
            order = "none" if name != self._sorted else "descending" if self._down else "ascending"
            cell.props(f"aria-sort={order}")
        counted = t("{shown} of {all} rules", shown=number(len(found)), all=number(len(every)))
        self._count.set_content(escape(f"{counted} · {self._technique}" if self._technique else counted))
        self._table.set_visibility(bool(found))
        self._none.set_visibility(not found)
        self._rest.set_visibility(len(found) > len(shown))
        self._bring({one.rule_id or one.title: self._cells(one) for one in shown})

    def _further(self) -> None:
        self._most += _STEP
        self._show()

    def _bring(self, wanted: dict[str, str]) -> None:
        """Make the rows exactly these, changing only what differs."""
        for gone in self._rows.keys() - wanted.keys():
            self._rows.pop(gone)[1].delete()
        placed = list(self._rows)
        for place, (name, cells) in enumerate(wanted.items()):
            if name not in self._rows:
                with self._body:
                    made = ui.html(cells, tag="tr", sanitize=False).classes("opens")
                made.move(target_index=place)
                placed.insert(place, name)
            else:
                before, made = self._rows[name]
                if before != cells:
                    made.set_content(cells)
                if placed[place] != name:
                    made.move(target_index=place)
                    placed.remove(name)
                    placed.insert(place, name)
            self._rows[name] = (cells, made)
        self._rows = {name: self._rows[name] for name in wanted}

    def _cells(self, one: Listed) -> str:
        visitor, t = self._visitor, self._visitor.t
        now: datetime = visitor.centre.clock.now()
        link = f'<a href="/rules/{escape(one.rule_id, quote=True)}">{escape(one.title)}</a>' if one.rule_id else escape(one.title)
        states = "".join(
            tag_html(t.word("rule_state", state), state) for state in one.states if state != "in_force" or len(one.states) == 1
        )
        below = escape(one.reason) if one.reason else " ".join(escape(technique) for technique in one.techniques)
        kind = t.word("rule_kind", one.kind) if one.kind == "correlation" else ""
        classes = kind or ", ".join(t.word("rule_class", name) for name in one.classes)
        cells = {
            "level": severity_html(visitor, one.level) if one.level else "",
            "title": f'{link}<small class="soft">{below}</small>',
            "class": escape(classes),
            "state": states,
            "day": number(one.day) if one.day else "–",
            "week": number(one.week) if one.week else "–",
            "false": f'{share(one.false, one.judged)} <small class="soft">{one.false}/{one.judged}</small>' if one.judged else "–",
            "last": time_html(one.last_at, now) if one.last_at else "–",
        }
        return "".join(f'<td class="cell-{name}">{cell}</td>' for name, cell in cells.items())
