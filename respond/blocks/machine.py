"""The machine of blocks [ours]: nothing is blocked before a second person approved it, and every block ends by itself."""

from __future__ import annotations

from typing import Final

from core.permissions import Action
from respond.cases.machine import Machine, step

MACHINE: Final = Machine(
    kind="block",
    prefix="BLK",
    initial="proposed",
    steps=(
        step("approve", "proposed", "approved", Action.BLOCKS_APPROVE, law="CO 17(2)3"),
        step("decline", "proposed", "declined", Action.BLOCKS_APPROVE, needs_reason=True),
        step("withdraw", "proposed approved", "withdrawn", Action.BLOCKS_APPROVE, needs_reason=True),
        step("extend", "approved", "", Action.BLOCKS_APPROVE, needs_reason=True),
    ),
    ended=frozenset({"declined", "withdrawn"}),
)
