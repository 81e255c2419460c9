"""What is wrong with the intake ledger, and its numbers, in the visitor's language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from api.dashboard.elements import time_html
from api.dashboard.texts import Texts, number
from api.dashboard.visitor import Visitor


def told_as(patterns: Iterable[tuple[str, str]], problem: str) -> str:
    """`problem` as the first pattern that it matches tells it, with what the pattern names; as it is when none does."""
    for pattern, told in patterns:
        if found := re.fullmatch(pattern, problem):
            return told.format(**found.groupdict())
    return problem


def problem_html(visitor: Visitor, problem: Mapping[str, Any]) -> str:
    """A problem as the API gives it, as HTML: where, what, and the numbers."""
    t = visitor.t
    word = t.word("ledger_problem", problem["what"])
    if not problem["hour"]:
        return escape(f"{word}: {told_as(_details(t), problem['detail'])}")
    said = [(t("the entry says"), problem["said"]), (t("there are"), problem["found"])]
    numbers = "; ".join(f"{who} {lines_text(t, figures)}" for who, figures in said if figures)
    place = escape(f"{visitor.agency_name(problem['agency'])}, {problem['source'] or '–'}")
    return f"{place}, {time_html(problem['hour'])}: {escape(f'{word} ({numbers})')}"


def lines_text(t: Texts, figures: Mapping[str, int]) -> str:
    """The four numbers."""
    counts = {name: number(count) for name, count in figures.items()}
    return t("{received} received, {stored} stored, {quarantined} quarantined, {evaluated} evaluated", **counts)


def _details(t: Texts) -> Iterator[tuple[str, str]]:
    yield r"entry (?P<row>\d+) is missing.*", t("Entry {row} is missing.")
    yield r"entry (?P<row>\d+) \(.*\) does not follow.*", t("Entry {row} does not follow the entry before it.")
    yield r"entry (?P<row>\d+) \(.*\) was changed.*", t("Entry {row} was changed: its content does not match its hash.")
    yield r"entry (?P<row>\d+) \(.*\) is not the one.*", t("Entry {row} is not the one of which the audit trail tells.")
    yield r"entries (?P<row>\d+) to (?P<last>\d+), of which.*", t("Entries {row} to {last}, of which the audit trail tells, are missing.")
    yield r"of the entries after (?P<row>\d+) the audit.*", t("Of the entries after {row} the audit trail knows nothing.")
    yield r"(?P<count>\d+) messages of (?P<place>\S+) .*were gone.*", t("{count} messages of {place}")
    yield r"(?P<place>\S+) .*: (?P<told>\d+) messages are counted.*say (?P<count>\d+)", t("{place}: {told} counted, {count} by the offsets")
    yield (
        r"(?P<place>\S+) .*was counted up to (?P<told>\d+), but ends at (?P<count>\d+)",
        t("{place}: counted up to {told}, ends at {count}"),
    )
