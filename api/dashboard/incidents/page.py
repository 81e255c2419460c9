"""One incident: what it is, what proves it, why its rules fired, what was done, and what may be done now.

The page hears of changes as the queue does (`api.live.Changes`), reads what changed through the API and shows what differs; what somebody
is typing stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any, Final

import structlog
from fastapi import Request
from nicegui import ui

from api import disclosure
from api.dashboard.client import Refused
from api.dashboard.elements import empty, panel, severity_html, state_html, tag_html, time_html
from api.dashboard.frame import frame
from api.dashboard.incidents import around, keys, page_tools
from api.dashboard.incidents.evidence import EvidencePanel
from api.dashboard.incidents.people import or_nobody, people
from api.dashboard.incidents.rows import person
from api.dashboard.incidents.timeline import TimelinePanel
from api.dashboard.incidents.why import rules_html
from api.dashboard.incidents.work import WorkPanels
from api.dashboard.response.progress import clock_html
from api.dashboard.steps.bar import StepBar, Subject, case_subject
from api.dashboard.steps.entries import Choices
from api.dashboard.telling import telling, why
from api.dashboard.texts import kst, number
from api.dashboard.visitor import Visitor
from api.live import LOOK_SECONDS, Changes, TooMuch
from core.errors import Forbidden, StoreError, Unauthenticated
from core.permissions import Action
from respond.incidents.machine import MACHINE
from respond.incidents.queries import Change

MOMENTS: Final = 500
READY_SECONDS: Final = 30.0
"""A page that asks for many things is given more time than the three seconds NiceGUI gives others."""
_IDENTITY_EVERY: Final = 20  # looks
_SHORT: Final = 90  # characters
_log = structlog.get_logger()


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/incidents/{name}", response_timeout=READY_SECONDS)
    async def incident(request: Request, name: str) -> None:
        visitor = await Visitor.of(request)
        try:
            found = await read(visitor, name)
        except Refused as refused:
            _instead(visitor, refused)
        else:
            page = IncidentPage(visitor, request.state.changes, found)
            ui.timer(0, page.read_around, once=True)
            ui.timer(LOOK_SECONDS, page.look)


async def read(visitor: Visitor, name: str) -> dict[str, Any]:
    """What the page shows at once, by what it is; Refused when the incident itself is."""
    api, path = visitor.api, f"/v1/incidents/{name}"
    detail = (await api.get(path)).body
    reasons = api.get(f"{path}/reasons") if visitor.principal.may(Action.RULES_READ) else None
    found = await asyncio.gather(api.get(f"{path}/timeline", limit=MOMENTS), *([reasons] if reasons else []))
    told = found[1].body if reasons else {"rules": [], "lines": []}
    return {"detail": detail, "timeline": found[0].body, "reasons": told}


def _instead(visitor: Visitor, refused: Refused) -> None:
    t = visitor.t
    if refused.status in (403, 404, 422):
        title, hint = t("There is no such incident."), t("The number is wrong, it is another agency's, or not for this role.")
    elif refused.status == 503:
        title, hint = t("This cannot be shown right now."), t("The database does not answer. Try again in a moment.")
    else:
        title, hint = t("This cannot be shown right now."), why(visitor, refused)
    with frame(visitor, title):
        _back(visitor)
        with ui.element("section").classes("panel"):
            empty(title, hint)


def _back(visitor: Visitor) -> None:
    ui.html(f'<a class="back" href="/incidents">← {escape(visitor.t("Back to the queue"))}</a>', sanitize=False)


class IncidentPage:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, changes: Changes, found: Mapping[str, Any]) -> None:
        self._visitor, self._changes = visitor, changes
        self._looks = 0
        self._in_turn, self._around_in_turn = asyncio.Lock(), asyncio.Lock()
        self._heard: Change | None = None
        self._html: dict[int, str] = {}
        detail = found["detail"]
        self.number = str(detail["number"])
        with frame(visitor, f"{self.number} {visitor.title(detail['title'])}"):
            _back(visitor)
            self._head = ui.html("", sanitize=False).classes("incident-head")
            self._steps = StepBar(visitor, self.refresh, choices=self._choices, initial=page_tools.known_already)
            self._tools = page_tools.Tools(visitor, self.number, self.refresh)
            with ui.element("section").classes("panel"):
                self._facts = ui.html("", tag="dl", sanitize=False).classes("facts")
            with ui.element("div").classes("columns incident"):
                with ui.element("div").classes("column"):
                    self._timeline = TimelinePanel(visitor)
                    self._evidence = EvidencePanel(visitor)
                    self._work = WorkPanels(visitor, self.number, self.refresh)
                with ui.element("div").classes("column"):
                    self._build_around()
            keys.page_help(visitor)
        self._show(found)

    def _build_around(self) -> None:
        t = self._visitor.t
        with panel(t("Clocks")) as head:
            self._clocks_panel = head.parent_slot.parent if head.parent_slot else head
            self._clocks = ui.html("", tag="ul", sanitize=False).classes("clocks")
        with panel(t("Why it fired")):
            self._why = ui.html("", sanitize=False).classes("whys")
        with panel(t("Entities")):
            self._entities = ui.html("", tag="table", sanitize=False).classes("list entities")
            self._more_entities = ui.button(t("All entities"), color=None, on_click=self._all_entities).props("flat no-caps")
            self._every_entity = False
        with panel(t("Cases about it")):
            self._cases = ui.html("", tag="ul", sanitize=False).classes("around")
            page_tools.making_links(self._visitor, self.number)
        with panel(t("The same attacker")):
            self._related = ui.html("", tag="ul", sanitize=False).classes("around")
        ui.on("known", self._known)

    # ---- showing ----

    def _show(self, found: Mapping[str, Any]) -> None:
        visitor, t, detail = self._visitor, self._visitor.t, found["detail"]
        self._found = found
        self._set(self._head, _head_html(visitor, detail))
        self._set(self._facts, _facts_html(visitor, detail))
        self._steps.show(case_subject(MACHINE, f"/v1/incidents/{self.number}", detail))
        self._tools.show(detail)
        self._timeline.show(found["timeline"]["items"], bool(found["timeline"]["next_cursor"]))
        self._evidence.show(detail, found["reasons"]["lines"])
        self._work.show(detail)
        clocks = "".join(clock_html(t, MACHINE.kind, one) for one in detail["progress"]["clocks"])
        self._clocks_panel.set_visibility(bool(clocks))
        self._set(self._clocks, clocks)
        self._set(self._why, rules_html(visitor, found["reasons"]) or _nothing(t("This role does not read rules.")))
        self._show_entities()

    async def read_around(self) -> None:
        """Read what is about the incident, which takes many questions, and show it."""
        visitor, t = self._visitor, self._visitor.t
        with telling(visitor):
            async with self._around_in_turn:
                related, found = await asyncio.gather(
                    visitor.api.get(f"/v1/incidents/{self.number}/related"), around.linked(visitor, self.number)
                )
            cases = around.linked_html(visitor, found)
            self._set(self._cases, cases or _nothing(t("No report, request or other case is about it."), "li"))
            others = around.related_html(visitor, related.body, visitor.centre.clock.now())
            self._set(self._related, others or _nothing(t("No other incident names its attacker."), "li"))

    def _show_entities(self) -> None:
        detail, t = self._found["detail"], self._visitor.t
        found: Sequence[Mapping[str, Any]] = detail["entities"]
        shown = found if self._every_entity else found[: around.FIRST_ENTITIES]
        rows = around.entities_html(self._visitor, detail, shown)
        nothing = f"<tr><td>{_nothing(t('The lines of this incident name nobody and nothing.'))}</td></tr>"
        self._set(self._entities, f"<tbody>{rows or nothing}</tbody>")
        self._more_entities.set_visibility(len(shown) < len(found))

    def _all_entities(self) -> None:
        self._every_entity = True
        self._show_entities()

    def _set(self, element: ui.html, html: str) -> None:
        """Change an element only when it differs, so that focus and selection in the others stay."""
        if self._html.get(element.id) != html:
            self._html[element.id] = html
            element.set_content(html)

    async def _choices(self, _subject: Subject, action: str) -> Choices:
        """Whom a step may name."""
        match action:
            case "assign":
                return {"assignee": await or_nobody(self._visitor)}
            case "split":
                return {"detections": {one["detection_id"]: _line_of(one) for one in self._found["detail"]["evidence"]}}
            case "restrict":
                return {"members": await people(self._visitor)}
            case _:
                return {}

    async def _known(self, event: Any) -> None:
        given = event.args[0] if isinstance(event.args, list) else event.args
        await page_tools.show_known(self._visitor, str(given.get("value", "")))

    # ---- what is new ----

    async def refresh(self) -> None:
        """Read the incident anew and show it."""
        with telling(self._visitor):
            async with self._in_turn:  # what was asked first is not shown last
                found = await read(self._visitor, self.number)
            self._show(found)
        await self.read_around()

    async def look(self) -> None:
        """Show what others changed; when that cannot be told, go on trying."""
        visitor = self._visitor
        self._looks += 1
        try:
            if self._looks % _IDENTITY_EVERY == 0:
                await visitor.recheck()
            changes = await self._changes.latest(disclosure.sight(visitor.principal))
        except (Unauthenticated, Forbidden):
            ui.navigate.to(visitor.login_url)
            return
        except (StoreError, TooMuch) as error:
            _log.warning("dashboard.stale", error=str(error))
            return
        mine = next((one for one in changes if one.incident.number == self.number), None)
        if mine is not None and mine != self._heard:
            known, self._heard = self._found["detail"], mine
            if (datetime.fromisoformat(known["updated_at"]), known["version"]) != (mine.incident.updated_at, mine.incident.version):
                await self.refresh()


def _line_of(evidence: Mapping[str, Any]) -> str:
    """How a kept line is called where some are chosen: when it was, and what it says, shortened."""
    said = evidence["raw"] or evidence["rule_title"]
    return f"{kst(datetime.fromisoformat(evidence['event_time']))} {said[:_SHORT]}{'…' if len(said) > _SHORT else ''}"


def _nothing(message: str, tag: str = "p") -> str:
    return f'<{tag} class="notice">{escape(message)}</{tag}>'


def _head_html(visitor: Visitor, detail: Mapping[str, Any]) -> str:
    t = visitor.t
    marks = (
        (detail["exercise"], t("Exercise")),
        (detail["restricted"], t("Restricted")),
        (detail["personal_data"], t("Personal data")),
    )
    tags = "".join(tag_html(word, "mark-of") for holds, word in marks if holds)
    merged = ""
    if detail["merged_into"]:
        into = escape(detail["merged_into"], quote=True)
        merged = (
            f'<p class="notice">{t("This incident was merged into {number}.", number=f"""<a href="/incidents/{into}">{into}</a>""")}</p>'
        )
    return (
        f'<div class="line"><span class="number">{escape(detail["number"])}</span>{severity_html(visitor, detail["severity"])}'
        f"{state_html(visitor, 'state', detail['state'])}<span>{escape(visitor.agency_name(detail['agency']))}</span>{tags}</div>"
        f"<h1>{escape(visitor.title(detail['title']))}</h1>{merged}"
    )


def _facts_html(visitor: Visitor, detail: Mapping[str, Any]) -> str:
    t = visitor.t
    kind, value = detail["entity_kind"], detail["entity_value"]
    entity = f'{escape(t.word("entity", kind))} <span class="mono">{escape(value)}</span>' if value else "–"
    by = f" ({escape(t('set by {name}', name=person(detail['severity_by'])))})" if detail["severity_by"] else ""
    pairs = [
        (t("Assignee"), escape(person(detail["assignee"])) or "–"),
        (t("First event"), time_html(detail["first_event_at"])),
        (t("Last event"), time_html(detail["last_event_at"])),
        (t("Opened"), time_html(detail["opened_at"])),
        (t("Detections"), number(detail["detections"])),
        (t("Main entity"), entity),
        (t("Severity"), escape(t.word("severity", detail["severity"])) + by),
        (t("Centre learned"), time_html(detail["centre_aware_at"])),
        (t("Agency told"), time_html(detail["agency_told_at"])),
        (t("Agency learned"), time_html(detail["agency_aware_at"])),
    ]
    pairs += [(name, escape(detail[key])) for key, name in (("cause", t("Cause")), ("impact", t("Impact"))) if detail[key]]
    for key, name in (("members", t("Members")), ("watchers", t("Watchers"))):
        if detail[key]:
            pairs.append((name, escape(", ".join(person(one) for one in detail[key]))))
    if detail["split_from"]:
        number_of = escape(detail["split_from"], quote=True)
        pairs.append((t("Split from"), f'<a href="/incidents/{number_of}">{number_of}</a>'))
    if detail["seal"]:
        holds = t("holds") if detail["seal_holds"] else t("BROKEN")
        pairs.append((t("Seal of the evidence"), f'{escape(holds)} <span class="mono soft">{escape(detail["seal"][:16])}…</span>'))
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in pairs)
