"""Which correlations run, which rules they silence, what their keys are, and that thinning changes nothing that fires."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import arrow
from core.engine import Engine
from detect import rules
from detect.correlation import dispatch
from detect.correlation.definition import Correlation
from detect.correlation.dispatch import Dispatcher, shard_of
from detect.correlation.firing import firings
from detect.correlation.members import ROWS, json_list
from detect.correlation.resolve import resolve
from detect.correlation.thinning import thinned
from detect.rules import RuleBook
from detect.ruleset import SETTINGS, compile_rules
from detect.tuning import Tunings
from tests.correlating import BASES, base, book, correlation
from tests.event_rows import table

GOOD = "type: event_count, rules: [a], group-by: [src_ip], timespan: 1m, condition: {gte: 3}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("[a]", "[gone]"), "there is no rule 'gone'"),
        (GOOD.replace("[a]", "[me]"), "refers to itself by 'me'"),
        (GOOD.replace("[a]", "[other]"), "'other' was set aside"),
        (GOOD.replace("1m", "32d"), "longer than 31 days"),
        (GOOD.replace("src_ip", "no_such_field"), "'no_such_field' of the rule 'Port 22' is not in our events"),
        (GOOD.replace("[a]", "[never]"), "the rule 'Never' was set aside: it can never match"),
        (GOOD.replace("[a]", "[many]").replace("src_ip", "dst_ip"), "dst_ip: the correlation 'Many' does not group by it"),
        ("type: value_count, rules: [many], timespan: 1m, condition: {field: user, gte: 3}", "user: the correlation 'Many'"),
        ("type: value_sum, rules: [a], timespan: 1m, condition: {field: dst_ip, gte: 3}", "'dst_ip' is no number"),
        ("type: value_count, rules: [a], timespan: 1m, condition: {field: [user, nothing], gte: 3}", "'nothing' of the rule"),
    ],
)
def test_what_cannot_run_is_set_aside_alone_with_its_reason(text: str, said: str) -> None:
    never = "title: Never\nid: 00000000-0000-4000-8000-000000000009\nname: never\nlogsource: {category: firewall}\n"
    never += "detection: {s: {nobody_has_this: x}, condition: s}\n"
    other = correlation(20, "Other", GOOD.replace("[a]", "[me]"), "other")
    good = correlation(21, "Many", GOOD, "many")
    resolved = resolve(book(*BASES, never, correlation(22, "Wrong", text, "me"), other, good))
    assert "Many" in [one.title for one in resolved.correlations]
    wrong = [error for error in resolved.set_aside if said in error.reason]
    assert wrong
    assert all(error.file == "r.yml" and error.line > 12 for error in wrong)


def test_the_attribute_for_all_agencies_is_true_or_false() -> None:
    resolved = resolve(book(*BASES, correlation(22, "Wrong", GOOD, more="bongsu_across_agencies: maybe\n")))
    assert [error.reason for error in resolved.set_aside] == ["bongsu_across_agencies must be true or false"]


def test_inner_correlations_come_first_whatever_the_order_of_the_files() -> None:
    outer = correlation(11, "Outer", "type: temporal, rules: [inner, b], timespan: 1m")
    resolved = resolve(book(outer, correlation(12, "Inner", GOOD, "inner"), *BASES))
    assert [one.title for one in resolved.correlations] == ["Inner", "Outer"]


def test_silent_is_what_only_serves_correlations_that_do_not_generate() -> None:
    loud = correlation(12, "Loud", "type: temporal, rules: [b], timespan: 1m, generate: true")
    set_aside = correlation(13, "Aside", "type: temporal, rules: [c, gone], timespan: 1m")
    parts = book(*BASES, base(3, "c", 24), correlation(11, "Quiet", GOOD.replace("[a]", "[a, b]")), loud, set_aside)
    silent = resolve(parts).silent
    assert [rule.name for rule in parts.rules if rule.hash in silent] == ["a"]


def test_ids_are_unique_over_rules_and_correlations() -> None:
    read = rules.parse("---\n".join([*BASES, correlation(2, "Same", GOOD), correlation(3, "Not", GOOD)]), "r.yml")
    assert [one.title for one in read.correlations] == ["Not"]
    assert "is already that of the rule in r.yml" in read.set_aside[0].reason


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(), max_size=3))
def test_a_key_is_the_same_text_from_the_engine_and_from_here(engine: Engine, values: list[str]) -> None:
    session = engine.session()
    try:
        column = pa.array([[value.encode("utf-8", "replace").decode() for value in values]], pa.list_(pa.string()))
        made = session.arrow(
            "SELECT concat('[', arrayStringConcat(arrayMap(x -> toJSONString(x), v), ', '), ']') AS key FROM Python(rows) "
            "SETTINGS output_format_json_escape_forward_slashes = 0",
            pa.table({"v": column}),
        )
    finally:
        session.close()
    assert json_list(column[0].as_py()) == made["key"][0].as_py()


def dispatched(
    engine: Engine, read: RuleBook, events: list[dict[str, Any]], shards: int, ends: list[int] | None = None
) -> list[tuple[int, pa.Table]]:
    session = engine.session(SETTINGS)
    plan = compile_rules(read.rules, session)
    dispatcher = Dispatcher(resolve(read), plan, engine)
    try:
        rows = table(events)
        found = dispatcher.messages(rows, plan.run(session, rows), ends or [rows.num_rows], shards, Tunings())
    finally:
        dispatcher.close()
        session.close()
    return [(int(message.partition or 0), arrow.decode(message.value)) for message in found]


def test_a_key_goes_to_one_shard_which_both_sides_know(engine: Engine) -> None:
    read = book(*BASES, correlation(11, "Many", GOOD))
    events = [
        {"log_class": "firewall", "dst_port": 22, "src_ip": f"192.0.2.{n % 20}", "agency": "한강", "raw_offset": n, "event_time": n * 1000}
        for n in range(60)
    ]
    messages = dispatched(engine, read, events, 4)
    assert sum(rows.num_rows for _, rows in messages) == 60
    assert len({shard for shard, _ in messages}) == len(messages) == 4
    for shard, rows in messages:
        pairs = zip(rows["correlation"].to_pylist(), rows["group_key"].to_pylist(), strict=True)
        assert {shard_of(*pair, 4) for pair in pairs} == {shard}


def test_messages_hold_whole_batches_and_are_thinned_each_by_itself(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matches of one key and second: a message keeps the first and the last three of its own, and says how many they stand for."""
    read = book(*BASES, correlation(11, "Many", GOOD))
    events = [{"log_class": "firewall", "dst_port": 22, "src_ip": "192.0.2.1", "agency": "gu", "raw_offset": n} for n in range(24)]
    assert [rows["raw_offset"].to_pylist() for _, rows in dispatched(engine, read, events, 2, [8, 16, 24])] == [[0, 1, 2, 21, 22, 23]]
    monkeypatch.setattr(dispatch, "_MOST_ROWS", 16)
    cut = [rows for _, rows in dispatched(engine, read, events, 2, [8, 16, 24])]
    assert [rows["raw_offset"].to_pylist() for rows in cut] == [[0, 1, 2, 13, 14, 15], [16, 17, 18, 21, 22, 23]]
    assert [sum(rows["stands_for"].to_pylist()) for rows in cut] == [16, 8]


