"""What a report can take over from its incident, so that the officer has one screen to complete and not one to fill.

`learned_at` is never guessed: when the agency learned of the accident only the agency can say. What it said when it acknowledged the
incident is taken over.
"""

from __future__ import annotations

from typing import Final

from respond.incidents.queries import Detail
from respond.reports.content import Accident, Content, PersonalData

_KINDS: Final = (
    ("attack.exfiltration", Accident.DATA_LEAK),
    ("attack.t1491", Accident.DEFACEMENT),
    ("attack.t1498", Accident.DENIAL_OF_SERVICE),
    ("attack.t1499", Accident.DENIAL_OF_SERVICE),
    ("attack.t1566", Accident.PHISHING),
    ("attack.command-and-control", Accident.MALWARE),
    ("attack.execution", Accident.MALWARE),
    ("attack.initial-access", Accident.INTRUSION),
    ("attack.credential-access", Accident.INTRUSION),
    ("attack.lateral-movement", Accident.INTRUSION),
)
"""Which tag of a rule speaks for which kind of accident; the first that fits counts [ours]."""


def from_incident(detail: Detail) -> Content:
    """The fields an incident can fill: when, which system, what kind, a summary of the findings, and what people said of it."""
    incident = detail.incident
    occurred = min(incident.first_event_at, incident.opened_at)  # a device's clock may be ahead
    learned = incident.agency_aware_at
    rules = sorted({one.rule_title for one in detail.evidence}) or [incident.title]
    return {
        "occurred_at": occurred,
        "learned_at": learned if learned and learned >= occurred else None,
        "system": _system(detail),
        "type": _kind(incident.tags).value,
        "summary": f"{incident.title} ({incident.number}, {incident.severity}): {incident.detections} findings of {', '.join(rules[:5])}",
        "cause": incident.cause,
        "impact": incident.impact,
        "personal_data": (PersonalData.YES if incident.personal_data else PersonalData.UNKNOWN).value,
    }


def _system(detail: Detail) -> str:
    for role in ("target", "reporter"):
        for one in detail.entities:
            if one.role == role:
                return one.value
    return ""


def _kind(tags: tuple[str, ...]) -> Accident:
    for prefix, kind in _KINDS:
        if any(tag.startswith(prefix) for tag in tags):
            return kind
    return Accident.UNKNOWN
