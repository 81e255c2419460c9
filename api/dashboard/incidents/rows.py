"""The rows of the queue as HTML: fifty of them are one element of the page, not fifty times ten."""

from __future__ import annotations

from datetime import datetime
from html import escape

from api.dashboard.elements import severity_html, state_html, tag_html, time_html
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor
from api.incident_shapes import Incident


def table_html(visitor: Visitor, rows: str) -> str:
    """The whole table around its rows."""
    t = visitor.t
    names = (
        ("", ""),
        (t("Severity"), ""),
        (t("Incident"), ""),
        (t("Agency"), ""),
        (t("State"), ""),
        (t("Assignee"), ""),
        (t("Detections"), "right"),
        (t("Opened"), "right"),
        (t("Last event"), "right"),
    )
    heads = "".join(f'<th scope="col" class="{classes}">{escape(name)}</th>' if name else "<td></td>" for name, classes in names)
    return f"<thead><tr>{heads}</tr></thead><tbody data-rows>{rows}</tbody>"


def row_html(number_of: str, cells: str) -> str:
    """One row around its cells; its number is in the data of the element."""
    return f'<tr class="case" data-number="{escape(number_of, quote=True)}">{cells}</tr>'


def cells_html(visitor: Visitor, incident: Incident, now: datetime) -> str:
    """The cells of a row."""
    t, name = visitor.t, escape(incident.number, quote=True)
    marks = ((incident.exercise, t("Exercise")), (incident.restricted, t("Restricted")), (incident.personal_data, t("Personal data")))
    tags = "".join(f" {tag_html(word)}" for holds, word in marks if holds)
    entity = f'<span class="soft mono">{escape(incident.entity_value)}</span>' if incident.entity_value else ""
    label = escape(t("Select {number}", number=incident.number), quote=True)
    return (
        f'<td class="cell cell-select"><label class="select"><input type="checkbox" aria-label="{label}"></label></td>'
        f'<td class="cell cell-severity">{severity_html(visitor, incident.severity)}</td>'
        f'<td class="cell cell-incident"><a href="/incidents/{name}">{escape(visitor.title(incident.title))}</a>{tags}'
        f'<span class="about"><span class="soft num">{name}</span>{entity}</span></td>'
        f'<td class="cell cell-agency">{escape(visitor.agency_name(incident.agency))}</td>'
        f'<td class="cell cell-state">{state_html(visitor, "state", incident.state.value)}</td>'
        f'<td class="cell cell-assignee">{person_html(visitor, incident.assignee)}</td>'
        f'<td class="cell cell-detections right num">{number(incident.detections)}</td>'
        f'<td class="cell cell-opened right num soft">{time_html(incident.opened_at, now)}</td>'
        f'<td class="cell cell-time right num soft">{time_html(incident.last_event_at, now)}</td>'
    )


def person_html(visitor: Visitor, actor: str) -> str:
    """Whose it is; the visitor is marked."""
    if not actor:
        return '<span class="soft">–</span>'
    mine = " mine" if actor == visitor.principal.actor else ""
    return f'<span class="person{mine}">{escape(person(actor))}</span>'


def person(actor: str) -> str:
    """The name of an actor, without the kind it is."""
    return actor.partition(":")[2] or actor
