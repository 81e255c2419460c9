"""Saved rules in searches of history as they are tuned, by people or by a warning's level: off or with another level, as on the stream.

What is tuned is noted in the search when it is asked for, so that it holds for all of it. A hunt of a pasted rule is of the rule as it is
written: so one sees what a rule would find where it is off. What is first knowable of a rule is asked as it is written, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy.orm import Session

from core import level_effects
from core.rule_records import EVERY_AGENCY
from detect import literals, tuning
from detect.compiled import CompiledRule
from detect.correlation.definition import Correlation
from detect.rules import Rule, RuleBook
from detect.tuning import Change, Tunings

Noted = dict[str, dict[str, Any]]
"""By agency ('' for every one without a row of its own): {enabled, level}."""


def noted(session: Session, wanted: Collection[Rule | Correlation]) -> dict[str, Noted]:
    """What is tuned about rules now, by people and by the level of a warning in force; by id."""
    rules = tuple(one for one in wanted if isinstance(one, Rule))
    correlations = tuple(one for one in wanted if isinstance(one, Correlation))
    own = tuning.own_changes(session, {one.id for one in wanted})
    tunings = tuning.laid_over(own, level_effects.in_force(session), RuleBook(rules, (), correlations))
    found: dict[str, Noted] = {}
    for (rule_id, agency), change in tunings.changes.items():
        found.setdefault(rule_id, {})[agency] = {"enabled": change.enabled, "level": change.level}
    return found


def tunings_of(rules: Sequence[Mapping[str, Any]]) -> Tunings:
    """What was noted of the rules of a search (`Hunt.rules`)."""
    return Tunings({(about["id"], agency): Change(**change) for about in rules for agency, change in about.get("tuned", {}).items()})


def off_at(about: Mapping[str, Any]) -> list[str]:
    """The agencies where a rule of a search is off; '' says: every one that is not said to have it on."""
    return sorted(agency for agency, change in about.get("tuned", {}).items() if not change["enabled"])


def laid_over(one: CompiledRule, tunings: Tunings) -> CompiledRule:
    """The rule without the rows of agencies where it is off."""
    mine = {agency: change.enabled for (rule_id, agency), change in tunings.changes.items() if rule_id == one.rule.id}
    everywhere = mine.pop(EVERY_AGENCY, True)
    other = ", ".join(literals.string(agency) for agency, enabled in sorted(mine.items()) if enabled != everywhere)
    if everywhere and not other:
        return one
    where = f"agency {'NOT IN' if everywhere else 'IN'} ({other})" if other else "0"
    return replace(one, sql=f"({where} AND {one.sql})")


def levels(one: CompiledRule, agencies: pa.ChunkedArray, tunings: Tunings) -> pa.Array:
    """The level of each detection of a rule."""
    count = len(agencies)
    own = pa.repeat(pa.scalar(one.rule.level, pa.string()), count)
    return tunings.levels([one.rule.id], np.zeros(count, np.int64), agencies.cast(pa.string()), own)
