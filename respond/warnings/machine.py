"""The machines of warnings: the one of the whole city, and the notice of it at each agency.

Only a person with `warnings:write` records, changes or lifts a warning, from the national notice; no incident does. A warning whose end
has passed is moved to `expired` by the centre itself (`service.expire_due`). An agency acknowledges its own notice, so that agencies do
not wait for one another.
"""

from __future__ import annotations

from typing import Final

from core.permissions import Action
from respond.cases.machine import Machine, step

_OPEN = "recorded propagated measures_done"

MACHINE: Final = Machine(
    kind="warning",
    prefix="WRN",
    initial="recorded",
    steps=(
        step("edit", "recorded", "", Action.WARNINGS_WRITE),
        step("propagate", "recorded", "propagated", Action.WARNINGS_WRITE, law="CO 18(1)"),
        step("prove", "propagated", "", Action.WARNINGS_WRITE, law="CO 18(1)"),
        step("complete", "propagated", "measures_done", Action.WARNINGS_WRITE, law="CO 18(1)"),
        step("report", "propagated measures_done", "", Action.WARNINGS_WRITE, needs_reason=True),
        step("change_level", _OPEN, "level_changed", Action.WARNINGS_WRITE),
        step("lift", _OPEN, "lifted", Action.WARNINGS_WRITE, needs_reason=True),
        step("expire", _OPEN, "expired", Action.WARNINGS_WRITE),
    ),
    ended=frozenset({"level_changed", "lifted", "expired"}),
)

NOTICE: Final = Machine(
    kind="warning_notice",
    prefix="WNT",
    initial="propagated",
    steps=(
        step("acknowledge", "propagated", "acknowledged", Action.WARNINGS_ACKNOWLEDGE, law="CO 18(1)"),
        step("prove", "acknowledged", "", Action.WARNINGS_ACKNOWLEDGE, law="CO 18(1)"),
        step("complete", "acknowledged", "measures_done", Action.WARNINGS_ACKNOWLEDGE, law="CO 18(1)"),
        step("release", "propagated acknowledged", "released", Action.WARNINGS_WRITE, needs_reason=True),
    ),
    ended=frozenset({"measures_done", "released"}),
)
