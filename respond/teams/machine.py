"""The machines of emergency teams: the team, and each person called into it.

An agency's head asks for a team through an officer, or the SOC lead proposes one; only the Mayor forms it, declines it or stands it down.
A person on the roster acknowledges the own call; `teams:read` is all that needs, and the service sees that it is the own one.
"""

from __future__ import annotations

from typing import Final

from core.permissions import Action
from respond.cases.machine import Machine, step

REQUESTED: Final = "requested"
PROPOSED: Final = "proposed"

MACHINE: Final = Machine(
    kind="team",
    prefix="ECT",
    initial=REQUESTED,
    also_initial=frozenset({PROPOSED}),
    steps=(
        step("nominate", "requested proposed formed active", "", Action.TEAMS_PROPOSE, law="CO 20(3)"),
        step("form", "requested proposed", "formed", Action.TEAMS_APPROVE, law="CO 20(1)"),
        step("decline", "requested proposed", "declined", Action.TEAMS_APPROVE, needs_reason=True),
        step("call_out", "formed active", "", Action.TEAMS_PROPOSE),
        step("activate", "formed", "active", Action.TEAMS_PROPOSE),
        step("order", "active", "", Action.TEAMS_PROPOSE),
        step("stand_down", "active", "stood_down", Action.TEAMS_APPROVE, needs_reason=True),
        step("review", "stood_down", "reviewed", Action.TEAMS_PROPOSE),
    ),
    ended=frozenset({"declined", "reviewed"}),
)

MEMBER: Final = Machine(
    kind="team_member",
    prefix="ECM",
    initial="nominated",
    steps=(
        step("call", "nominated unavailable", "called", Action.TEAMS_PROPOSE),
        step("acknowledge", "called", "acknowledged", Action.TEAMS_READ),
        step("excuse", "called acknowledged", "unavailable", Action.TEAMS_READ, needs_reason=True),
        step("release", "nominated called acknowledged unavailable", "released", Action.TEAMS_PROPOSE),
    ),
    ended=frozenset({"released"}),
)
