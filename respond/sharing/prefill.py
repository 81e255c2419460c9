"""What a share can take over from its incident. Raw lines, accounts and the incident's own words on cause and impact stay here."""

from __future__ import annotations

import re
from typing import Any, Final

from respond.incidents.queries import Detail, Entity
from respond.sharing.content import Content

_TECHNIQUE: Final = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)")
_BAD: Final = {("ip", "source"): "address", ("domain", "requested"): "domain", ("domain", "queried"): "domain"}
_SEEN: Final = {"ip": "address", "domain": "domain", "url": "url"}
_MOST: Final = 50


def from_incident(detail: Detail) -> Content:
    """A content with the incident's means of attack, who attacked, what was attacked, and when."""
    incident = detail.incident
    rules = sorted({one.rule_title for one in detail.evidence})
    found: dict[str, Any] = {
        "title": incident.title[:300],
        "summary": f"{incident.detections} findings of {', '.join(rules[:5]) or incident.title}"[:8000],
        "techniques": [{"id": technique} for technique in sorted(_techniques(incident.tags))],
        "indicators": _values(detail, _BAD),
        "observed": [{"type": _SEEN[one.kind], "value": one.value} for one in detail.entities if one.kind in _SEEN and _fits(one)][:_MOST],
        "sighted": {
            "first": min(incident.first_event_at, incident.last_event_at),
            "last": max(incident.first_event_at, incident.last_event_at),
            "count": max(min(incident.detections, 999_999_999), 1),
        },
    }
    return Content.model_validate(found)


def _techniques(tags: tuple[str, ...]) -> set[str]:
    return {match[1].upper() for tag in tags if (match := _TECHNIQUE.fullmatch(tag.lower()))}


def _values(detail: Detail, kinds: dict[tuple[str, str], str]) -> list[dict[str, str]]:
    """What a detector of domains saw need not have a dot; an indicator's domain has."""
    named = [one for one in detail.entities if (one.kind, one.role) in kinds and _fits(one)]
    return [{"type": kinds[one.kind, one.role], "value": one.value} for one in named if one.kind == "ip" or "." in one.value][:_MOST]


def _fits(one: Entity) -> bool:
    return 0 < len(one.value) <= 2048