THINNED = st.sampled_from(
    [
        "type: event_count, condition: {gte: 3}",
        "type: event_count, condition: {gt: 1.5, gte: 1}",
        "type: event_count, condition: {gte: 0}",
        "type: value_count, condition: {field: user, gte: 2}",
        "type: temporal",
        "type: temporal, condition: {gt: 1}",
        "type: temporal, condition: x and (y or z)",
        "type: event_count, condition: {lt: 3}",
        "type: event_count, condition: {eq: 3}",
        "type: temporal, condition: x and not y",
        "type: temporal_ordered",
        "type: value_sum, condition: {field: bytes, gte: 5}",
    ]
)
ROW = st.fixed_dictionaries(
    {
        "member": st.integers(0, 2),
        "group_key": st.sampled_from(['["k"]', '["l"]']),
        "at": st.integers(0, 40).map(lambda tenths: tenths * 100),
        "text": st.sampled_from(['["x"]', '["y"]', '["z"]']),
        "number": st.sampled_from([1.0, 2.0]),
    }
)


def rows_of(one: Correlation, drawn: list[dict[str, Any]]) -> pa.Table:
    start = datetime(2026, 3, 2, tzinfo=UTC)
    said = [
        {
            "raw_epoch": "e1",
            "raw_partition": 0,
            "raw_offset": place,
            "raw_line": 0,
            "received_at": start + timedelta(seconds=place),
            "agency": "gu",
            "event_time": start + timedelta(milliseconds=row["at"]),
            "correlation": one.hash,
            "stands_for": 1,
            "event": "",
            **{name: row[name] for name in ("member", "group_key", "text", "number")},
        }
        for place, row in enumerate(drawn)
    ]
    return pa.Table.from_pylist(said, schema=ROWS)


@settings(max_examples=400, deadline=None)
@given(THINNED, st.sampled_from(["1s", "2s", "3s"]), st.lists(ROW, min_size=1, max_size=60), st.lists(st.integers(1, 60), max_size=3))
def test_thinning_changes_nothing_that_fires(text: str, span: str, drawn: list[dict[str, Any]], cuts: list[int]) -> None:
    """Messages are thinned each for itself; the first completing match of every bucket is the same, and so is how many there were."""
    abc = [f"title: {n}\nname: {n}\nlogsource: {{category: web}}\ndetection: {{s: {{url: {n}}}, condition: s}}\n" for n in "xyz"]
    read = rules.parse("---\n".join([*abc, f"title: C\ncorrelation: {{rules: [x, y, z], timespan: {span}, {text}}}\n"]), "r", strict=False)
    one = read.correlations[0]
    whole = rows_of(one, drawn)
    ends = sorted({min(cut, len(drawn)) for cut in cuts} | {len(drawn)})
    parts = [thinned(whole.slice(start, end - start), {one.hash: one}) for start, end in zip([0, *ends], ends, strict=False)]
    fewer = pa.concat_tables(parts)

    def fired(rows: pa.Table) -> list[tuple[Any, ...]]:
        found = firings(one, rows)
        return sorted(zip(*(found[name].to_pylist() for name in ("group_key", "bucket", "event_time", "event")), strict=True))

    assert fired(fewer) == fired(whole)
    assert sum(fewer["stands_for"].to_pylist()) == len(drawn)


def test_a_firing_says_what_it_is_made_of() -> None:
    read = book(*BASES, correlation(11, "Many", GOOD.replace("gte: 3", "gte: 25")))
    one = read.correlations[0]
    drawn = [{"member": 0, "group_key": '["gu", "192.0.2.1"]', "at": n * 2000, "text": "", "number": None} for n in range(30)]
    details = json.loads(firings(one, rows_of(one, drawn))["details"][0].as_py())
    assert details["event_count"] == details["value"] == 25
    assert details["events"] == [f"e1-0-{n}-0" for n in range(5, 25)]
    assert (details["first"], details["last"]) == ("2026-03-02T00:00:00.000+00:00", "2026-03-02T00:00:48.000+00:00")
    assert details["group"] == {"agency": "gu", "src_ip": "192.0.2.1"}
