"""What is done with incidents from the queue: one or many, each through its own route, so that each succeeds or is refused by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.dashboard.client import Refused
from api.dashboard.telling import why
from api.dashboard.visitor import Visitor
from api.incident_shapes import Incident
from respond.incidents.machine import State

MOST_AT_ONCE: Final = 200
_UNTRIAGED: Final = frozenset({State.NEW, State.REOPENED})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one incident: as it is now, or why it was refused ('' when it was not)."""

    number: str
    incident: Incident | None
    refused: str = ""


Deed = Sequence[tuple[str, dict[str, Any]]]
"""Steps to be taken one after the other, with their bodies."""


def assign(name: str) -> Callable[[Incident], Deed]:
    """Give it to the user called `name`; '' takes it from whoever has it."""
    return lambda _: [("assign", {"assignee": name})]


def triage(_: Incident) -> Deed:
    """Say that somebody looked at it."""
    return [("triage", {})]


def confirm(incident: Incident) -> Deed:
    """It is a real one; what nobody has triaged is triaged first."""
    return [*_triaged(incident), ("confirm", {})]


def dismiss(reason: str) -> Callable[[Incident], Deed]:
    """It is a false alarm; what nobody has triaged is triaged first."""
    return lambda incident: [*_triaged(incident), ("dismiss", {"reason": reason})]


def merge(into: str, reason: str) -> Callable[[Incident], Deed]:
    """It belongs to the incident `into`."""
    return lambda _: [("merge", {"into": into, "reason": reason})]


def _triaged(incident: Incident) -> list[tuple[str, dict[str, Any]]]:
    return [("triage", {})] if incident.state in _UNTRIAGED else []


async def do(visitor: Visitor, incidents: Sequence[Incident], deed: Callable[[Incident], Deed]) -> list[Outcome]:
    """Do it to each, as it was seen: what was changed meanwhile by somebody else is refused."""
    return [await _one(visitor, one, deed(one)) for one in incidents[:MOST_AT_ONCE]]


async def _one(visitor: Visitor, incident: Incident, deed: Deed) -> Outcome:
    now, moved = incident, False
    try:
        for action, body in deed:
            answer = await visitor.api.post(f"/v1/incidents/{incident.number}/{action}", body, etag=f'"{now.version}"')
            now, moved = Incident.model_validate(answer.body), True
    except Refused as refused:
        if refused.status == 401:
            raise
        return Outcome(incident.number, now if moved else None, why(visitor, refused))
    return Outcome(incident.number, now)
