"""What is shown of the effects a national warning's level has on a rule."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from core import level_effects
from core.level_effects import Effect, Ruling
from core.permissions import Agencies


class RuleEffect(BaseModel):
    """What the level of a national warning does to a rule, at an agency or (empty) at every one that is not named beside it.

    `source` is the warning, or `levels` where none is in force; `rule_set` the set that keeps the rule off; `lowest_level` the level its
    detections have at least; `factor` and `condition` are of a correlation's thresholds.
    """

    agency: str
    source: str
    level: str
    runs: bool
    rule_set: str
    lowest_level: str
    factor: float
    condition: dict[str, float] | None
    reason: str


def shown(effects: Mapping[str, tuple[Effect, Ruling]], scope: Agencies) -> list[RuleEffect]:
    """The effects on a rule (`level_effects.rulings`) within a scope; those of every agency are in each."""
    return [_effect(agency, *told) for agency, told in effects.items() if not agency or scope is None or agency in scope]


def _effect(agency: str, effect: Effect, told: Ruling) -> RuleEffect:
    return RuleEffect(
        agency=agency,
        source=effect.source,
        level=effect.level,
        runs=not told.off,
        rule_set=told.off,
        lowest_level=told.level,
        factor=told.factor,
        condition=dict(told.condition) if told.condition else None,
        reason=level_effects.reason(effect, told),
    )
