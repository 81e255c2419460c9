"""Why an incident's rules fired on the lines that are kept of it: the rules as they were then, and what of each line made them fire."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml
from sqlalchemy.orm import Session

from core.rule_records import RuleText
from detect import reasons
from detect.correlation.definition import Correlation
from detect.reasons import Hit, Told
from detect.rules import Rule, RuleBook
from respond.incidents.queries import Evidence

MOST_RULES: Final = 20
"""Versions of rules that are explained; an incident of one family has one, merged ones have several."""
MOST_LINES: Final = 200


@dataclass(frozen=True, slots=True)
class Explained:
    """A version of a rule. `exact`: this is the very version that fired; else the present one, or nothing but its name is known.

    `detections` and `condition` are as the rule writes them (YAML); `false_positives` and `words` are for people.
    """

    rule_id: str
    hash: str
    title: str
    level: str
    exact: bool
    kind: str
    description: str
    log_source: str
    condition: str
    detections: Mapping[str, str]
    false_positives: Sequence[str]
    tags: Sequence[str]
    words: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """What held on a kept line. Of a correlation: of the rule among its members that matched the line, `member` its title."""

    detection_id: str
    rule_id: str
    held: Mapping[str, bool]
    member: str
    hits: Sequence[Hit]


def explain(session: Session, current: Callable[[], RuleBook], evidence: Sequence[Evidence]) -> tuple[list[Explained], list[Line]]:
    """The rules of `evidence` and what held on each of its first lines. The `current` rules are only asked for where the kept do not do."""
    current = functools.cache(current)
    versions = list(dict.fromkeys((one.rule_id, one.rule_hash) for one in evidence))[:MOST_RULES]
    firsts = {(one.rule_id, one.rule_hash): one for one in reversed(evidence)}
    told = {version: _told(session, current, version) for version in versions}
    rules = [_explained(firsts[version], *told[version]) for version in versions]
    kept = [one for one in evidence[:MOST_LINES] if (one.rule_id, one.rule_hash) in told]
    lines = [_line(one, told[one.rule_id, one.rule_hash][0], current) for one in kept]
    return rules, lines


def _told(session: Session, current: Callable[[], RuleBook], version: tuple[str, str]) -> tuple[Told | None, bool]:
    kept = session.get(RuleText, version)
    if kept is not None and (found := reasons.tell(kept.sources)):
        return found, True
    book = current()
    running: Sequence[Rule | Correlation] = (*book.rules, *book.correlations)
    present = next((one for one in running if one.id == version[0]), None)
    return (reasons.tell(present.sources) if present else None), False


def _explained(first: Evidence, told: Told | None, exact: bool) -> Explained:
    document: Mapping[str, Any] = told.document if told else {}
    rule = told.rule if told else None
    detection = {str(name): part for name, part in (document.get("detection") or {}).items()}
    condition = detection.pop("condition", "")
    conditions = condition if isinstance(condition, list) else [condition]
    ours = document.get("custom")
    correlation = document.get("correlation")
    return Explained(
        rule_id=first.rule_id,
        hash=first.rule_hash,
        title=first.rule_title,
        level=first.rule_level,
        exact=exact,
        kind="correlation" if isinstance(rule, Correlation) else "rule" if rule else "",
        description=rule.description if rule else "",
        log_source=str(rule.logsource) if isinstance(rule, Rule) else "",
        condition=_yaml(correlation) if correlation else " or ".join(map(str, conditions)),
        detections={name: _yaml(part) for name, part in detection.items() if name != "timeframe"},
        false_positives=[str(one) for one in document.get("falsepositives") or ()],
        tags=list(rule.tags) if rule else [],
        words={str(name): str(text) for name, text in ours.items() if isinstance(text, str)} if isinstance(ours, Mapping) else {},
    )


def _yaml(part: Any) -> str:
    return yaml.safe_dump(part, allow_unicode=True, sort_keys=False, width=120).removesuffix("...\n").strip()


def _line(one: Evidence, told: Told | None, current: Callable[[], RuleBook]) -> Line:
    if told is None:
        return Line(one.detection_id, one.rule_id, {}, "", ())
    if isinstance(told.rule, Rule):
        found = reasons.reason(told, one.fields, one.raw)
        return Line(one.detection_id, one.rule_id, found.held, "", found.hits)
    for member in current().rules:
        if {member.id, member.name} & set(told.rule.members) and (its := reasons.tell(member.sources)):
            found = reasons.reason(its, one.fields, one.raw)
            if found.hits:
                return Line(one.detection_id, one.rule_id, found.held, member.title, found.hits)
    return Line(one.detection_id, one.rule_id, {}, "", ())
