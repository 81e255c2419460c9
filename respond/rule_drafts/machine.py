"""The machine of rule drafts [ours]: no rule comes into force before a SOC lead who did not write it approved it."""

from __future__ import annotations

from typing import Final

from core.permissions import Action
from respond.cases.machine import Machine, step

MACHINE: Final = Machine(
    kind="rule_draft",
    prefix="RUL",
    initial="draft",
    steps=(
        step("edit", "draft declined", "draft", Action.RULES_WRITE),
        step("submit", "draft", "submitted", Action.RULES_WRITE),
        step("take_back", "submitted", "draft", Action.RULES_WRITE),
        step("approve", "submitted", "in_force", Action.RULES_APPROVE, law="CO 17(2)2"),
        step("decline", "submitted", "declined", Action.RULES_APPROVE, needs_reason=True),
        step("discard", "draft declined", "discarded", Action.RULES_WRITE),
        step("retire", "in_force", "retired", Action.RULES_APPROVE, needs_reason=True),
    ),
    ended=frozenset({"discarded", "retired"}),
)
