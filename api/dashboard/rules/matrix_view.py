"""The rules as the matrix of ATT&CK: tactics side by side, and below each the techniques the rules know, with hits."""

from __future__ import annotations

from collections import defaultdict
from html import escape

from nicegui import ui

from api.dashboard.elements import empty, panel
from api.dashboard.rules import attack, reading
from api.dashboard.rules.reading import Listed
from api.dashboard.visitor import Visitor


async def show(visitor: Visitor) -> None:
    """Build the view. Refused when the visitor may not."""
    t = visitor.t
    found = await reading.library(visitor)
    with panel(t("What the rules know of ATT&CK"), t("rules and hits of 7 days by technique")):
        if not found.rules:
            empty(t("No rule runs."), t("Rules appear here as soon as a process detects."))
            return
        with ui.element("div").classes("scroll").props(f'tabindex=0 role=region aria-label="{t("Matrix of tactics and techniques")}"'):
            ui.html(_matrix(visitor, found.rules), sanitize=False).classes("tactics")


def _matrix(visitor: Visitor, rules: list[Listed]) -> str:
    cells: dict[str, dict[str, list[Listed]]] = defaultdict(lambda: defaultdict(list))
    for one in rules:
        for tactic, technique in one.places:
            cells[tactic][technique].append(one)
    return "".join(_tactic(visitor, tactic, cells[tactic]) for tactic in attack.TACTICS if tactic or cells[tactic])


def _tactic(visitor: Visitor, tactic: str, techniques: dict[str, list[Listed]]) -> str:
    t = visitor.t
    known = {one.rule_id for rules in techniques.values() for one in rules}
    cells = "".join(_cell(visitor, tactic, technique, rules) for technique, rules in sorted(techniques.items()))
    body = f"<ul>{cells}</ul>" if cells else f'<p class="soft">{escape(t("no rule"))}</p>'
    count = t.n("{count} rule", "{count} rules", len(known))
    return f"<section><h3>{escape(t.word('tactic', tactic))}<small>{escape(count)}</small></h3>{body}</section>"


def _cell(visitor: Visitor, tactic: str, technique: str, rules: list[Listed]) -> str:
    t = visitor.t
    hits = sum(one.week for one in rules)
    heat = 0 if not hits else 1 if hits < 10 else 2 if hits < 1000 else 3
    where = f"/rules?tactic={tactic}" + (f"&amp;technique={escape(technique, quote=True)}" if technique else "")
    name = attack.name_of(technique) or ("" if technique else t("No technique named"))
    told = f"{t.n('{count} rule', '{count} rules', len(rules))} · {t.n('{count} hit', '{count} hits', hits)}"
    return (
        f'<li class="heat-{heat}"><a href="{where}"><b>{escape(technique)}</b><span>{escape(name)}</span>'
        f"<small>{escape(told)}</small></a></li>"
    )
