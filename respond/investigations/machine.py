"""The machine of investigations [ours: article 19(1) names what is to be found out, not how it goes].

Evidence may be taken until the investigation is concluded, and changes hands also after: it goes to the police, or back.
"""

from __future__ import annotations

from typing import Final

from core.permissions import Action
from respond.cases.machine import Machine, step

MACHINE: Final = Machine(
    kind="investigation",
    prefix="INV",
    initial="open",
    steps=(
        step("record_findings", "open findings reopened", "findings", Action.INCIDENTS_WRITE, law="19(1)"),
        step("take_evidence", "open findings reopened", "", Action.INCIDENTS_WRITE),
        step("hand_over", "open findings concluded reopened", "", Action.INCIDENTS_WRITE),
        step("conclude", "findings", "concluded", Action.INCIDENTS_APPROVE, law="19(1)"),
        step("reopen", "concluded", "reopened", Action.INCIDENTS_APPROVE, needs_reason=True),
    ),
    ended=frozenset({"concluded"}),
)
