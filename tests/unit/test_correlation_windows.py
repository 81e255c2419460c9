"""Which matches complete a correlation, against the specification read word by word."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine import Engine
from core.errors import RuleError
from detect.correlation.definition import Correlation, Kind, read
from detect.correlation.sequences import match_sequences
from detect.correlation.windows import MATCHES, completions

Row = dict[str, Any]
ABOUT = {"id": "c", "name": "", "title": "C", "level": "high", "hash": ""}
SPAN = 10


def correlation(kind: str, condition: Any = None, members: Sequence[str] = ("a", "b", "c"), **more: Any) -> Correlation:
    section = {"type": kind, "rules": list(members), "timespan": f"{SPAN}s", **more}
    if condition is not None:
        section["condition"] = condition
    return read(section, "c.yml", 1, **ABOUT)


def number_of(kind: Kind, window: Sequence[Row], members: int, level: float) -> float:
    """What the specification counts, for the matches of one window in their order."""
    match kind:
        case Kind.EVENT_COUNT:
            return len(window)
        case Kind.VALUE_COUNT:
            return len({row["text"] for row in window})
        case Kind.TEMPORAL:
            return len({row["member"] for row in window})
        case Kind.TEMPORAL_ORDERED:
            length = 0
            for row in window:  # the earliest match of each next member makes the longest chain
                length += length < members and row["member"] == length
            return length
        case Kind.VALUE_SUM:
            return sum(row["number"] for row in window)
        case Kind.VALUE_AVG:
            return sum(row["number"] for row in window) / len(window)
        case _:
            return float(np.quantile([row["number"] for row in window], level))


def expected(one: Correlation, rows: Sequence[Row]) -> dict[int, float]:
    """Row and number of every completing match."""
    column = {"value_count": "text"}.get(one.kind, "number") if one.kind.of_values else ""
    kept = [row for row in rows if not column or row[column] is not None]
    ordered = sorted(kept, key=lambda row: (row["at"], row["seq"], row["member"]))
    found = {}
    for place, row in enumerate(ordered):
        window = [other for other in ordered[: place + 1] if other["key"] == row["key"] and other["at"] >= row["at"] - one.span_ms]
        number = number_of(one.kind, window, len(one.members), one.percentile / 100)
        tests = {"<": number < 2, ">=": number >= 2, "=": number == 2}
        if all(tests[bound.relation] for bound in one.bounds):
            found[row["place"]] = number
    return found


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "member": st.integers(0, 2),
            "key": st.sampled_from(["k", "l", ""]),
            "at": st.integers(0, 40).map(lambda seconds: seconds * 1000),
            "seq": st.integers(0, 2**63),
            "text": st.sampled_from(["x", "y", "z", None]),
            "number": st.sampled_from([0.0, 1.0, 2.0, 5.0, None]),
        }
    ),
    max_size=40,
    unique_by=lambda row: row["seq"],
)


@settings(max_examples=300, deadline=None)
@given(ROWS, st.sampled_from(Kind), st.sampled_from(["lt", "gte", "eq"]), st.sampled_from([0, 30, 50, 95, 100]))
def test_what_completes_is_what_the_specification_says(rows: list[Row], kind: Kind, relation: str, percentile: int) -> None:
    condition: dict[str, Any] = {relation: 2}
    if kind.of_values:
        condition["field"] = "v"
    if kind is Kind.VALUE_PERCENTILE:
        condition["percentile"] = percentile
    one = correlation(kind, condition)
    for place, row in enumerate(rows):
        row["place"] = place
    found = completions(one, pa.Table.from_pylist(rows, schema=MATCHES))
    assert dict(zip(found.rows.tolist(), found.values.tolist(), strict=True)) == pytest.approx(expected(one, rows))


@settings(max_examples=100, deadline=None)
@given(ROWS, st.sampled_from(["a and b", "a or not c", "not (a or b)", "a and b and not c"]))
def test_a_boolean_condition_is_over_what_the_window_holds(rows: list[Row], text: str) -> None:
    one = correlation("temporal", text)
    found = completions(one, pa.Table.from_pylist(rows, schema=MATCHES))
    wanted = []
    for place, row in enumerate(rows):
        window = [
            other
            for other in rows
            if other["key"] == row["key"]
            and row["at"] - one.span_ms <= other["at"]
            and (other["at"], other["seq"]) <= (row["at"], row["seq"])
        ]
        names = {name: any(other["member"] == member for other in window) for member, name in enumerate("abc")}
        if eval(text, {}, names):  # noqa: S307 - our own conditions, which are Python as well
            wanted.append(place)
    assert found.rows.tolist() == wanted


def test_times_that_do_not_fit_one_line_are_looked_at_key_by_key() -> None:
    far = 2**61
    rows = [
        {"member": 0, "key": f"k{n % 4}", "at": at, "seq": n, "text": None, "number": None} for n, at in enumerate([0, far, 5, far + 5] * 2)
    ]
    found = completions(correlation("event_count", {"gte": 2}), pa.Table.from_pylist(rows, schema=MATCHES))
    assert found.rows.tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ([], "must be a map"),
        ({"type": "event_counts"}, "is one of event_count"),
        ({"rules": []}, "rules must be a list of names"),
        ({"timespan": "0s"}, "timespan must be"),
        ({"timespan": "5 minutes"}, "timespan must be"),
        ({"condition": {"gte": "many"}}, "gte must be a number"),
        ({"condition": {"above": 1}}, "has no above"),
        ({"condition": {"field": "x"}}, "needs one of lt"),
        ({"condition": {"gte": 1, "field": "x"}}, "looks at no field"),
        ({"condition": "a and b"}, "is a map such as"),
        ({"type": "temporal", "condition": "a and d"}, "names 'd'"),
        ({"type": "value_sum", "condition": {"gte": 1}}, "needs a field"),
        ({"type": "value_sum", "condition": {"gte": 1, "field": ["x", "y"]}}, "one field"),
        ({"type": "value_percentile", "condition": {"gte": 1, "field": "x", "percentile": 101}}, "from 0 to 100"),
        ({"group": ["x"]}, "has no group"),
        ({"aliases": {"x": "y"}}, "aliases must be"),
        ({"generate": "yes please"}, "true or false"),
    ],
)
def test_what_is_wrong_is_said(section: Any, said: str) -> None:
    good = {"type": "event_count", "rules": ["a", "b"], "timespan": "5m", "condition": {"gte": 3}}
    with pytest.raises(RuleError, match=said):
        read({**good, **section} if isinstance(section, Mapping) else section, "c.yml", 1, **ABOUT)


@pytest.fixture(scope="module")
def engine() -> Any:
    engine = Engine()
    yield engine
    engine.close()


def test_public_sequences_fire_where_they_must(engine: Engine, samples: Path) -> None:
    lines = (samples / "sigma" / "correlation.jsonl").read_text("utf-8").splitlines()
    sequences = [json.loads(line) for line in lines]
    judged = 0
    for sequence, answer in zip(sequences, match_sequences(engine, sequences), strict=True):
        assert answer["id"] == sequence["id"]
        for number, step in enumerate(sequence["steps"]):
            fires = sorted(one["correlation"] for one in answer["fires"] if one["step"] == number)
            wanted = step["expect_correlations"]
            if wanted is not None:
                assert set(wanted) <= set(fires) if step.get("expect_is_subset") else fires == sorted(wanted), (answer["id"], number)
                judged += 1
            if "group_key" in step:
                assert [one["group"] for one in answer["fires"] if one["step"] == number] == [step["group_key"]]
    assert judged > 40


BASE = """
title: {0}
id: {0}
logsource: {{category: test}}
detection: {{selection: {{kind: {0}}}, condition: selection}}
---
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("correlation: {type: temporal, rules: [a, gone], timespan: 1m}", "there is no rule 'gone'"),
        ("name: me\ncorrelation: {type: temporal, rules: [me], timespan: 1m}", "refers to itself"),
        ("correlation: {type: nothing}", "type of a correlation"),
    ],
)
def test_a_sequence_that_is_wrong_says_so_and_stops_no_other(engine: Engine, text: str, said: str) -> None:
    steps = [{"t": 1, "event": {"kind": "a"}}]
    good = {"id": 2, "rules_yaml": BASE.format("a") + "title: T\ncorrelation: {type: temporal, rules: [a], timespan: 1m}", "steps": steps}
    bad = {"id": 1, "rules_yaml": BASE.format("a") + "title: T\n" + text, "steps": steps}
    first, second, third = match_sequences(engine, [bad, good, {"id": 3, "rules_yaml": "", "steps": [{"t": "x"}]}])
    assert said in first["error"]
    assert second == {"id": 2, "fires": [{"step": 0, "correlation": "T", "value": 1.0, "group": {}}]}
    assert "steps must be" in third["error"]
