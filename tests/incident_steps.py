"""Taking an incident to a state, for tests that are about something else than its steps."""

from __future__ import annotations

from sqlalchemy.orm import Session

from respond.incidents import queries, service
from respond.incidents.machine import State
from respond.incidents.queries import Summary
from respond.incidents.sight import Sight

ACTIONS = {
    State.TRIAGED: "triage",
    State.FALSE_POSITIVE: "dismiss",
    State.CONFIRMED: "confirm",
    State.CONTAINED: "contain",
    State.ERADICATED: "eradicate",
    State.RECOVERING: "recover",
    State.CLOSED: "close",
    State.REOPENED: "reopen",
}
"""The action that leads to each state."""


def step_to(session: Session, sight: Sight, actor: str, number: str, to: State, reason: str, version: int) -> Summary:
    """Take the step that leads to `to`."""
    return queries.shown(service.take(session, sight, actor, number, ACTIONS[to], version, reason=reason))
