"""The machine of drills.

Article 21(3): before joint training the Mayor gives the agencies notice of it, unless there is a compelling reason not to, which is written
down (`waive_notice`). 21(4): after joint training the Mayor may ask agencies for corrective measures (`ask_correction`); closing without
is the `none` of the machine. `cancel` is our own: what was planned may fall through.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from core.permissions import Action
from respond.cases.machine import Machine, step

MACHINE: Final = Machine(
    kind="drill",
    prefix="DRL",
    initial="planned",
    steps=(
        step("give_notice", "planned", "noticed", Action.DRILLS_APPROVE, law="CO 21(3)"),
        step("waive_notice", "planned", "notice_waived", Action.DRILLS_APPROVE, needs_reason=True, law="CO 21(3)"),
        step("acknowledge", "noticed running", "", Action.DRILLS_WRITE, law="CO 21(3)"),
        step("start", "planned noticed notice_waived", "running", Action.DRILLS_WRITE, law="CO 17(2)5, 21"),
        step("stop", "running", "", Action.DRILLS_WRITE, needs_reason=True),
        step("score", "running", "scored", Action.DRILLS_WRITE),
        step("ask_correction", "scored", "corrective_requested", Action.DRILLS_WRITE, law="CO 21(4)"),
        step("close", "scored corrective_requested", "closed", Action.DRILLS_WRITE),
        step("cancel", "planned noticed notice_waived", "cancelled", Action.DRILLS_WRITE, needs_reason=True),
    ),
    ended=frozenset({"closed", "cancelled"}),
)


class Sending(StrEnum):
    """How far the lines of a drill are sent. The words are stored."""

    NOT_BEGUN = ""
    WAITING = "waiting"
    SENDING = "sending"
    DONE = "done"
    STOPPED = "stopped"
    BROKEN = "broken"


UNDER_WAY: Final = frozenset({Sending.WAITING, Sending.SENDING})
