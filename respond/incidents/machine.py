"""The machine of incidents. An analyst triages and works, the lead of the centre confirms, closes, reopens and restricts.

`reopened` is left by triage, and a false alarm may be reopened too [ours: the ordinance names no states]. The steps that lead nowhere
change what is known of an incident, not where it stands.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from core.permissions import Action
from respond.cases.machine import Machine, step


class State(StrEnum):
    """Where an incident stands. The words are stored."""

    NEW = "new"
    TRIAGED = "triaged"
    FALSE_POSITIVE = "false_positive"
    CONFIRMED = "confirmed"
    CONTAINED = "contained"
    ERADICATED = "eradicated"
    RECOVERING = "recovering"
    CLOSED = "closed"
    REOPENED = "reopened"


ENDED: Final = frozenset({State.FALSE_POSITIVE, State.CLOSED})
"""No finding joins an incident in one of these."""

_OPEN: Final = "new triaged confirmed contained eradicated recovering reopened"
_ALL: Final = f"{_OPEN} false_positive closed"

MACHINE: Final = Machine(
    kind="incident",
    prefix="INC",
    initial="new",
    steps=(
        step("triage", "new reopened", "triaged", Action.INCIDENTS_WRITE, law="CO 17(2)2"),
        step("dismiss", "triaged", "false_positive", Action.INCIDENTS_WRITE, needs_reason=True),
        step("confirm", "triaged", "confirmed", Action.INCIDENTS_APPROVE),
        step("acknowledge", "confirmed contained eradicated recovering", "", Action.INCIDENTS_WRITE),
        step("contain", "confirmed", "contained", Action.INCIDENTS_WRITE, law="CO 17(2)3"),
        step("eradicate", "contained", "eradicated", Action.INCIDENTS_WRITE, law="CO 17(2)3"),
        step("recover", "eradicated", "recovering", Action.INCIDENTS_WRITE, law="CO 17(2)3"),
        step("close", "recovering", "closed", Action.INCIDENTS_APPROVE, needs_reason=True),
        step("reopen", "closed false_positive", "reopened", Action.INCIDENTS_APPROVE, needs_reason=True),
        step("assign", _OPEN, "", Action.INCIDENTS_WRITE),
        step("assess", _OPEN, "", Action.INCIDENTS_WRITE, law="CO 17(2)4, 19(1)"),
        step("rate", _OPEN, "", Action.INCIDENTS_WRITE, needs_reason=True),
        step("mark", _ALL, "", Action.INCIDENTS_WRITE, needs_reason=True),
        step("restrict", _ALL, "", Action.INCIDENTS_APPROVE, needs_reason=True),
        step("unrestrict", _ALL, "", Action.INCIDENTS_APPROVE, needs_reason=True),
        step("merge", _OPEN, "", Action.INCIDENTS_WRITE, needs_reason=True),
        step("split", _OPEN, "", Action.INCIDENTS_WRITE, needs_reason=True),
    ),
    ended=frozenset(ENDED),
)
