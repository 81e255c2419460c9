"""Which correlations of a book run on our events, what they are made of, and which rules they silence.

Invariants:
- A correlation that names an unknown rule, refers to itself, looks further back than matches are kept, or needs a field that its members'
  events do not have is set aside alone, as a RuleError with file, line and reason; so are those made of it.
- `group_by` always begins with the agency, so that nobody is reported for another agency's events, unless the rule has the custom
  attribute `bongsu_across_agencies: true`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.errors import RuleError
from detect.compiled import compile_rule
from detect.correlation.definition import Correlation, Kind
from detect.fields import EventFields, FieldKind
from detect.rules import Rule, RuleBook

ACROSS_AGENCIES: Final = "bongsu_across_agencies"
AGENCY: Final = "agency"
EXERCISE: Final = "exercise"
LONGEST_SPAN_MS: Final = 31 * 86_400_000
"""Matches and firings are kept for twice as long (`core.events.MATCHES`)."""

_NUMBERS: Final = (FieldKind.NUMBER, FieldKind.TEXT)


@dataclass(frozen=True, slots=True)
class Use:
    """What matches of `of` are to `correlation`: its member number `member`.

    `keys` and `values` say what `group_by` and the condition's fields are: columns of EVENTS where `of` is a rule; where it is a
    correlation, names of its own `group_by`, and no `values` where its number is meant.
    """

    correlation: Correlation
    member: int
    of: Rule | Correlation
    keys: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """`correlations` that run, each after those it is made of; `silent` are the hashes of what tells of no match of its own."""

    correlations: tuple[Correlation, ...]
    uses: tuple[Use, ...]
    silent: frozenset[str]
    set_aside: tuple[RuleError, ...]


def group_by(correlation: Correlation) -> tuple[str, ...]:
    """The names of what is in a key, in its order."""
    return correlation.group_by if is_across(correlation) else (AGENCY, *correlation.group_by)


def values_of(key: str) -> list[str]:
    """The values in a key, in the order of `group_by`."""
    values: list[str] = json.loads(key[: len(key) - len(exercise_of(key))])
    return values


def exercise_of(key: str) -> str:
    """The number of the exercise a key belongs to, which stands behind the list; '' for what is real. So the two never meet in a key."""
    return key[key.rindex("]") + 1 :]


def resolve(book: RuleBook) -> Resolved:
    """What of the correlations of `book` runs."""
    return _Resolver(book).resolved()


def is_across(correlation: Correlation) -> bool:
    """Whether it joins what happens at several agencies; RuleError when that is not said by true or false."""
    value = correlation.custom.get(ACROSS_AGENCIES, False)
    if not isinstance(value, bool):
        raise RuleError(correlation.file, f"{ACROSS_AGENCIES} must be true or false", correlation.line)
    return value


class _Resolver:
    def __init__(self, book: RuleBook) -> None:
        self._book = book
        self._fields = EventFields()
        known: tuple[Rule | Correlation, ...] = (*book.rules, *book.correlations)
        self._names: Mapping[str, Rule | Correlation] = {name: one for one in known for name in (one.id, one.name) if name}
        self._done: dict[int, tuple[Use, ...] | RuleError] = {}
        self._order: list[Correlation] = []

    def resolved(self) -> Resolved:
        found = [self._uses(one, ()) for one in self._book.correlations]
        uses = tuple(use for one in found if not isinstance(one, RuleError) for use in one)
        members = {use.of.hash for use in uses}
        loud = {use.of.hash for use in uses if use.correlation.generate}
        aside = tuple(one for one in found if isinstance(one, RuleError))
        return Resolved(tuple(self._order), uses, frozenset(members - loud), aside)

    def _uses(self, one: Correlation, within: Sequence[int]) -> tuple[Use, ...] | RuleError:
        if id(one) not in self._done:
            try:
                uses = self._made_of(one, (*within, id(one)))
            except RuleError as error:
                self._done[id(one)] = error
            else:
                self._done[id(one)] = uses
                self._order.append(one)
        return self._done[id(one)]

    def _made_of(self, one: Correlation, within: Sequence[int]) -> tuple[Use, ...]:
        group_by(one)
        if one.span_ms > LONGEST_SPAN_MS:
            raise _wrong(one, f"a timespan longer than {LONGEST_SPAN_MS // 86_400_000} days is not supported: matches are not kept so long")
        return tuple(self._use(one, place, name, within) for place, name in enumerate(one.members))

    def _use(self, one: Correlation, place: int, name: str, within: Sequence[int]) -> Use:
        member = self._names.get(name)
        if member is None:
            raise _wrong(one, f"there is no rule {name!r}: it is not loaded, or was set aside")
        if isinstance(member, Rule):
            return self._of_rule(one, place, member)
        if id(member) in within:
            raise _wrong(one, f"it refers to itself by {name!r}")
        if isinstance(inner := self._uses(member, within), RuleError):
            raise _wrong(one, f"{name!r} was set aside: {inner.reason}")
        return _of_correlation(one, place, member)

    def _of_rule(self, one: Correlation, place: int, rule: Rule) -> Use:
        try:
            compile_rule(rule, self._fields)
        except RuleError as error:
            raise _wrong(one, f"the rule {rule.title!r} was set aside: {error.reason}") from error
        keys = tuple(self._column(one, rule, name) for name in group_by(one))
        values = tuple(self._column(one, rule, name) for name in one.fields)
        if one.kind.of_values and one.kind is not Kind.VALUE_COUNT:
            field = self._fields.field(one.field_of(one.fields[0], rule.id, rule.name))
            if field is not None and field.kind not in _NUMBERS:
                raise _wrong(one, f"the field {one.fields[0]!r} is no number")
        return Use(one, place, rule, keys, values)

    def _column(self, one: Correlation, rule: Rule, name: str) -> str:
        wanted = one.field_of(name, rule.id, rule.name)
        if field := self._fields.field(wanted):
            return field.column
        raise _wrong(one, f"the field {wanted!r} of the rule {rule.title!r} is not in our events")


def _of_correlation(one: Correlation, place: int, inner: Correlation) -> Use:
    """A correlation that fired has the fields it groups by, and its number."""
    known = group_by(inner)
    keys = tuple(one.field_of(name, inner.id, inner.name) for name in group_by(one))
    values = tuple(one.field_of(name, inner.id, inner.name) for name in one.fields)
    if one.kind is not Kind.VALUE_COUNT and not set(values) <= set(known):
        values = ()
    # The agency is known of every firing, whether it is grouped by or not.
    if missing := {*keys, *values} - {AGENCY, *known}:
        raise _wrong(one, f"{', '.join(sorted(missing))}: the correlation {inner.title!r} does not group by it")
    return Use(one, place, inner, keys, values)


def _wrong(one: Correlation, reason: str) -> RuleError:
    return RuleError(one.file, f"correlation: {reason}", one.line)
