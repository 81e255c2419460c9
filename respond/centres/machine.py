"""The machine of linked centres [ours]: article 17(3) says that agencies operate linked centres, not how a link begins and ends.

Only the machines of an active centre are let in.
"""

from __future__ import annotations

from typing import Final

from core.permissions import Action
from respond.cases.machine import Machine, step

ACTIVE: Final = "active"

MACHINE: Final = Machine(
    kind="centre",
    prefix="LNC",
    initial="registered",
    steps=(
        step("edit", "registered active suspended", "", Action.CENTRES_WRITE),
        step("activate", "registered", ACTIVE, Action.CENTRES_WRITE, law="CO 17(3)"),
        step("suspend", ACTIVE, "suspended", Action.CENTRES_WRITE, needs_reason=True),
        step("resume", "suspended", ACTIVE, Action.CENTRES_WRITE),
        step("end", "registered active suspended", "ended", Action.CENTRES_WRITE, needs_reason=True),
    ),
    ended=frozenset({"ended"}),
)
