"""Our own cases for every feature of Sigma's correlations, judged by `tests.sigma_support`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SequenceCase:
    """A correlation over the rules a, b and c, which match events by their `kind`; the steps (seconds, event) at which it must fire."""

    feature: str
    correlation: str
    steps: tuple[tuple[int, Event], ...]
    fires: tuple[int, ...]
    remark: str = ""
    more: str = ""


def steps(*of_kind: tuple[Any, ...]) -> tuple[tuple[int, Event], ...]:
    """(seconds, kind, key, value) as events with `kind`, `k` and `v`."""
    return tuple((one[0], dict(zip(("kind", "k", "v"), one[1:], strict=False))) for one in of_kind)


COUNT = "type: event_count, rules: [a], group-by: [k], timespan: 10s, condition: {gte: 3}"
OF_VALUES = "rules: [a], group-by: [k], timespan: 10s"
NUMBERS = steps((0, "a", "x", 10), (1, "a", "x", 20), (2, "a", "y", 90), (3, "a", "x", 60), (4, "a", "x", "none"))
CORRELATIONS = (
    SequenceCase(
        "`event_count`",
        COUNT,
        steps((0, "a", "x"), (5, "a", "x"), (10, "a", "x"), (11, "a", "x")),
        (2, 3),
        "fires at each match that completes it",
    ),
    SequenceCase("`timespan`", COUNT, steps((0, "a", "x"), (5, "a", "x"), (11, "a", "x")), (), "both ends included; the window slides"),
    SequenceCase(
        "`timespan`: s, m, h, d, w, M, y",
        COUNT.replace("10s", "2d"),
        steps((0, "a", "x"), (86_400, "a", "x"), (172_800, "a", "x"), (172_801, "a", "y")),
        (2,),
    ),
    SequenceCase(
        "`group-by`",
        COUNT,
        steps((0, "a", "x"), (1, "a", "y"), (2, "a", "x"), (3, "a", "y"), (4, "a", "x")),
        (4,),
        "a match without a field of it does not count",
    ),
    SequenceCase(
        "`group-by` of several fields",
        COUNT.replace("[k]", "[k, v]"),
        steps((0, "a", "x", 1), (1, "a", "x", 2), (2, "a", "x", 1), (3, "a", "x", 1)),
        (3,),
    ),
    SequenceCase(
        "matches out of order",
        COUNT,
        steps((0, "a", "x"), (9, "a", "x"), (4, "a", "x"), (10, "a", "x")),
        (1, 3),
        "by event time, not by arrival",
    ),
    SequenceCase(
        "`condition`: a range", COUNT.replace("gte: 3", "gt: 1, lte: 2"), steps((0, "a", "x"), (1, "a", "x"), (2, "a", "x")), (1,)
    ),
    SequenceCase(
        "`condition`: `lt`, `eq`, `neq`",
        COUNT.replace("gte: 3", "lt: 4, eq: 2, neq: 3"),
        steps((0, "a", "x"), (1, "a", "x"), (2, "a", "x")),
        (1,),
    ),
    SequenceCase(
        "`value_count`",
        f"type: value_count, {OF_VALUES}, condition: {{field: v, gte: 2}}",
        steps((0, "a", "x", 1), (1, "a", "x", 1), (2, "a", "x", 2), (3, "a", "y", 2)),
        (2,),
    ),
    SequenceCase(
        "`value_count` of several fields",
        "type: value_count, rules: [a], timespan: 10s, condition: {field: [k, v], gte: 3}",
        steps((0, "a", "x", 1), (1, "a", "y", 1), (2, "a", "x", 1), (3, "a", "x", 2)),
        (3,),
        "their values together",
    ),
    SequenceCase(
        "`value_sum`",
        f"type: value_sum, {OF_VALUES}, condition: {{field: v, gte: 90}}",
        NUMBERS,
        (2, 3),
        "what is no number does not count",
    ),
    SequenceCase("`value_avg`", f"type: value_avg, {OF_VALUES}, condition: {{field: v, eq: 30}}", NUMBERS, (3,)),
    SequenceCase("`value_median`", f"type: value_median, {OF_VALUES}, condition: {{field: v, eq: 20}}", NUMBERS, (3,)),
    SequenceCase(
        "`value_percentile`", f"type: value_percentile, {OF_VALUES}, condition: {{field: v, percentile: 100, eq: 60}}", NUMBERS, (3,)
    ),
    SequenceCase(
        "`temporal`",
        "type: temporal, rules: [a, b], group-by: [k], timespan: 10s",
        steps((0, "b", "x"), (5, "a", "x"), (6, "a", "y"), (16, "a", "x")),
        (1,),
    ),
    SequenceCase(
        "`temporal` with a count",
        "type: temporal, rules: [a, b, c], timespan: 10s, condition: {gte: 2}",
        steps((0, "b"), (5, "b"), (6, "c")),
        (2,),
        "of different rules",
    ),
    SequenceCase(
        "`temporal` with a boolean condition",
        "type: temporal, rules: [a, b, c], timespan: 10s, condition: a and (b or c)",
        steps((0, "b"), (1, "c"), (2, "a"), (20, "a")),
        (2,),
    ),
    SequenceCase(
        "`temporal` with `not`",
        "type: temporal, rules: [a, b], timespan: 10s, condition: a and not b",
        steps((0, "a"), (1, "b"), (2, "a"), (20, "a")),
        (0, 3),
        "not within the window before it",
    ),
    SequenceCase(
        "`temporal_ordered`",
        "type: temporal_ordered, rules: [a, b], group-by: [k], timespan: 10s",
        steps((0, "b", "x"), (1, "a", "x"), (2, "b", "x"), (3, "b", "y")),
        (2,),
    ),
    SequenceCase(
        "`aliases`",
        "type: temporal, rules: [a, b], group-by: [who], timespan: 10s, aliases: {who: {a: k, b: v}}",
        steps((0, "a", "x"), (1, "b", "y", "x"), (2, "b", "x", "y")),
        (1,),
    ),
    SequenceCase("`generate`", COUNT + ", generate: true", steps((0, "a", "x"), (1, "a", "x"), (2, "a", "x")), (2,)),
    SequenceCase("several rules", COUNT.replace("[a]", "[a, b]"), steps((0, "a", "x"), (1, "b", "x"), (2, "c", "x"), (3, "a", "x")), (3,)),
    SequenceCase(
        "correlation of correlations",
        "type: temporal_ordered, rules: [many, b], group-by: [k], timespan: 1m",
        steps((0, "b", "x"), (1, "a", "x"), (2, "a", "x"), (3, "b", "y"), (4, "b", "x")),
        (4,),
        more="title: Many\nname: many\n"
        "correlation: {type: event_count, rules: [a], group-by: [k], timespan: 10s, condition: {gte: 2}}\n---\n",
    ),
)
