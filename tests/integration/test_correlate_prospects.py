"""Which matches may fire, told from memory: whatever fires is among them, in whatever batches and over whatever restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from itertools import count, pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.engine import Engine
from core.errors import QueryTooCostly
from core.events import MATCHES
from core.storage import correlation_queries
from core.storage.embedded import EmbeddedStore
from detect import rules
from detect.correlation import prospects
from detect.correlation.definition import Bound, Correlation
from detect.correlation.firing import firings
from detect.correlation.members import ROWS
from detect.correlation.prospects import Prospects
from detect.tuning import UNCHANGED, Change, Tunings
from tests.correlating import START

_numbers = count()


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def store(loop: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    engine = Engine(tmp_path_factory.mktemp("prospects") / "store")
    store = EmbeddedStore(engine)
    loop.run(store.start())
    loop.run(store.migrate())
    yield store
    loop.run(store.close())
    engine.close()


def made(text: str, span: str) -> Correlation:
    """A correlation of x, y and z whose hash no other has."""
    abc = [f"title: {n}\nname: {n}\nlogsource: {{category: web}}\ndetection: {{s: {{url: {n}}}, condition: s}}\n" for n in "xyz"]
    own = f"title: C{next(_numbers)}\nid: c\ncorrelation: {{rules: [x, y, z], timespan: {span}, {text}}}\n"
    return rules.parse("---\n".join([*abc, own]), "r", strict=False).correlations[0]


def rows_of(one: Correlation, drawn: list[dict[str, Any]]) -> pa.Table:
    said = [
        {
            "shard_epoch": "e",
            "shard": 0,
            "shard_offset": place,
            "raw_epoch": one.hash,
            "raw_partition": 0,
            "raw_offset": place,
            "raw_line": 0,
            "received_at": START,
            "agency": "gu",
            "event_time": START + timedelta(milliseconds=row["at"]),
            "correlation": one.hash,
            "stands_for": 1,
            "event": "",
            **{name: row[name] for name in ("member", "group_key", "text", "number")},
        }
        for place, row in enumerate(drawn)
    ]
    return pa.Table.from_pylist(said, schema=MATCHES.schema)


TEXTS = st.sampled_from(
    [
        "type: event_count, condition: {gte: 3}",
        "type: event_count, condition: {gt: 1.5, gte: 1}",
        "type: event_count, condition: {gte: 0}",
        "type: event_count, condition: {lt: 3}",
        "type: value_count, condition: {field: user, gte: 2}",
        "type: temporal",
        "type: temporal, condition: {gt: 1}",
        "type: temporal, condition: x and not y",
        "type: temporal_ordered",
        "type: temporal_ordered, condition: {gte: 2}",
        "type: value_sum, condition: {field: bytes, gte: 5}",
    ]
)
ROW = st.fixed_dictionaries(
    {
        "member": st.integers(0, 2),
        "group_key": st.integers(0, 3).map(lambda number: f'["k{number}"]'),
        "at": st.integers(0, 60).map(lambda tenths: tenths * 100),
        "text": st.sampled_from(['["x"]', '["y"]', '["z"]']),
        "number": st.sampled_from([1.0, 2.0]),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    TEXTS,
    st.sampled_from(["1s", "2s", "3s"]),
    st.lists(ROW, min_size=1, max_size=40),
    st.lists(st.integers(1, 40), max_size=4),
    st.integers(0, 5),
)
def test_what_fires_is_likely(
    loop: asyncio.Runner, store: EmbeddedStore, text: str, span: str, drawn: list[dict[str, Any]], cuts: list[int], restart: int
) -> None:
    """Each batch is read, written and counted as the stage does it; before one of them what is known is forgotten."""
    one = made(text, span)
    rows = rows_of(one, drawn)
    known = Prospects(store, {one.hash: one})
    seen: set[tuple[Any, ...]] = set()
    ends = sorted({min(cut, len(drawn)) for cut in cuts} | {0, len(drawn)})
    for number, (start, end) in enumerate(pairwise(ends)):
        if number == restart:
            known.forget()
        batch = rows.slice(start, end - start)
        near = known.near(batch, UNCHANGED)
        loop.run(known.read(near))
        loop.run(store.insert(MATCHES.name, batch, f"{one.hash}{number}"))
        likely = batch.filter(pa.array(known.likely(near))).to_pylist()
        fired = firings(one, rows.slice(0, end).select(ROWS.names))
        for told in fired.to_pylist():
            if (bucket := (told["group_key"], told["bucket"])) not in seen:
                reach = timedelta(milliseconds=one.span_ms)
                near_it = [
                    row for row in likely if row["group_key"] == bucket[0] and 0 <= (told["event_time"] - row["event_time"]) / reach <= 1
                ]
                assert near_it, f"{told} fires, and nothing was likely to"
                seen.add(bucket)


def likely_of(loop: asyncio.Runner, known: Prospects, rows: pa.Table, tunings: Tunings = UNCHANGED) -> list[bool]:
    near = known.near(rows, tunings)
    loop.run(known.read(near))
    found: list[bool] = known.likely(near).tolist()
    return found


def drawn_at(*times: int, key: str = "k", member: int = 0) -> list[dict[str, Any]]:
    return [{"member": member, "group_key": f'["{key}"]', "at": at, "text": '["x"]', "number": 1.0} for at in times]


def test_few_matches_of_many_keys_are_not_likely(loop: asyncio.Runner, store: EmbeddedStore) -> None:
    one = made("type: event_count, condition: {gte: 50}", "1m")
    known = Prospects(store, {one.hash: one})
    rows = rows_of(one, [row for key in range(20_000) for row in drawn_at(key, key=str(key))])
    assert not any(likely_of(loop, known, rows))
    enough = rows_of(one, drawn_at(*range(20_000, 20_060), key="7"))
    assert all(likely_of(loop, known, enough))


def test_one_member_alone_is_not_likely_and_both_are(loop: asyncio.Runner, store: EmbeddedStore) -> None:
    one = made("type: temporal_ordered, condition: {gte: 2}", "1m")
    known = Prospects(store, {one.hash: one})
    assert likely_of(loop, known, rows_of(one, drawn_at(1, 2, 3, 4))) == [False] * 4
    assert likely_of(loop, known, rows_of(one, drawn_at(59_000, member=1))) == [True]
    assert likely_of(loop, known, rows_of(one, drawn_at(61_000))) == [True], "the member of the bucket before"
    assert likely_of(loop, known, rows_of(one, drawn_at(121_000))) == [False]


def test_a_threshold_that_an_agency_lowered_counts(loop: asyncio.Runner, store: EmbeddedStore) -> None:
    one = made("type: event_count, condition: {gte: 5}", "1m")
    known = Prospects(store, {one.hash: one})
    lower = Tunings({(one.id, "gu"): Change(bounds=(Bound(">=", 2),))})
    assert likely_of(loop, known, rows_of(one, drawn_at(1, 2))) == [False, False]
    assert likely_of(loop, known, rows_of(one, drawn_at(3)), lower) == [True]
    below = Tunings({(one.id, "gu"): Change(bounds=(Bound("<", 2),))})
    assert likely_of(loop, known, rows_of(one, drawn_at(4)), below) == [True], "a count does not tell of an upper bound"
    assert likely_of(loop, known, rows_of(one, drawn_at(5))) == [True], "and it was counted all the same"


def test_what_is_too_much_to_read_may_fire(loop: asyncio.Runner, store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two correlations one has too many cells: the other is known all the same."""
    large, small = made("type: event_count, condition: {gte: 5}", "1m"), made("type: event_count, condition: {gte: 5}", "1m")
    stored = rows_of(large, [row for key in range(50) for row in drawn_at(1, key=str(key))])
    loop.run(store.insert(MATCHES.name, stored, large.hash))
    monkeypatch.setattr(correlation_queries, "_MOST_CELLS", 40)
    known = Prospects(store, {one.hash: one for one in (large, small)})
    both = pa.concat_tables([rows_of(large, drawn_at(2)), rows_of(small, drawn_at(2))])
    assert likely_of(loop, known, both) == [True, False]
    with pytest.raises(QueryTooCostly):
        loop.run(correlation_queries.cells(store, [large.hash], large.span_ms, [rows_bucket(stored, large)], 12))


def rows_bucket(rows: pa.Table, one: Correlation) -> int:
    return int(rows["event_time"][0].as_py().timestamp() * 1000) // one.span_ms


def test_memory_is_bounded_and_what_was_forgotten_is_read_again(
    loop: asyncio.Runner, store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prospects, "_MOST_BUCKETS", 4)
    one = made("type: event_count, condition: {gte: 2}", "1s")
    known = Prospects(store, {one.hash: one})
    first = rows_of(one, drawn_at(500))
    assert likely_of(loop, known, first) == [False]
    loop.run(store.insert(MATCHES.name, first, one.hash))
    assert likely_of(loop, known, rows_of(one, drawn_at(60_500, 90_500))) == [True, False], "more buckets than may be known"
    assert likely_of(loop, known, rows_of(one, drawn_at(600))) == [True]
    assert likely_of(loop, known, rows_of(one, drawn_at(3_500))) == [False]
