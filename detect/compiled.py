"""A rule ready for our events: its expression over their columns, the log classes it runs on, and the witnesses that find its rows."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import RuleError
from core.events import LogClass
from detect import logsources, predicates
from detect.compile import expression
from detect.fields import EventFields
from detect.rules import Rule
from detect.tree import AllOf, AnyOf, Item, Node, Pattern
from detect.witness import Witness, witnesses


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule with its expression over rows of `EVENTS`. `unknown` are the fields it names that no event has.

    `tree` means the same as `sql`; without it the rule is always decided by `sql`.
    """

    rule: Rule
    classes: frozenset[LogClass]
    sql: str
    columns: frozenset[str]
    witnesses: frozenset[Witness]
    unknown: frozenset[str]
    tree: Node | None = None


def compile_rule(rule: Rule, fields: EventFields) -> CompiledRule:
    """RuleError says why the rule cannot fire on our events."""
    try:
        route = logsources.route(rule.logsource)
    except logsources.UnknownLogSource as error:
        raise RuleError(rule.file, str(error), rule.line) from error
    compiled = expression(rule.tree, fields)
    if compiled.constant is not None:
        names = ", ".join(sorted(compiled.unknown))
        because = f"the fields {names} are not in our events" if names else "no value of our columns can pass its tests"
        verdict = "it would match every event" if compiled.constant else "it can never match"
        raise RuleError(rule.file, f"{verdict}: {because}", rule.line)
    guards = [
        AnyOf(tuple(Item(column, Pattern((word,))) for word in words))
        for column, words in (("vendor", route.vendors), ("product", route.products))
        if words
    ]
    guarded = [expression(guard, fields) for guard in guards]
    sql = predicates.all_of([*(guard.sql for guard in guarded), compiled.sql])
    columns = compiled.columns.union(*(guard.columns for guard in guarded))
    tree = AllOf((*guards, rule.tree))
    return CompiledRule(rule, route.classes, str(sql), columns, witnesses(rule.tree, fields), compiled.unknown, tree)
