"""Correlations on the stream: through the real detector, bus, store and stage."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prometheus_client import REGISTRY

from core import topics
from core.clock import SystemClock
from core.errors import BusUnavailable, StoreUnavailable
from core.events import DETECTIONS, MATCHES
from detect.correlation import judge, noisy, telling
from detect.correlation.stage import CorrelateStage
from detect.rules import RuleBook
from tests.bench import correlate
from tests.correlating import BASES, COUNT, NOW, START, Centre, base, book, correlation, event, opened, rule_id


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    async with opened(tmp_path) as centre:
        yield centre


def told(found: pa.Table) -> list[tuple[str, str, str]]:
    """Title, key and raw line of what was told, in order of these."""
    return sorted((row["rule_title"], ",".join(json.loads(row["details"])["group"].values()), row["raw"]) for row in found.to_pylist())


async def test_a_correlation_is_a_detection_with_its_last_event(centre: Centre) -> None:
    rule = book(*BASES, COUNT)
    await centre.detect(rule, [[event(n, n * 5, src=f"192.0.2.{n % 2}")] for n in range(6)])
    await centre.correlate(centre.stage(rule))
    found = await centre.detections()
    assert found.schema.equals(DETECTIONS.schema)
    first, second = sorted(found.to_pylist(), key=lambda row: row["raw"])
    assert (first["rule_title"], first["rule_level"], first["kind"], first["origin"]) == ("Many", "high", "correlation", "stream")
    assert (first["agency"], first["raw"], first["source"], first["event_time"]) == ("gu", "line 4", "fw1", START + timedelta(seconds=20))
    assert second["raw"] == "line 5"
    assert json.loads(first["details"]) == {
        "group": {"agency": "gu", "src_ip": "192.0.2.0"},
        "value": 3,
        "timespan_s": 60,
        "first": START.isoformat(timespec="milliseconds"),
        "last": (START + timedelta(seconds=20)).isoformat(timespec="milliseconds"),
        "events": ["e1-0-0-0", "e1-0-2-0", "e1-0-4-0"],
        "event_count": 3,
    }
    epoch = await centre.bus.epoch(topics.MATCHES)
    assert {first["raw_epoch"], second["raw_epoch"]} == {f"corr{epoch}"}
    assert first["detection_id"] == f"{rule_id(11)}:corr{epoch}-{first['raw_partition']}-{first['raw_offset']}-{first['raw_line']}"


async def rows_of(centre: Centre, name: str) -> int:
    return int((await centre.store.query(f"SELECT count() FROM {name}"))[0][0].as_py())


async def test_a_member_is_silent_unless_the_correlation_says_generate(centre: Centre) -> None:
    events = [event(1, 0), event(2, 1, port=23)]
    for generate, titles in ((False, ["Port 23"]), (True, ["Port 22", "Port 23"])):
        rule = book(*BASES, COUNT.replace("gte: 3}", f"gte: 3}}, generate: {str(generate).lower()}"))
        await centre.detect(rule, [events])
        assert sorted((await centre.detections())["rule_title"].to_pylist()) == titles


async def test_it_fires_once_a_span_for_each_key(centre: Centre) -> None:
    """Begins of buckets are at whole minutes here: START is a whole hour."""
    rule = book(*BASES, COUNT)
    await centre.detect(rule, [[event(n, n * 10)] for n in range(20)])
    await centre.correlate(centre.stage(rule), at_once=4)  # some of both a bucket that has fired and the next
    assert [row[2] for row in told(await centre.detections())] == ["line 12", "line 18", "line 2", "line 6"]


async def test_agencies_are_apart_unless_the_rule_says_otherwise(centre: Centre) -> None:
    across = correlation(
        12,
        "Everywhere",
        "type: value_count, rules: [a], group-by: [src_ip], timespan: 1m, condition: {field: agency, gte: 3}",
        more="bongsu_across_agencies: true\n",
    )
    rule = book(*BASES, COUNT, across)
    await centre.detect(rule, [[event(n, n, agency=agency) for n, agency in enumerate(("gu", "dong", "gu", "si"))]])
    await centre.correlate(centre.stage(rule))
    assert told(await centre.detections()) == [("Everywhere", "192.0.2.1", "line 3")]


async def test_a_correlation_that_groups_by_nothing(centre: Centre) -> None:
    alone = correlation(
        12, "All", "type: event_count, rules: [a], timespan: 1m, condition: {gte: 4}", more="bongsu_across_agencies: true\n"
    )
    rule = book(BASES[0], alone)
    await centre.detect(rule, [[event(n, n, agency=f"gu{n}") for n in range(4)]])
    await centre.correlate(centre.stage(rule))
    assert told(await centre.detections()) == [("All", "", "line 3")]


async def test_many_firings_of_one_second_find_their_own_events(centre: Centre) -> None:
    """More events than are asked for at once, of the same agency, time and lines of their messages."""
    rule = book(*BASES, COUNT.replace("gte: 3", "gte: 1").replace("[src_ip]", "[user]"))
    events = [event(n // 40, 0, user=f"u{n}", raw=f"line {n}", raw_line=n % 40) for n in range(700)]
    await centre.detect(rule, [events])
    await centre.correlate(centre.stage(rule))
    found = await centre.detections()
    assert sorted(zip(found["user"].to_pylist(), found["raw"].to_pylist(), strict=True)) == sorted(
        (f"u{n}", f"line {n}") for n in range(700)
    )


async def test_an_event_without_a_value_that_is_grouped_by_does_not_count(centre: Centre) -> None:
    rule = book(*BASES, COUNT.replace("[src_ip]", "[src_ip, user]"))
    await centre.detect(rule, [[event(n, n, user="" if n % 2 else "kim") for n in range(6)]])
    await centre.correlate(centre.stage(rule))
    assert told(await centre.detections()) == [("Many", "gu,192.0.2.1,kim", "line 4")]


async def test_a_late_event_completes_what_is_kept_for_it(centre: Centre) -> None:
    rule = book(*BASES, COUNT)
    late = [event(n, at, src=src, received_at=START + timedelta(hours=1)) for n, at, src in ((9, 5, "192.0.2.1"), (10, 5, "192.0.2.2"))]
    on_time = [event(n, at, src=src) for n, (at, src) in enumerate((at, f"192.0.2.{host}") for at in (0, 20) for host in (1, 2))]
    await centre.detect(rule, [on_time, late[:1]])
    await centre.correlate(centre.stage(rule), at_once=1)
    # The third match is the one at 20 s, which the late one at 5 s completes.
    assert told(await centre.detections()) == [("Many", "gu,192.0.2.1", "line 2")]
    await centre.detect(rule, [late[1:]])
    await centre.correlate(centre.stage(rule, lateness=timedelta(minutes=30)), at_once=1)
    assert told(await centre.detections()) == []


async def test_correlations_of_correlations(centre: Centre) -> None:
    spread = correlation(
        12, "Spread", "type: value_count, rules: [many], timespan: 10m, condition: {field: src_ip, gte: 2}", "spread", "level: critical\n"
    ).replace("level: high\n", "")
    then = correlation(13, "Then", "type: temporal_ordered, rules: [spread, b], timespan: 10m")
    rule = book(*BASES, COUNT, spread, then)
    scans = [[event(n * 3 + i, n * 60 + i, src=f"192.0.2.{n}") for i in range(3)] for n in range(2)]
    await centre.detect(rule, [*scans, [event(9, 100, port=23)]])
    await centre.correlate(centre.stage(rule), at_once=1)
    found = await centre.detections()
    assert told(found) == [("Then", "gu", "line 9")]
    assert json.loads(found["details"][0].as_py())["events"] == ["e1-0-5-0", "e1-0-9-0"]
    assert await rows_of(centre, "firings") == 4


class Failing:
    """A store or bus whose call number `failing` of `name` fails, before or after it was done; else the real one."""

    def __init__(self, real: Any, name: str, failing: int, *, done: bool) -> None:
        self._real = real
        self._name = name
        self._failing = failing
        self._done = done
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name != self._name:
            return real

        async def call(*args: Any, **named: Any) -> Any:
            self.calls += 1
            fails = self.calls == self._failing
            result = await real(*args, **named) if self._done or not fails else None
            if fails:
                raise StoreUnavailable("no answer") if name == "insert" else BusUnavailable("no answer")
            return result

        return call


DEATHS = [(name, failing, done) for name in ("insert", "produce") for failing in (1, 2, 3) for done in (False, True)]
"""Which call of what was the last one, and whether it was done."""


async def test_nothing_is_lost_or_told_twice_wherever_it_is_killed(centre: Centre) -> None:
    """The stage dies in the middle of a batch; its successor gets the same messages in other batches. An agency for each death."""
    outer = correlation(12, "Twice", "type: event_count, rules: [many], timespan: 1h, condition: {gte: 2}")
    rule = book(*BASES, COUNT.replace("gte: 3}", "gte: 3}, generate: true"), outer.replace("gte: 2}", "gte: 2}, generate: true"))
    for number, death in enumerate(DEATHS):
        agency, first = f"gu{number}", number * 12
        await centre.detect(rule, [[event(first + n, n * 10, agency=agency) for n in (at, at + 1)] for at in range(0, 12, 2)])
        await centre.detections()  # of the members themselves
        await _die(centre, rule, *death)
        found = await centre.detections()
        lines = [("Many", f"{agency},192.0.2.1", f"line {first + n}") for n in (2, 6)]
        assert told(found) == sorted([*lines, ("Twice", agency, f"line {first + 6}")]), death
        assert len(set(found["detection_id"].to_pylist())) == 3
    assert await rows_of(centre, "matches") == len(DEATHS) * (12 + 2)


async def _die(centre: Centre, rule: RuleBook, name: str, failing: int, done: bool) -> None:
    records = await centre.waiting()
    assert len(records) == 6
    store = Failing(centre.store, name, failing, done=done) if name == "insert" else centre.store
    bus = Failing(centre.bus, name, failing, done=done) if name == "produce" else centre.bus
    first = CorrelateStage(bus, store, rule, SystemClock(), timedelta(hours=24))  # type: ignore[arg-type]
    failed = False
    for start in range(0, 6, 2):
        try:
            await first.handle(records[start : start + 2], 1)
        except (StoreUnavailable, BusUnavailable):
            failed = True
            break
    assert failed
    second = centre.stage(rule)
    for start in range(0, 6, 3):
        await second.handle(records[start : start + 3], 1)
    await second.handle(records, 2)
    await centre.correlate(second)


async def test_the_same_stage_goes_on_after_a_failure(centre: Centre) -> None:
    rule = book(*BASES, COUNT)
    await centre.detect(rule, [[event(n, n)] for n in range(3)])
    records = await centre.waiting()
    stage = centre.stage(rule, store=Failing(centre.store, "insert", 2, done=True))
    with pytest.raises(StoreUnavailable):
        await stage.handle(records, 1)
    await stage.handle(records, 1)
    assert told(await centre.detections()) == [("Many", "gu,192.0.2.1", "line 2")]
    assert await rows_of(centre, "firings") == 1


async def test_messages_that_come_again_are_judged_without_what_came_after_them(centre: Centre) -> None:
    """What is in the table already of later messages does not count yet, so that a `not` holds as it did when they came."""
    alone = correlation(12, "Alone", "type: temporal, rules: [a, b], group-by: [src_ip], timespan: 1m, condition: a and not b")
    rule = book(*BASES, alone)
    await centre.detect(rule, [[event(1, 5)], [event(2, 4, port=23)]])
    records = await centre.waiting()
    died = centre.stage(rule, store=Failing(centre.store, "insert", 1, done=True))
    with pytest.raises(StoreUnavailable):
        await died.handle(records, 1)
    stage = centre.stage(rule)
    for record in records:
        await stage.handle([record], 2)
    assert told(await centre.detections()) == [("Alone", "gu,192.0.2.1", "line 1")]


async def test_it_waits_for_an_event_that_is_not_stored_yet(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_LOOKS", 1)
    monkeypatch.setattr(telling, "_PAUSE", 0.0)
    rule = book(*BASES, COUNT)
    batches = [[event(n, n)] for n in range(3)]
    await centre.detect(rule, batches, stored=False)
    records = await centre.waiting()
    stage = centre.stage(rule)
    with pytest.raises(StoreUnavailable, match="e1-0-2-0"):
        await stage.handle(records, 1)
    await centre.detect(book(base(3, "c", 99)), [*batches[:2], [event(3, 3)]])  # the store is past it, and has passed it over
    await stage.handle(records, 1)
    found = await centre.detections()
    row = found.to_pylist()[0]
    assert (row["rule_title"], row["agency"], row["event_time"], row["raw"]) == ("Many", "gu", START + timedelta(seconds=2), "")


async def test_a_message_that_is_none_of_ours_holds_up_nothing(centre: Centre) -> None:
    rule = book(*BASES, COUNT)
    await centre.detect(rule, [[event(n, n)] for n in range(3)])
    records = list(await centre.waiting())
    stage = centre.stage(rule)
    damaged = [type(records[0])(topics.MATCHES, records[0].partition, 90 + n, value, {}, NOW) for n, value in enumerate((b"x", b""))]
    await stage.handle([records[0], *damaged, *records[1:]], 1)
    assert len(told(await centre.detections())) == 1


class Watched:
    """A store that remembers how many rows each query over the matches gave."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def query(self, sql: str, *args: Any) -> pa.Table:
        found = await self._real.query(sql, *args)
        if f"FROM {MATCHES.name} " in sql and "raw_line" in sql:
            self.sizes.append(found.num_rows)
        return found


