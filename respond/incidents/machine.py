"""The states of an incident and the steps between them, as a table.

`reopened` is left by triage, and a false alarm may be reopened too [ours: the ordinance names no states]. Ending an incident, taking it
for false and taking it up again need a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where an incident stands."""

    NEW = "new"
    TRIAGED = "triaged"
    FALSE_POSITIVE = "false_positive"
    CONFIRMED = "confirmed"
    CONTAINED = "contained"
    ERADICATED = "eradicated"
    RECOVERING = "recovering"
    CLOSED = "closed"
    REOPENED = "reopened"


STEPS: Final[Mapping[State, frozenset[State]]] = {
    State.NEW: frozenset({State.TRIAGED}),
    State.TRIAGED: frozenset({State.FALSE_POSITIVE, State.CONFIRMED}),
    State.FALSE_POSITIVE: frozenset({State.REOPENED}),
    State.CONFIRMED: frozenset({State.CONTAINED}),
    State.CONTAINED: frozenset({State.ERADICATED}),
    State.ERADICATED: frozenset({State.RECOVERING}),
    State.RECOVERING: frozenset({State.CLOSED}),
    State.CLOSED: frozenset({State.REOPENED}),
    State.REOPENED: frozenset({State.TRIAGED}),
}
ENDED: Final = frozenset({State.FALSE_POSITIVE, State.CLOSED})
"""No finding joins an incident in one of these."""
NEEDS_REASON: Final = frozenset({State.FALSE_POSITIVE, State.CLOSED, State.REOPENED})
