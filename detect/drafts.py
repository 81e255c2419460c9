"""A text of rules as somebody writes it: what is wrong with it and where, what it could do better, and what it becomes.

A draft holds rules and correlations; its correlations may be over rules that are loaded (`around`), and the filters of these lie over its
rules as they will when it is in force. Nothing here keeps or runs anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from sigma.rule.base import SigmaYAMLLoader

from core.engine import Session
from core.errors import RuleError
from detect import lint
from detect.convert import converted
from detect.correlation.definition import Correlation
from detect.correlation.resolve import resolve
from detect.places import Places
from detect.published import Snapshot, State, describe
from detect.rules import Rule, RuleBook, documents, filtered, parse
from detect.ruleset import Plan, compile_rules

NAME: Final = "draft"
"""Stands in place of the file of a draft's rules."""
_MOST_RULES: Final = 20
_SEVERAL: Final = re.compile(r"; (?=[A-Z'\"])")  # pySigma's faults in one error; ours go on in lower case


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong (`error`: it cannot run so) or could be better; `line` and `column` count from 1."""

    line: int
    column: int
    error: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Becomes:
    """What a rule of the text becomes: its expression over our events ('' for a correlation), what it looks at and what it needs.

    `replaces` is the file of the rule that is loaded with the same id, or ''.
    """

    rule_id: str
    title: str
    level: str
    kind: str
    tags: Sequence[str]
    line: int
    replaces: str
    condition: str = ""
    classes: Sequence[str] = ()
    columns: Sequence[str] = ()
    looked_for: Sequence[str] = ()
    unknown: Sequence[str] = ()
    members: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """A text that was looked at. `plan` runs its rules that can run, and belongs to the session it was made with."""

    title: str
    rule_ids: Sequence[str]
    problems: Sequence[Problem]
    rules: Sequence[Becomes]
    book: RuleBook
    plan: Plan
    states: Sequence[State] = field(default=())

    @property
    def errors(self) -> Sequence[Problem]:
        """What keeps it from running."""
        return [one for one in self.problems if one.error]


def check(session: Session, text: str, around: RuleBook) -> Checked:
    """Look at `text` as if it were put beside the rules of `around`. StoreError when the engine fails."""
    places = Places(text)
    wrong = list(_refused(text))
    own = parse(text, NAME)
    wrong += own.set_aside
    rules = tuple(_with_filters(rule, around) for rule in own.rules)
    mine: list[Rule | Correlation] = [*own.correlations, *rules]
    ids = {one.id for one in mine}
    together = RuleBook(
        (*rules, *(one for one in around.rules if one.id not in ids)),
        (),
        (*own.correlations, *(one for one in around.correlations if one.id not in ids)),
    )
    resolved = resolve(together)
    wrong += [error for error in resolved.set_aside if error.file == NAME]
    plan = compile_rules(rules, session)
    wrong += plan.set_aside
    if not wrong and not ids:
        wrong.append(RuleError(NAME, "there is no rule in it: a rule is a YAML map with title, id, logsource and detection", 1))
    running = [one for one in resolved.correlations if one.id in ids]
    problems = [_problem(places, error.line, reason, error=True) for error in wrong for reason in _SEVERAL.split(error.reason)]
    problems += [_problem(places, line, reason, error=False) for line, reason in _remarks(text, plan)]
    loaded: list[Rule | Correlation] = [*around.rules, *around.correlations]
    known = {one.id: one.file for one in loaded}
    return Checked(
        title=next((one.title for one in mine if one.title), _title(text)),
        rule_ids=[one.id for one in mine],
        problems=sorted(problems, key=lambda one: (not one.error, one.line, one.column)),
        rules=[*_correlations(running, known), *_rules(plan, known)],
        book=RuleBook(rules, (), own.correlations),
        plan=plan,
        states=describe(Snapshot([*plan.active, *_members(running, together)], resolved.correlations, ())),
    )


def together_with(checked: Checked, around: RuleBook) -> RuleBook:
    """The rules of a text, and those of `around` its correlations are made of."""
    ids = set(checked.rule_ids)
    others = tuple(one for one in around.rules if one.id not in ids)
    names = {name for one in checked.book.correlations for name in one.members}
    wanted = tuple(one for one in others if names & {one.id, one.name})
    return RuleBook((*checked.book.rules, *wanted), (), checked.book.correlations)


def _with_filters(rule: Rule, around: RuleBook) -> Rule:
    known = {one.hash: one for loaded in around.rules for one in loaded.filters}
    for one in known.values():
        if one.applies(rule):
            rule = filtered(rule, one)
    return rule


def _members(correlations: Iterable[Correlation], book: RuleBook) -> list[Rule]:
    names = {name for one in correlations for name in one.members}
    return [rule for rule in book.rules if names & {rule.id, rule.name} and rule.file != NAME]


def _refused(text: str) -> Iterator[RuleError]:
    """What may stand in a file and not in a draft."""
    found = 0
    for line, document in _documents(text):
        found += 1
        if "filter" in document:
            yield RuleError(NAME, "filter: filters stand in files of rules; a draft holds rules and correlations", line)
    if found > _MOST_RULES:
        yield RuleError(NAME, f"a draft holds at most {_MOST_RULES} rules", 1)


def _documents(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, source in documents(text):
        try:
            document = yaml.load(source, SigmaYAMLLoader)  # noqa: S506 - pySigma's loader is a CSafeLoader
        except (yaml.YAMLError, ValueError):
            continue
        if isinstance(document, dict):
            yield line, document


def _title(text: str) -> str:
    """The title of the first document that has one, whatever else is wrong with it."""
    return next((str(document["title"])[:256] for _, document in _documents(text) if document.get("title")), "")


def _remarks(text: str, plan: Plan) -> Iterator[tuple[int, str]]:
    for line, document in _documents(text):
        yield from ((line, reason) for reason in lint.wishes(document))
    for compiled in plan.rules:
        if compiled.unknown:
            yield compiled.rule.line, f"no event of ours has the fields {', '.join(sorted(compiled.unknown))}: tests of them never hold"


def _problem(places: Places, line: int, reason: str, *, error: bool) -> Problem:
    place = places.of(line, reason)
    return Problem(place.line, place.column, error, reason)


def _rules(plan: Plan, known: Mapping[str, str]) -> Iterator[Becomes]:
    for compiled in plan.rules:
        rule, found = compiled.rule, converted(compiled)
        yield Becomes(
            **_about(rule, known),
            kind="rule",
            condition=found.condition,
            classes=[str(one) for one in found.classes],
            columns=found.columns,
            looked_for=found.witnesses,
            unknown=sorted(compiled.unknown),
        )


def _correlations(running: Iterable[Correlation], known: Mapping[str, str]) -> Iterator[Becomes]:
    for one in running:
        yield Becomes(**_about(one, known), kind="correlation", members=one.members)


def _about(one: Rule | Correlation, known: Mapping[str, str]) -> dict[str, Any]:
    about = {"rule_id": one.id, "title": one.title, "level": one.level, "tags": one.tags, "line": one.line}
    return {**about, "replaces": known.get(one.id, "")}


_ORDER: Final = (
    *("title", "id", "name", "related", "status", "description", "references", "author", "date", "modified", "tags", "logsource"),
    *("detection", "correlation", "fields", "falsepositives", "level"),
)


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - lists are set in under their key
        return super().increase_indent(flow, False)


def _text_of(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Texts of several lines stand as they are."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text.strip() else None)


_Dumper.add_representer(str, _text_of)


def written(document: Mapping[str, Any]) -> str:
    """A document of a rule as YAML, its keys in the order people write them in."""
    trimmed = {name: value.strip() if isinstance(value, str) else value for name, value in document.items()}
    ordered = {name: trimmed[name] for name in (*_ORDER, *(key for key in document if key not in _ORDER)) if name in document}
    if isinstance(detection := ordered.get("detection"), dict):
        ordered["detection"] = {name: detection[name] for name in sorted(detection, key=lambda name: name in ("condition", "timeframe"))}
    return yaml.dump(ordered, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120)
