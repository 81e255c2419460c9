"""One incident: what it is, the lines that prove it, and whom and what they name."""

from __future__ import annotations

import asyncio
from datetime import datetime
from html import escape

from fastapi import Request
from nicegui import ui

from api import disclosure
from api.dashboard import beacons
from api.dashboard.frame import empty, frame, severity_html, text
from api.dashboard.texts import kst, number, utc
from api.dashboard.visitor import Visitor
from core.errors import Forbidden, NotFound, StoreError
from respond.incidents import queries as incidents
from respond.incidents.queries import Detail, Entity


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/incidents/{name}")
    async def incident(request: Request, name: str) -> None:
        visitor = Visitor.of(request)
        try:
            detail = await asyncio.to_thread(_read, visitor, name)
        except (NotFound, Forbidden):
            _missing(visitor)
        except StoreError:
            _unavailable(visitor)
        else:
            IncidentPage(visitor, detail)


def _read(visitor: Visitor, name: str) -> Detail:
    with visitor.centre.database.session(readonly=True) as session:
        detail = incidents.get_incident(session, disclosure.sight(visitor.principal), name)
    disclosure.note_read(visitor.centre.database, visitor.principal, detail.incident, "page")
    return detail


def _missing(visitor: Visitor) -> None:
    t = visitor.t
    with frame(visitor, t("incident.missing")):
        _back(visitor)
        with ui.element("section").classes("panel"):
            empty(t("incident.missing"), t("incident.missing.hint"))


def _unavailable(visitor: Visitor) -> None:
    t = visitor.t
    with frame(visitor, t("unavailable")):
        _back(visitor)
        with ui.element("section").classes("panel"):
            empty(t("unavailable"), t("unavailable.hint"))


def _back(visitor: Visitor) -> None:
    ui.html(f'<a class="back" href="/">← {visitor.t("incident.back")}</a>', sanitize=False)


class IncidentPage:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, detail: Detail) -> None:
        self._visitor = visitor
        self._detail = detail
        with frame(visitor, f"{detail.incident.number} {detail.incident.title}"):
            _back(visitor)
            self._head()
            self._facts()
            with ui.element("div").classes("columns"):
                self._evidence()
                self._entities()

    def _head(self) -> None:
        incident, t = self._detail.incident, self._visitor.t
        marks = ((incident.exercise, t("exercise")), (incident.restricted, t("restricted")), (incident.personal_data, t("personal_data")))
        tags = "".join(f'<span class="tag">{mark}</span>' for holds, mark in marks if holds)
        merged = ""
        if incident.merged_into:
            link = f'<a href="/incidents/{incident.merged_into}">{incident.merged_into}</a>'
            merged = f'<p class="notice">{t("incident.merged", number=link)}</p>'
        ui.html(
            f'<div class="line"><span class="number">{escape(incident.number)}</span>'
            f"{severity_html(self._visitor, incident.severity, beacons.fires(incident.severity))}"
            f'<span class="state {incident.state.value}">{escape(t.word("state", incident.state.value))}</span>'
            f"<span>{escape(self._visitor.agency_name(incident.agency))}</span>{tags}</div>"
            f"<h1>{escape(incident.title)}</h1>{merged}",
            sanitize=False,
        ).classes("incident-head")

    def _facts(self) -> None:
        incident, t = self._detail.incident, self._visitor.t
        entity = f"{t.word('entity', incident.entity_kind)} {incident.entity_value}" if incident.entity_value else "–"
        facts = (
            (t("incident.first"), _time(incident.first_event_at)),
            (t("incident.last"), _time(incident.last_event_at)),
            (t("incident.opened"), _time(incident.opened_at)),
            (t("incident.detections"), number(incident.detections)),
            (t("incident.entity"), escape(entity)),
            (t("incident.assignee"), escape(incident.assignee) or "–"),
            (t("incident.centre_aware"), _time(incident.centre_aware_at)),
            (t("incident.agency_aware"), _time(incident.agency_aware_at)),
        )
        items = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
        with ui.element("section").classes("panel"):
            ui.html(items, tag="dl", sanitize=False).classes("facts")

    def _evidence(self) -> None:
        incident, t = self._detail.incident, self._visitor.t
        shown = disclosure.evidence(self._visitor.principal, self._detail)
        note = t("incident.evidence.note", all=number(incident.detections), kept=number(incident.evidence_kept))
        with ui.element("section").classes("panel"):
            with ui.element("header"):
                text("h2", t("incident.evidence"))
                text("span", note, "note")
            if any(one.raw is None for one in shown):
                text("p", t("incident.evidence.hidden"), "notice")
            ui.html("".join(_item(one) for one in shown), tag="ol", sanitize=False).classes("evidence")

    def _entities(self) -> None:
        t = self._visitor.t
        with ui.element("section").classes("panel"):
            with ui.element("header"):
                text("h2", t("incident.entities"))
            if not self._detail.entities:
                text("p", t("incident.entities.empty"), "notice")
                return
            rows = "".join(self._entity(one) for one in self._detail.entities)
            ui.html(f"<tbody>{rows}</tbody>", tag="table", sanitize=False).classes("list")

    def _entity(self, entity: Entity) -> str:
        t = self._visitor.t
        kind = f"{t.word('entity', entity.kind)} · {t.word('role', entity.role)}"
        return (
            f'<tr><td><div class="mono">{escape(entity.value)}</div><div class="soft">{escape(kind)}</div></td>'
            f'<td class="right num">{number(entity.detections)}</td></tr>'
        )


def _item(one: disclosure.Evidence) -> str:
    line = escape(one.raw) if one.raw is not None else f"sha256 {one.raw_sha256}"
    return (
        f'<li><div class="about"><span class="num">{_time(one.event_time)}</span><span class="soft">{escape(one.rule_title)}</span>'
        f'<span class="id">{escape(one.event_id)}</span></div><pre tabindex="0">{line}</pre></li>'
    )


def _time(at: datetime | None) -> str:
    if at is None:
        return "–"
    return f'<time datetime="{utc(at)}" title="{utc(at)}">{kst(at)}</time>'