async def test_what_is_read_at_once_is_bounded_however_many_keys_there_are(centre: Centre) -> None:
    rule = book(*BASES, COUNT.replace("gte: 3", "eq: 3"))  # every key is asked for
    keys = 12_000
    events = [event(n, n / keys, src=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(keys)]
    again = [{**one, "raw_offset": one["raw_offset"] + n * keys} for n in (1, 2) for one in events[: keys if n == 1 else 5]]
    await centre.detect(rule, [events, again])
    store = Watched(centre.store)
    await centre.correlate(centre.stage(rule, store=store))
    assert len(await centre.detections()) == 5
    assert sum(store.sizes) >= 2 * keys
    assert max(store.sizes) <= 3 * judge.MOST_PAIRS


async def test_what_cannot_have_enough_matches_is_not_read(centre: Centre) -> None:
    """A stage that began after the first half counts it too; the third match of a key is what makes it worth a question."""
    rule = book(*BASES, COUNT)
    first, second = ([event(n + at, at, src=f"192.0.2.{n}") for n in range(8)] for at in (0, 10))
    await centre.detect(rule, [first])
    await centre.correlate(centre.stage(rule))
    store = Watched(centre.store)
    stage = centre.stage(rule, store=store)
    await centre.detect(rule, [second])
    await centre.correlate(stage)
    assert store.sizes == []
    await centre.detect(rule, [[event(30, 20, src="192.0.2.5")]])
    await centre.correlate(stage)
    assert store.sizes == [3]
    assert told(await centre.detections()) == [("Many", "gu,192.0.2.5", "line 30")]


async def test_too_many_matches_are_read_in_halves_and_of_one_key_alone_in_pages(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "MOST_ROWS", 8)
    monkeypatch.setattr(noisy, "PAGE_ROWS", 5)
    rule = book(
        *BASES, COUNT.replace("gte: 3", "eq: 3"), COUNT.replace("gte: 3", "eq: 11").replace(rule_id(11), rule_id(12))
    )  # not thinned
    few = [event(n, n, src=f"192.0.2.{n % 4}") for n in range(12)]
    many = [event(n, n / 10, src="192.0.2.9") for n in range(12, 24)]
    await centre.detect(rule, [few, many])
    await centre.correlate(centre.stage(rule))
    lines = [(f"gu,192.0.2.{n}", f"line {8 + n}") for n in range(4)]
    assert [found[1:] for found in told(await centre.detections())] == [*lines, ("gu,192.0.2.9", "line 14"), ("gu,192.0.2.9", "line 22")]


async def test_what_cannot_be_judged_in_pages_is_reported_and_holds_up_nothing(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "MOST_ROWS", 8)
    monkeypatch.setattr(noisy, "MOST_ROWS", 8)
    monkeypatch.setattr(noisy, "PAGE_ROWS", 5)
    median = "type: value_median, rules: [a], group-by: [src_ip], timespan: 1m, condition: {field: bytes, gte: 10}"
    rule = book(*BASES, COUNT.replace("gte: 3", "eq: 3"), correlation(12, "Median", median))
    same = [event(n, 0, src="192.0.2.8", bytes=n) for n in range(10)]
    many = [event(n, n, src="192.0.2.9", bytes=n) for n in range(10, 20)]
    await centre.detect(rule, [same, many])
    await centre.correlate(centre.stage(rule))
    assert told(await centre.detections()) == [("Many", "gu,192.0.2.9", "line 12")]
    counted = [REGISTRY.get_sample_value("bongsu_correlations_not_judged_total", {"rule": rule_id(number)}) for number in (11, 12)]
    assert counted == [1, 2], "ten at one instant; two medians of ten"


async def test_a_key_that_has_fired_is_not_read_again_in_its_span(centre: Centre) -> None:
    rule = book(*BASES, COUNT)
    store = Watched(centre.store)
    stage = centre.stage(rule, store=store)
    await centre.detect(rule, [[event(n, n) for n in range(5)]])
    await centre.correlate(stage)
    read = list(store.sizes)
    await centre.detect(rule, [[event(n, n) for n in range(5, 10)]])
    await centre.correlate(stage)
    assert (read, store.sizes) == ([5], [5])
    # In the next span it is: a late match of the first may complete what came there before.
    await centre.detect(rule, [[event(n, n * 10) for n in range(10, 12)], [event(12, 59)]])
    await centre.correlate(stage, at_once=1)
    assert len(told(await centre.detections())) == 2


async def test_noise_of_one_second_is_few_rows(centre: Centre) -> None:
    distinct = correlation(12, "Ports", "type: value_count, rules: [a], group-by: [src_ip], timespan: 1m, condition: {field: user, gte: 2}")
    rule = book(*BASES, COUNT, distinct)
    await centre.detect(rule, [[event(n, n / 1000, user="kim") for n in range(500)], [event(500, 1, user="lee")]])
    await centre.correlate(centre.stage(rule))
    assert await rows_of(centre, "matches") == (3 + 3 + 1) + (1 + 1 + 1)
    found = await centre.detections()
    assert {title: raw for title, _, raw in told(found)} == {"Many": "line 2", "Ports": "line 500"}
    counts = {row["rule_title"]: json.loads(row["details"])["event_count"] for row in found.to_pylist()}
    assert counts == {"Many": 3, "Ports": 501}


async def test_of_many_keys_and_of_one_with_many_matches_the_right_ones_fire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark in small: batches of 500 events, pages of 200 matches."""
    monkeypatch.setattr(judge, "PAGE_ROWS", 200)
    monkeypatch.setattr(noisy, "PAGE_ROWS", 600)
    monkeypatch.setattr(correlate, "A_BATCH", 500)
    said: list[dict[str, Any]] = []
    assert await correlate.bench(tmp_path, 2_000, 1_500, said.append)
    assert said[-1]["matches"] == 3 * 1_500
    assert said[-1]["fired"] == 3
