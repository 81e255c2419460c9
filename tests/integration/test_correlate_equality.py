"""Whatever the order and the batches in which events come: the stream finds what is found in them afterwards."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import millis
from detect import rules
from detect.correlation import judge, noisy
from detect.correlation.history import fires, judged
from detect.correlation.members import Members
from detect.correlation.resolve import resolve
from detect.correlation.sequences import match_sequences
from detect.correlation.sliding import Sliding
from detect.rules import RuleBook
from detect.ruleset import SETTINGS, compile_rules
from tests.correlating import BASES, NOW, START, Centre, base, book, correlation, event, opened
from tests.event_rows import table

PLAIN = (
    *BASES,
    base(3, "c", 24),
    correlation(11, "Many", "type: event_count, rules: [a, c], group-by: [src_ip], timespan: 10s, condition: {gte: 3}", "many"),
    correlation(12, "Users", "type: value_count, rules: [a, b], group-by: [src_ip], timespan: 10s, condition: {field: user, gt: 2}"),
    correlation(13, "Both", "type: temporal, rules: [a, b], group-by: [src_ip], timespan: 10s"),
    correlation(14, "Either", "type: temporal, rules: [a, b, c], timespan: 4s, condition: a and (b or c)"),
    correlation(15, "Then", "type: temporal_ordered, rules: [a, b, c], group-by: [src_ip], timespan: 20s"),
    correlation(16, "Much", "type: value_sum, rules: [a], group-by: [src_ip], timespan: 10s, condition: {field: bytes, gte: 50}"),
)
"""Conditions that further matches cannot undo."""
MORE = (
    correlation(21, "Few", "type: event_count, rules: [a, b], group-by: [src_ip], timespan: 10s, condition: {lt: 3}"),
    correlation(22, "Alone", "type: temporal, rules: [a, b], group-by: [src_ip], timespan: 10s, condition: a and not b"),
    correlation(23, "Mean", "type: value_avg, rules: [a, c], group-by: [src_ip], timespan: 10s, condition: {field: bytes, gte: 30}"),
    correlation(24, "Median", "type: value_median, rules: [a], timespan: 10s, condition: {field: bytes, eq: 20}"),
    correlation(25, "Spread", "type: value_count, rules: [many], timespan: 20s, condition: {field: src_ip, gte: 2}", "spread"),
    correlation(26, "After", "type: temporal_ordered, rules: [spread, b], timespan: 20s"),
)

EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "at": st.integers(0, 240).map(lambda quarters: quarters / 4),
            "port": st.sampled_from([22, 22, 23, 24]),
            "src": st.sampled_from(["192.0.2.1", "192.0.2.2"]),
            "user": st.sampled_from(["", "kim", "lee", "park"]),
            "bytes": st.sampled_from([None, 10, 20, 40]),
        }
    ),
    min_size=1,
    max_size=30,
)
CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def centre(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    opening = opened(tmp_path_factory.mktemp("centre"))
    yield runner.run(opening.__aenter__())
    runner.run(opening.__aexit__(None, None, None))


AGENCIES = itertools.count()
"""An agency of its own for each example, so that one centre serves all."""
NUMBERS = itertools.count()

Found = set[tuple[Any, ...]]


def events_of(drawn: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    agency = f"gu{next(AGENCIES)}"
    return agency, [event(next(NUMBERS), agency=agency, **one) for one in drawn]


async def streamed(centre: Centre, rule: RuleBook, events: list[dict[str, Any]], cuts: list[int], at_once: int) -> pa.Table:
    """What the stream tells of `events`, in batches of the sizes `cuts` again and again."""
    left = iter(events)
    batches = [batch for size in itertools.islice(itertools.cycle(cuts), len(events)) if (batch := list(itertools.islice(left, size)))]
    await centre.detect(rule, batches)
    await centre.correlate(centre.stage(rule), at_once)
    return await centre.detections()


def buckets(found: pa.Table) -> Found:
    """Title, key and bucket of each firing."""
    keyed = [(row["rule_title"], json.loads(row["details"]), row["event_time"]) for row in found.to_pylist()]
    return {(title, *said["group"].values(), int(at.timestamp() * 1000) // (said["timespan_s"] * 1000)) for title, said, at in keyed}


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=EVENTS, cuts=CUTS, at_once=st.integers(1, 6), data=st.data())
def test_in_any_order_the_same_buckets_fire(
    runner: asyncio.Runner, centre: Centre, drawn: list[dict[str, Any]], cuts: list[int], at_once: int, data: st.DataObject
) -> None:
    rule = book(*PLAIN)
    _, events = events_of(data.draw(st.permutations(drawn)))
    told = runner.run(streamed(centre, rule, events, cuts, at_once))
    assert buckets(told) == buckets(fires(rule, table(events), centre.engine))
    assert len(buckets(told)) == told.num_rows


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=EVENTS, cuts=CUTS, at_once=st.integers(1, 6))
def test_in_order_the_same_events_complete_every_type(
    runner: asyncio.Runner, centre: Centre, drawn: list[dict[str, Any]], cuts: list[int], at_once: int
) -> None:
    rule = book(*PLAIN, *(one.replace("timespan", "generate: true, timespan") for one in MORE))
    _, events = events_of(sorted(drawn, key=lambda one: one["at"]))
    told = runner.run(streamed(centre, rule, events, cuts, at_once))
    at_hand = fires(rule, table(events), centre.engine)
    lines = {f"e1-0-{one['raw_offset']}-0": one["raw"] for one in events}
    expected = {(row["rule_title"], row["group_key"], lines[row["event"]]) for row in at_hand.to_pylist()}
    alone = ("Port 22", "Port 23", "Port 24")
    found = [row for row in told.to_pylist() if row["rule_title"] not in alone]
    assert {(row["rule_title"], json.dumps([*json.loads(row["details"])["group"].values()]), row["raw"]) for row in found} == expected
    assert len(found) == len(expected)


def said(row: Mapping[str, Any], named: Mapping[str, str]) -> tuple[Any, ...]:
    """Title and details of a firing, its events by what `named` calls them. The value of a value_count is a lower bound."""
    details = json.loads(row["details"])
    value = None if row["rule_title"] in ("Users", "Spread") else details["value"]
    about = (details["first"], details["last"], details["event_count"], value, tuple(named[one] for one in details["events"]))
    return row["rule_title"], *details["group"].values(), *about


APART = EVENTS.map(lambda drawn: [one | {"at": place * 2} for place, one in enumerate(sorted(drawn, key=lambda one: one["at"]))])


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=APART, cuts=CUTS, at_once=st.integers(1, 6), page=st.integers(2, 7))
def test_page_by_page_the_same_events_complete_every_type(
    runner: asyncio.Runner, centre: Centre, drawn: list[dict[str, Any]], cuts: list[int], at_once: int, page: int
) -> None:
    """Every key is one that has too many matches to be read together."""
    rule = book(*PLAIN, *(one.replace("timespan", "generate: true, timespan") for one in MORE))
    _, events = events_of(drawn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "MOST_ROWS", 1)
        patch.setattr(noisy, "PAGE_ROWS", page)
        told = runner.run(streamed(centre, rule, events, cuts, at_once))
    named = {f"e1-0-{one['raw_offset']}-0": one["raw"] for one in events}
    expected = [said(row, named) for row in fires(rule, table(events), centre.engine).to_pylist()]
    assert sorted(map(str, (said(row, named) for row in told.to_pylist() if row["kind"] == "correlation"))) == sorted(map(str, expected))


def member_rows(centre: Centre, rule: RuleBook, events: list[dict[str, Any]]) -> pa.Table:
    """What `events` are to the correlations of `rule`."""
    session = centre.engine.session(SETTINGS)
    plan, rows = compile_rules(rule.rules, session), table(events)
    members = Members(resolve(rule), plan, centre.engine)
    try:
        return members.rows(rows, plan.run(session, rows))
    finally:
        members.close()
        session.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=EVENTS, cuts=st.lists(st.integers(0, 60_000), max_size=6), most=st.sampled_from([1_000, 12]))
def test_stretch_by_stretch_fires_what_fires_at_hand(centre: Centre, drawn: list[dict[str, Any]], cuts: list[int], most: int) -> None:
    """With little memory too, as far as it is not said that it was too little."""
    rule = book(*PLAIN, *MORE)
    _, events = events_of(drawn)
    rows = member_rows(centre, rule, events)
    sliding = Sliding(resolve(rule), most)
    begin = millis(START)
    ends = [begin, *sorted({begin + cut for cut in cuts}), begin + 60_001]
    times = rows["event_time"].cast(pa.int64()).to_numpy()
    found = [
        sliding.feed(rows.filter(pa.array((since <= times) & (times < until))), since, until) for since, until in itertools.pairwise(ends)
    ]
    at_hand = judged(resolve(rule), rows)

    def told(fired: pa.Table) -> list[tuple[str, ...]]:
        about = ("rule_title", "group_key", "bucket", "event", *(("number", "details") if most == 1_000 else ()))
        kept = [row for row in fired.to_pylist() if row["rule_hash"] not in sliding.problems]
        return sorted(tuple(map(str, (row[name] for name in about))) for row in kept)

    assert told(pa.concat_tables(found)) == told(at_hand)
    assert not sliding.problems or most == 12


COLUMNS = {
    "User": "user",
    "EventType": "action",
    "Host": "device",
    "type": "category",
    "CommandLine": "url",
    "SrcIp": "domain",
    "action": "app",
    "eventSource": "sig_name",
    "eventName": "sig_id",
    "userIdentity.arn": "object",
    "Service": "app_proto",
    "latency_ms": "bytes",
    "SourceIP": "referrer",
    "bytes_sent": "bytes_src",
    "http.response.status_code": "http_status",
    "destination.ip": "file_name",
    "event.type": "dns_type",
    "source.ip": "file_hash",
    "Timestamp": "severity",
}
"""Columns of ours that can hold what the public sequences ask for."""


def searches(section: Mapping[str, Any]) -> dict[str, Any]:
    """The searches of a detection over our columns."""

    def search(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        parts = {key: key.partition("|") for key in value}
        return {COLUMNS[name] + bar + modifiers: value[key] for key, (name, bar, modifiers) in parts.items()}

    return {name: search(value) for name, value in section.items()}


def over_columns(document: dict[str, Any]) -> dict[str, Any]:
    """A document of a sequence over our columns."""
    said = dict(document)
    for section in ("detection", "filter"):
        if section in said:
            said |= {section: searches(said[section]), "logsource": {"category": "web"}}
    if "correlation" in said:
        text = json.dumps(said["correlation"])
        for name, column in COLUMNS.items():
            text = text.replace(json.dumps(name), json.dumps(column)) if name not in ("type", "action") else text
        said["correlation"] = json.loads(text)
    return said


def public(samples: Path) -> list[dict[str, Any]]:
    lines = (samples / "sigma" / "correlation.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def first_of_buckets(spans: Mapping[str, int], sequence: Mapping[str, Any], fired: list[dict[str, Any]]) -> Found:
    """What `bongsu rules match --sequences` prints, by the rule of firing: title, values of group-by, the earliest step of each bucket."""
    first: dict[tuple[Any, ...], tuple[float, int]] = {}
    for one in fired:
        time = sequence["steps"][one["step"]]["t"]
        place = (one["correlation"], *one["group"].values(), int(time * 1000) // spans[one["correlation"]])
        first[place] = min(first.get(place, (time, one["step"])), (time, one["step"]))
    return {(*place[:-1], step) for place, (_, step) in first.items()}


def test_public_sequences_fire_on_the_stream_where_they_must(runner: asyncio.Runner, centre: Centre, samples: Path) -> None:
    sequences = public(samples)
    answers = list(match_sequences(centre.engine, sequences))
    for sequence, answer in zip(sequences, answers, strict=True):
        documents = [over_columns(one) for one in yaml.safe_load_all(sequence["rules_yaml"]) if one]
        rule = rules.parse(yaml.safe_dump_all(documents), "rules.yml", strict=False)
        resolved = resolve(rule)
        assert not (*rule.set_aside, *resolved.set_aside), sequence["id"]
        agency = f"gu{next(AGENCIES)}"
        steps = [
            {
                **{COLUMNS[name]: value for name, value in step["event"].items()},
                "raw_epoch": "e1",
                "raw_offset": next(NUMBERS),
                "agency": agency,
                "log_class": "web",
                "raw": f"step {number}",
                "event_time": int(step["t"] * 1000),
                "received_at": NOW,
            }
            for number, step in enumerate(sequence["steps"])
        ]
        told = runner.run(streamed(centre, rule, steps, [2], 2))
        loud = {one.title for one in rule.correlations if one.hash not in resolved.silent}
        spans = {one.title: one.span_ms for one in rule.correlations}
        wanted = first_of_buckets(spans, sequence, [one for one in answer["fires"] if one["correlation"] in loud])
        found = [row for row in told.to_pylist() if row["kind"] == "correlation"]
        groups = [list(json.loads(row["details"])["group"].values())[1:] for row in found]
        assert {
            (row["rule_title"], *values, int(row["raw"].removeprefix("step "))) for row, values in zip(found, groups, strict=True)
        } == wanted, sequence["id"]
    assert len(sequences) == 24
    assert sum(len(answer["fires"]) for answer in answers) > 20
