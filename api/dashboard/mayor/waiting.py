"""What waits for the mayor: teams to form, requests to sign, notices of joint training to give; decided on the spot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.elements import panel, text
from api.dashboard.response import lookups
from api.dashboard.response.case_table import agency_of, marks, title_of
from api.dashboard.response.kinds import BY_NAME, CaseKind
from api.dashboard.response.shown import Named, Showing
from api.dashboard.steps.bar import StepBar, Subject, case_subject
from api.dashboard.steps.entries import Choices
from api.dashboard.steps.names import state_html
from api.dashboard.visitor import Visitor

MOST: Final = 20
KINDS: Final = tuple(BY_NAME[name] for name in ("teams", "requests", "drills"))
_TOLD: Final = {
    "teams": ("incident", "severity", "created_by", "created_at"),
    "requests": ("article", "purpose", "items", "due_at", "created_by"),
    "drills": ("scenario_id", "planned_for"),
}
_DECISIONS: Final = {
    "teams": ("form", "decline"),
    "requests": ("issue", "accept", "reject_cause", "reissue", "verify", "close"),
    "drills": ("give_notice", "waive_notice"),
}
"""The steps that are the mayor's."""


async def read(visitor: Visitor) -> list[tuple[CaseKind, Mapping[str, Any]]]:
    """The cases whose next step is the mayor's, each as it is read alone. Raises Refused."""
    found = []
    for kind in KINDS:
        states = kind.waits_in(visitor.principal)
        if not states:
            continue
        page = (await visitor.api.get(kind.path, state=states, limit=MOST)).body
        for one in page["items"]:
            if kind.name == "drills" and not one["joint"]:
                continue  # only joint training needs the mayor's notice
            record = (await visitor.api.get(f"{kind.path}/{one['number']}")).body
            if set(_DECISIONS[kind.name]) & set(record["progress"]["steps"]):
                found.append((kind, record))
    return found


class Waiting:
    """The panel; `show` brings it up to date, and leaves it alone when nothing changed."""

    def __init__(self, visitor: Visitor, names: Mapping[str, Named], after: Callable[[], Awaitable[None]]) -> None:
        self._visitor, self._names, self._after = visitor, names, after
        self._shown: list[tuple[str, int]] | None = None
        with panel(visitor.t("Waits for your decision")) as head:
            with head:
                self._count = text("span", "", "note").props("role=status")
            self._box = ui.element("div").classes("decisions")

    def show(self, found: Sequence[tuple[CaseKind, Mapping[str, Any]]]) -> None:
        """Show exactly these."""
        versions = [(record["number"], record["version"]) for _, record in found]
        if versions == self._shown:
            return
        self._shown = versions
        t = self._visitor.t
        self._count.set_content(escape(t.n("{count} decision", "{count} decisions", len(found))))
        self._box.clear()
        with self._box:
            if not found:
                text("p", t("Nothing waits for you."), "quiet")
            for kind, record in found:
                self._one(kind, record)

    def _one(self, kind: CaseKind, record: Mapping[str, Any]) -> None:
        t, names = self._visitor.t, self._names.get(kind.name, {})
        showing = Showing(self._visitor, kind.machine.kind, names)
        told = [(field, record[field]) for field in _TOLD[kind.name] if record.get(field) not in (None, "", [])]
        facts = "".join(showing.pair(field, value.partition(":")[2] if field == "created_by" else value) for field, value in told)
        with ui.element("article").classes("decision"):
            ui.html(
                f'<div class="line"><span class="tag">{escape(t.word("kind", kind.name))}</span>'
                f"{state_html(t, kind.machine.kind, record['state'])}<span>{agency_of(self._visitor, record)}</span>"
                f"{marks(self._visitor, record)}</div>"
                f'<h3><a href="/response/{kind.name}/{record["number"]}">{escape(title_of(self._visitor, kind, showing, record))}</a></h3>'
                f'<dl class="inner">{facts}</dl>',
                sanitize=False,
            )

            async def choices(subject: Subject, action: str) -> Choices:
                return lookups.of_step(self._visitor, names, subject, action)

            others = [one.action for one in kind.machine.steps if one.action not in _DECISIONS[kind.name]]
            bar = StepBar(self._visitor, self._after, choices=choices, initial=lookups.initial, without=others)
            bar.show(case_subject(kind.machine, f"{kind.path}/{record['number']}", record))
