"""What the level of a national warning does to a rule, in the words of the city's table of levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from api.dashboard.visitor import Visitor
from core.permissions import Action

Names = Mapping[str, str]
"""How levels and rule sets are called in the visitor's language, by their ids."""


async def names(visitor: Visitor, rule: Mapping[str, Any]) -> Names:
    """What is needed to tell of the effects on `rule`; nothing is read where there are none, or the visitor reads no warnings."""
    if not rule["effects"] or not visitor.principal.may(Action.WARNINGS_READ):
        return {}
    table = (await visitor.api.get("/v1/warnings/levels")).body["table"]
    return {one["id"]: one[visitor.t.language] for one in (*table["levels"], *table["rule_sets"])}


def told(visitor: Visitor, one: Mapping[str, Any], called: Names) -> str:
    """One effect as a sentence: where, under which level, and what becomes of the rule."""
    t = visitor.t
    level, rule_set = (called.get(one[name], one[name]) for name in ("level", "rule_set"))
    warning = one["source"].rpartition("/")[2]
    under = t("Level {level} ({warning})", level=level, warning=warning) if one["level"] else t("No warning is in force")
    where = f"{visitor.agency_name(one['agency'])}: " if one["agency"] else ""
    return f"{where}{under}: {' · '.join(_becomes(visitor, one, rule_set)) or t('as it is written')}"


def _becomes(visitor: Visitor, one: Mapping[str, Any], rule_set: str) -> Sequence[str]:
    t = visitor.t
    found = [] if one["runs"] else [t("it does not run; its rule set ({name}) runs at a graver level", name=rule_set)]
    if one["lowest_level"]:
        found.append(t("its detections are {level} or graver", level=t.word("severity", one["lowest_level"])))
    if one["condition"]:
        found.append(t("threshold {condition}", condition=", ".join(f"{name} {value:g}" for name, value in one["condition"].items())))
    if one["factor"] != 1:
        found.append(t("thresholds times {factor}", factor=f"{one['factor']:g}"))
    return found
