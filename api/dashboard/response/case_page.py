"""One case, of whatever kind: its facts, what is waited for, the steps the visitor may take, and how it went.

The page looks again by itself, and builds itself anew only when the case has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from html import escape
from typing import Any, Final

from fastapi import Request
from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import empty, facts, panel, tag_html, text
from api.dashboard.frame import frame
from api.dashboard.response import lookups
from api.dashboard.response.case_table import agency_of, marks, title_of
from api.dashboard.response.kinds import BY_NAME, READY_SECONDS, CaseKind
from api.dashboard.response.list_page import back, missing, told
from api.dashboard.response.parts import PARTS, Part
from api.dashboard.response.progress import clocks, history
from api.dashboard.response.shown import Named, Showing, is_long
from api.dashboard.steps.bar import StepBar, Subject, case_subject
from api.dashboard.steps.entries import Choices
from api.dashboard.steps.names import state_html
from api.dashboard.telling import telling
from api.dashboard.visitor import Visitor

REFRESH_SECONDS: Final = 10.0
_HEAD: Final = frozenset(
    {"number", "agency", "state", "version", "exercise", "progress", "view", "title", "created_at", "created_by", "updated_at", "content"}
)
_ELSEWHERE: Final[Mapping[str, tuple[str, ...]]] = {"reports": ("edit", "submit")}
"""Steps that are taken on a page or at a place of their own, beside ticking off measures."""


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/response/{kind}/{number}", response_timeout=READY_SECONDS)
    async def case(request: Request, kind: str, number: str) -> None:
        visitor = await Visitor.of(request)
        found = BY_NAME.get(kind)
        if found is None:
            missing(visitor)
            return
        try:
            record = (await visitor.api.get(f"{found.path}/{number}")).body
            names = await lookups.named(visitor, kind)
        except Refused as refused:
            if refused.status in (404, 422):
                _nowhere(visitor, found)
            else:
                told(visitor, found, refused)
        else:
            CasePage(visitor, found, record, names)


def _nowhere(visitor: Visitor, kind: CaseKind) -> None:
    t, name = visitor.t, visitor.t.word("kind", kind.name)
    with frame(visitor, name):
        back(visitor, f"/response/{kind.name}", name)
        with ui.element("section").classes("panel"):
            empty(t("There is no such case."), t("The number is wrong, it is another agency's, or not for this role."))


class CasePage:
    """The page of one visitor. `unsent` is a note being written, which outlives what is shown anew around it."""

    def __init__(self, visitor: Visitor, kind: CaseKind, record: Mapping[str, Any], names: Named) -> None:
        self.visitor, self.kind, self.record, self.names = visitor, kind, record, names
        self.unsent = ""
        self._in_turn = asyncio.Lock()
        self.showing = Showing(visitor, kind.machine.kind, lookups.of_record(visitor, names, record))
        with frame(visitor, f"{record['number']} {visitor.t.word('kind', kind.name)}"):
            back(visitor, f"/response/{kind.name}", visitor.t.word("kind", kind.name))
            self._head = ui.html("", sanitize=False).classes("case-head")
            self._told = ui.html("", sanitize=False).classes("told").props("role=status")
            elsewhere = ("prove", *_ELSEWHERE.get(kind.name, ()))
            self.bar = StepBar(visitor, self.refresh, choices=self._choices, initial=lookups.initial, without=elsewhere)
            self._body = ui.element("div").classes("columns case")
            self._show()
            ui.timer(REFRESH_SECONDS, self._look, immediate=False)

    @property
    def path(self) -> str:
        """Where the case is in the API."""
        return f"{self.kind.path}/{self.record['number']}"

    def offers(self, action: str) -> bool:
        """Whether the visitor may take a step now; a record without progress offers none."""
        return action in self._subject.steps

    async def refresh(self) -> None:
        """Look at the case anew and show it."""
        await self._look(even_if_same=True)

    async def _look(self, *, even_if_same: bool = False) -> None:
        with telling(self.visitor):
            async with self._in_turn:  # what was asked first is not shown last
                record = (await self.visitor.api.get(self.path)).body
            if even_if_same or _lasting(record) != _lasting(self.record):
                self.record = record
                self._show()

    @property
    def _subject(self) -> Subject:
        if "progress" not in self.record:
            return Subject(self.kind.machine, self.path, self.path, self.record, ())
        return case_subject(self.kind.machine, self.path, self.record)

    async def _choices(self, subject: Subject, action: str) -> Choices:
        return lookups.of_step(self.visitor, self.names, subject, action)

    def _show(self) -> None:
        record, t = self.record, self.visitor.t
        late = any(one["overdue_seconds"] and not one["stopped_at"] for one in record.get("progress", {}).get("clocks", []))
        overdue = tag_html(t("Overdue"), "late") if late else ""
        self._head.set_content(
            f'<div class="line"><span class="number">{escape(record["number"])}</span>'
            f"{state_html(t, self.kind.machine.kind, record['state'])}<span>{agency_of(self.visitor, record)}</span>"
            f"{marks(self.visitor, record)}{overdue}</div>"
            f"<h1>{escape(title_of(self.visitor, self.kind, self.showing, record))}</h1>"
        )
        self._told.set_content(_told(self))
        self.bar.show(self._subject)
        self._body.clear()
        with self._body:
            with ui.element("div").classes("stack"):
                if self.record.get("content"):
                    self._group("content", self.record["content"])
                self._facts()
                self._parts()
            with ui.element("div").classes("stack"):
                clocks(self)
                history(self)

    def _facts(self) -> None:
        scalars = {name: value for name, value in self.record.items() if name not in _HEAD and name not in self.kind.hidden}
        ordered = {name: scalars[name] for name in (*self.kind.first, *scalars) if name in scalars}
        plain = {name: value for name, value in ordered.items() if not _is_part(name, value)}
        short = [
            (self.showing.name(name), self.showing.html(name, value))
            for name, value in plain.items()
            if not is_long(value) and (name in self.kind.first or value not in (None, "", [], {}))
        ]
        with panel(self.visitor.t("Facts")):
            if short:
                facts(short)
            _prose(self.showing, plain)

    def _group(self, name: str, value: Any) -> None:
        """Values that belong together, or rows of them; nothing where none of them says anything yet."""
        if isinstance(value, list):
            with panel(self.showing.name(name)):
                ui.html(self.showing.html(name, value), sanitize=False)
            return
        said = {field: one for field, one in value.items() if one not in (None, "", [], {})}
        if not said:
            return
        with panel(self.showing.name(name)):
            short = [(self.showing.name(field), self.showing.html(field, one)) for field, one in said.items() if not is_long(one)]
            if short:
                facts(short)
            _prose(self.showing, said)

    def _parts(self) -> None:
        for name, value in self.record.items():
            if name in _HEAD or name in self.kind.hidden or not _is_part(name, value):
                continue
            part: Part | None = PARTS.get((self.kind.name, name)) or PARTS.get(("", name))
            if part is not None:
                part(self, name, value)
            elif value:
                self._group(name, value)
        whole = PARTS.get((self.kind.name, ""))
        if whole is not None:
            whole(self, "", None)


def _told(page: CasePage) -> str:
    """What is to be known at once about a case of its kind."""
    t, record = page.visitor.t, page.record
    match page.kind.name, record["state"]:
        case "reports", "draft" if page.offers("edit"):
            link = f'<a class="tool primary" href="/response/reports/{record["number"]}/write">{escape(t("Go on writing"))}</a>'
            return (
                f'<div class="receipt"><span>{escape(t("This is a draft. Nobody else sees it before it is submitted."))}</span>{link}</div>'
            )
        case "reports", "submitted":
            return _receipt(t("It was submitted. The number of the receipt appears here when the centre has received it."))
        case "reports", _ if record["receipt"]:
            return _receipt(t("Received by the centre. Number of the receipt:"), record["receipt"])
        case "warnings" | "readiness" | "notices", _:
            return _receipt(t.word("kind_about", page.kind.name))
    return ""


def _receipt(told: str, number: str = "") -> str:
    return f'<div class="receipt"><span>{escape(told)}</span>{f"<b>{escape(number)}</b>" if number else ""}</div>'


def _prose(showing: Showing, values: Mapping[str, Any]) -> None:
    """The texts among some values."""
    for name, value in values.items():
        if is_long(value):
            with ui.element("div").classes("prose"):
                text("h3", showing.name(name))
                text("p", value)


def _is_part(name: str, value: Any) -> bool:
    """Whether a field is shown in a panel of its own."""
    if ("", name) in PARTS or any(part == name for _, part in PARTS):
        return isinstance(value, (list, dict))
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value))


def _lasting(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record without what changes by itself from second to second."""
    progress = record.get("progress", {})
    running = [{name: value for name, value in one.items() if name != "overdue_seconds"} for one in progress.get("clocks", [])]
    late = [bool(one["overdue_seconds"]) for one in progress.get("clocks", [])]
    return {**record, "progress": {**progress, "clocks": [running, late]}}
