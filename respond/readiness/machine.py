"""The machine of a proposal of readiness [ours], in either direction.

A proposal to escalate that is confirmed is the readiness in force until it is stood down. A proposal to stand down, once confirmed, stands
down the readiness it is about and itself with it. `pass_on` is taken by the centre when nobody answers in time (`judge`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from core.permissions import Action
from respond.cases.machine import Machine, step


class Direction(StrEnum):
    """What is proposed. The words are stored."""

    ESCALATE = "escalate"
    STAND_DOWN = "stand_down"


MACHINE: Final = Machine(
    kind="readiness",
    prefix="RDY",
    initial="proposed",
    steps=(
        step("confirm", "proposed unanswered", "confirmed", Action.READINESS_DECIDE),
        step("decline", "proposed unanswered", "declined", Action.READINESS_DECIDE, needs_reason=True),
        step("pass_on", "proposed unanswered", "unanswered", Action.READINESS_DECIDE),
        step("prove", "confirmed", "", Action.READINESS_DECIDE),
        step("stand_down", "confirmed", "stood_down", Action.READINESS_DECIDE, needs_reason=True),
    ),
    ended=frozenset({"declined", "stood_down"}),
)
