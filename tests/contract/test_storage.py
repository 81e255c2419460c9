"""What every columnar store promises, on each implementation.

The server's wire is the native protocol of clickhouse-driver against `tests/servers/clickhouse_native.py`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import KST
from core.errors import QueryTooCostly, StoreError
from core.events import DETECTIONS, EVENTS, QUARANTINE, TABLES, Column, Kind, Table
from core.storage import migrations
from core.storage.contract import Limits, Store
from core.storage.ddl import ENGINE, create_table
from tests.rows import MAPPED, NOON, ipv4, rows
from tests.servers.clickhouse import OpenStore

DEADLINE = 20.0
STEPS = [
    "0001_tables",
    "0002_lookups",
    "0003_meaning",
    "0004_findings",
    "0005_matches",
    "0006_indicators",
    "0007_baselines",
    "0008_times_of_matches",
    "0009_exercise",
    "0010_lines",
]


async def number(store: Store, sql: str, **params: Any) -> Any:
    """The one value of a query of one row and column."""
    return (await store.query(sql, params))[0][0].as_py()


async def becomes(expected: Any, ask: Callable[[], Any]) -> None:
    """Wait until `ask` gives `expected`."""
    end = asyncio.get_running_loop().time() + DEADLINE
    while (got := await ask()) != expected:
        assert asyncio.get_running_loop().time() < end, f"still {got!r} instead of {expected!r}"
        await asyncio.sleep(0.02)


# Migrations


async def test_an_empty_store_is_brought_to_the_newest_schema_once(open_store: OpenStore) -> None:
    assert list(await open_store.store.migrate()) == STEPS
    assert list(await open_store.store.migrate()) == []
    assert [await number(open_store.store, f"SELECT count() FROM {table.name}") for table in TABLES] == [0] * len(TABLES)


async def test_a_store_of_the_previous_version_keeps_its_rows(open_store: OpenStore) -> None:
    newest = len(migrations.migrations())
    migrations.apply(open_store.raw.run, open_store.raw.select, newest - 1)
    old = rows(1)
    open_store.raw.run(
        "INSERT INTO events (raw_epoch, raw_partition, raw_offset, raw_line, received_at, event_time) "
        "SELECT {epoch:String}, {partition:UInt16}, 7, number, now64(3), now64(3) FROM numbers(3)",
        {"epoch": old["raw_epoch"][0].as_py(), "partition": old["raw_partition"][0].as_py()},
    )
    assert len(await open_store.store.migrate()) == 1
    await open_store.store.insert("events", rows(2, raw_offset=8), "after")
    found = await open_store.store.query("SELECT max(raw_offset) AS offset, count() AS n FROM events GROUP BY raw_epoch, raw_partition")
    assert found.to_pylist() == [{"offset": 8, "n": 5}]
    unmade = "SELECT count() FROM system.mutations WHERE database = currentDatabase() AND table = 'events' AND NOT is_done"
    await becomes(0, lambda: number(open_store.store, unmade))


async def test_a_migration_that_was_cut_short_is_completed(open_store: OpenStore) -> None:
    migrations.apply(open_store.raw.run, open_store.raw.select, 1)
    for statement in migrations.migrations()[1].statements[:2]:
        open_store.raw.run(statement, {})
    assert list(await open_store.store.migrate()) == STEPS[1:]


async def test_a_store_of_a_newer_program_is_refused(open_store: OpenStore) -> None:
    await open_store.store.migrate()
    open_store.raw.run("INSERT INTO schema_migrations (number, name) SELECT 9000, '9000_from_the_future'", {})
    with pytest.raises(StoreError, match=r"9000_from_the_future.*a newer one"):
        await open_store.store.migrate()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_the_migrations_together_give_the_tables_of_the_events_module(open_store: OpenStore, table: Table) -> None:
    await open_store.store.migrate()
    open_store.raw.run(create_table(table, f"fresh_{table.name}").replace("{engine}", ENGINE), {})

    async def shape(name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        of = {"name": name}
        columns = await open_store.store.query(
            "SELECT name, type, compression_codec, is_in_sorting_key FROM system.columns "
            "WHERE database = currentDatabase() AND table = {name:String} ORDER BY position",
            of,
        )
        whole = await open_store.store.query(
            "SELECT sorting_key, partition_key, replaceRegexpOne(engine_full, ' COMMENT.*', '') AS engine FROM system.tables "
            "WHERE database = currentDatabase() AND name = {name:String}",
            of,
        )
        return columns.to_pylist(), whole.to_pylist()

    assert await shape(table.name) == await shape(f"fresh_{table.name}")
    assert len((await shape(table.name))[0]) == len(table.columns)


def test_every_statement_of_a_migration_can_be_given_twice() -> None:
    assert all("IF NOT EXISTS" in s or "MATERIALIZE" in s for step in migrations.migrations() for s in step.statements)


# Insert and read back


def _extremes(column: Column) -> list[Any]:
    """Values at the edges of what a column may hold, the first one plain."""
    match column.kind:
        case Kind.TEXT:
            values: list[Any] = [
                "plain",
                "",
                "한글 로그 🔥",
                "nul\0inside",
                "tab\tline\nquote'\\",
                "x" * 127,
                "y" * 128,
                "z" * 16_384,
                "w" * 70_000,
            ]
        case Kind.WORD:
            values = ["plain", "", "서울시", "a'b", "nul\0", "x" * 300]
        case Kind.IP:
            values = [ipv4(192, 0, 2, 1), bytes(16), b"\xff" * 16, ip_address("2001:db8::1").packed, MAPPED + bytes(4)]
        case Kind.TIME:
            values = [
                NOON,
                NOON + timedelta(milliseconds=1),
                datetime(1970, 1, 1, tzinfo=UTC),
                datetime(2099, 12, 31, 23, 59, 59, 999_000, UTC),
            ]
        case Kind.FLOAT:
            values = [1.0, 0.0, -0.1, 1.7976931348623157e308]
        case _:
            values = [1, 0, 2 ** int(column.kind.name.removeprefix("UINT")) - 1]
    return [*values, None] if column.nullable else values


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_every_column_comes_back_as_it_went_in(any_store: Store, table: Table) -> None:
    longest = max(len(_extremes(column)) for column in table.columns)
    columns = {column.name: [_extremes(column)[i % len(_extremes(column))] for i in range(longest)] for column in table.columns}
    kept = datetime.now(UTC).replace(microsecond=0) if table.ttl else NOON  # what is past its time may be gone when it is read
    columns |= {"raw_line": list(range(longest)), "received_at": [kept] * longest, "fired_at": [kept] * longest}
    given_rows = rows(longest, table, **columns)
    await any_store.insert(table.name, given_rows, "t")
    found = await any_store.query(f"SELECT {', '.join(f'`{name}`' for name in table.names)} FROM {table.name} ORDER BY raw_line")
    assert found.column_names == list(table.names)
    for column in table.columns:
        assert found[column.name].to_pylist() == given_rows[column.name].to_pylist(), column.name
        assert found.schema.field(column.name).type == column.arrow.type, column.name


async def test_a_column_that_no_row_or_only_some_rows_set_comes_back_so(any_store: Store) -> None:
    inserts = [rows(2, raw_offset=0), rows(3, raw_offset=1, url=["", "/a", ""], src_port=[None, 0, None], sig_name=["", "", ""])]
    for number, told in enumerate(inserts):
        await any_store.insert("events", told, f"t{number}")
    found = await any_store.query("SELECT * FROM events ORDER BY raw_offset, raw_line")
    assert found.select(EVENTS.names).cast(EVENTS.schema).equals(pa.concat_tables(inserts))


@pytest.mark.parametrize("distinct", [256, 257, 65_537])
async def test_words_of_many_kinds(any_store: Store, distinct: int) -> None:
    words = [f"사용자-{i}" for i in range(distinct)]
    await any_store.insert("events", rows(distinct, rule=words), "t")
    assert await number(any_store, "SELECT uniqExact(rule) FROM events") == distinct
    assert await number(any_store, "SELECT countIf(rule != concat('사용자-', toString(raw_line))) FROM events") == 0


async def test_an_insert_of_several_blocks_is_one_part(any_store: Store) -> None:
    lines = 100_000
    await any_store.insert("events", rows(lines, src_port=[i % 60_000 for i in range(lines)]), "t")
    assert await number(any_store, "SELECT count() FROM events") == lines
    assert await number(any_store, "SELECT sum(src_port) FROM events") == sum(i % 60_000 for i in range(lines))
    parts = "SELECT max(rows) FROM system.parts WHERE database = currentDatabase() AND table = 'events' AND level = 0"
    assert await number(any_store, parts) == lines


async def test_rows_in_pieces_and_slices_are_read_right(any_store: Store) -> None:
    whole = rows(10, raw=[f"line {i}" for i in range(10)], src_port=[None if i % 3 == 0 else i for i in range(10)])
    pieces = pa.concat_tables([whole.slice(7, 3), whole.slice(2, 4)])
    await any_store.insert("events", pieces, "t")
    found = await any_store.query("SELECT raw, src_port FROM events ORDER BY raw_line")
    assert found["raw"].to_pylist() == [f"line {i}" for i in (2, 3, 4, 5, 7, 8, 9)]
    assert found["src_port"].to_pylist() == [2, None, 4, 5, 7, 8, None]


async def test_a_token_is_written_once(any_store: Store) -> None:
    for token in ("a", "b", "a", "a"):
        await any_store.insert("events", rows(5, raw=f"of {token}"), token)
    found = await any_store.query("SELECT raw, count() AS n FROM events GROUP BY raw ORDER BY raw")
    assert found.to_pylist() == [{"raw": "of a", "n": 5}, {"raw": "of b", "n": 5}]


async def test_a_token_may_hold_anything(any_store: Store) -> None:
    await any_store.insert("events", rows(1), "it's a 'token' -- \\ \n 한글")
    await any_store.insert("events", rows(1), "it's a 'token' -- \\ \n 한글")
    assert await number(any_store, "SELECT count() FROM events") == 1


async def test_no_rows_are_no_insert(any_store: Store) -> None:
    await any_store.insert("events", rows(0), "t")
    assert await number(any_store, "SELECT count() FROM events") == 0


async def test_rows_of_another_version_are_taken_as_far_as_they_go(any_store: Store) -> None:
    older = rows(1).drop_columns(["user_agent", "bytes"])
    newer = rows(1, raw_line=[1]).append_column("of_tomorrow", pa.array(["x"]))
    await any_store.insert("events", older, "older")
    await any_store.insert("events", newer, "newer")
    found = await any_store.query("SELECT user_agent, bytes FROM events")
    assert found.to_pylist() == [{"user_agent": "", "bytes": None}] * 2


@pytest.mark.parametrize(
    ("table", "wrong", "reason"),
    [
        ("no_such_table", rows(1), "no table 'no_such_table'"),
        ("events", rows(1).drop_columns(["received_at"]), "received_at"),
        ("events", rows(1).set_column(0, "raw_epoch", pa.nulls(1, pa.string())), "events"),
        ("events", rows(1).set_column(1, "raw_partition", pa.array(["no number"])), "events"),
    ],
)
async def test_rows_that_do_not_fit_are_refused(any_store: Store, table: str, wrong: pa.Table, reason: str) -> None:
    with pytest.raises(StoreError, match=reason):
        await any_store.insert(table, wrong, "t")
    assert await number(any_store, "SELECT count() FROM events") == 0


# Parameters


HOSTILE = (
    "'; DROP TABLE events; --",
    "\\'; DROP TABLE events; --",
    "{x:String}",
    "\\N",
    "NULL",
    "a\tb\nc\\",
    "%s %(x)s",
    "`",
    '"',
    "",
    "\0",
    "한글'",
)


async def test_a_parameter_stays_a_value(any_store: Store) -> None:
    await any_store.insert("events", rows(len(HOSTILE), user=list(HOSTILE)), "t")
    for hostile in HOSTILE:
        found = await any_store.query("SELECT user, {x:String} AS x FROM events WHERE user = {x:String}", {"x": hostile})
        assert found.to_pylist() == [{"user": hostile, "x": hostile}]
        found = await any_store.query("SELECT user FROM events WHERE has({x:Array(String)}, user)", {"x": [hostile, "no one"]})
        assert found.to_pylist() == [{"user": hostile}]


async def test_any_text_is_a_parameter(bare_store: Store) -> None:
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    loop = asyncio.get_running_loop()

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(text, st.lists(text, max_size=4))
    def check(one: str, many: list[str]) -> None:
        asking = bare_store.query("SELECT {one:String} AS one, {many:Array(String)} AS many", {"one": one, "many": many})
        found = asyncio.run_coroutine_threadsafe(asking, loop).result(DEADLINE)
        assert found.to_pylist() == [{"one": one, "many": many}]

    await asyncio.to_thread(check)


async def test_parameters_of_every_kind(bare_store: Store) -> None:
    at = datetime(2026, 3, 2, 21, 0, 0, 123_000, KST)
    found = await bare_store.query(
        "SELECT {i:UInt64} AS i, {f:Float64} AS f, {b:Bool} AS b, {t:DateTime64(3, 'UTC')} AS t, {a:IPv6} AS a, {n:Array(UInt16)} AS n",
        {"i": 2**64 - 1, "f": 0.1, "b": True, "t": at, "a": ip_address("192.0.2.7"), "n": [1, 2]},
    )
    (row,) = found.to_pylist()
    assert row == {"i": 2**64 - 1, "f": 0.1, "b": True, "t": at, "a": ipv4(192, 0, 2, 7), "n": [1, 2]}


@pytest.mark.parametrize("value", [None, b"bytes", datetime(2026, 1, 1), [[1]], object()])  # noqa: DTZ001 - a naive time is the point
async def test_a_value_without_a_form_is_a_defect(bare_store: Store, value: object) -> None:
    with pytest.raises(TypeError):
        await bare_store.query("SELECT {x:String}", {"x": value})


# Limits and errors


@pytest.mark.parametrize(
    ("sql", "limits"),
    [
        ("SELECT number FROM numbers(101)", Limits(rows=100)),
        ("SELECT sum(sipHash64(number)) FROM numbers(1000000000000)", Limits(seconds=0.3)),
        ("SELECT length(groupArray(toString(number))) FROM numbers(50000000)", Limits(memory_bytes=64 << 20)),
    ],
    ids=["rows", "seconds", "memory"],
)
async def test_a_query_that_takes_too_much_is_stopped(bare_store: Store, sql: str, limits: Limits) -> None:
    with pytest.raises(QueryTooCostly):
        await bare_store.query(sql, limits=limits)
    assert (await bare_store.query("SELECT number FROM numbers(100)", limits=Limits(rows=100))).num_rows == 100


async def test_nothing_of_a_failed_query_is_in_the_next(bare_store: Store) -> None:
    for _ in range(6):
        with pytest.raises(StoreError):
            await bare_store.query("SELECT number, throwIf(number = 200000) FROM numbers(300000)", limits=Limits(rows=10**9))
        assert (await bare_store.query("SELECT 7 AS x")).to_pylist() == [{"x": 7}]


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE events",
        "TRUNCATE TABLE events",
        "INSERT INTO schema_migrations (number, name) SELECT 5, 'x'",
        "CREATE TABLE t (a UInt8) ENGINE = Memory",
    ],
)
async def test_a_query_cannot_write(any_store: Store, sql: str) -> None:
    with pytest.raises(StoreError):
        await any_store.query(sql)
    assert await number(any_store, "SELECT count() FROM schema_migrations") == len(migrations.migrations())


@pytest.mark.parametrize("sql", ["SELECT nothing_like_this", "SELEC 1", "SELECT * FROM no_table", "SELECT throwIf(1)"])
async def test_a_wrong_query_says_so(bare_store: Store, sql: str) -> None:
    with pytest.raises(StoreError) as caught:
        await bare_store.query(sql)
    assert type(caught.value) is StoreError


# Streams


async def test_a_stream_gives_all_rows_in_batches(bare_store: Store) -> None:
    sql = "SELECT number AS n, toString(number) AS s FROM numbers({count:UInt64})"
    batches = [batch async for batch in bare_store.stream(sql, {"count": 300_000}, Limits(rows=10))]
    assert len(batches) > 2
    assert pa.Table.from_batches(batches)["n"].to_pylist() == list(range(300_000))


async def test_a_stream_of_nothing(any_store: Store) -> None:
    assert [batch async for batch in any_store.stream("SELECT * FROM events")] == []


async def test_a_stream_does_not_gather(bare_store: Store) -> None:
    sql = "SELECT repeat(toString(number % 10), 2000) AS text FROM numbers(1000000)"
    first, most, size = _resident(), 0, 0
    async for batch in bare_store.stream(sql):
        size += batch.nbytes
        most = max(most, _resident())
    assert size > 1875 << 20
    assert most - first < size // 4


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_closing_a_stream_cancels_its_query(bare_store: Store) -> None:
    sql = "SELECT 'a long stream' AS x, number FROM numbers(1000000000000)"
    stream = bare_store.stream(sql)
    assert (await anext(stream)).num_rows > 0
    running = "SELECT count() FROM system.processes WHERE query LIKE {marker:String}"
    assert await number(bare_store, running, marker="SELECT 'a long stream'%") == 1
    await stream.aclose()  # type: ignore[attr-defined]
    await becomes(0, lambda: number(bare_store, running, marker="SELECT 'a long stream'%"))


async def test_a_cancelled_consumer_cancels_its_query(bare_store: Store) -> None:
    started = asyncio.Event()

    async def consume() -> None:
        async for _ in bare_store.stream("SELECT 'abandoned' AS x, number FROM numbers(1000000000000)"):
            started.set()

    consumer = asyncio.create_task(consume())
    await asyncio.wait_for(started.wait(), DEADLINE)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    running = "SELECT count() FROM system.processes WHERE query LIKE {marker:String}"
    await becomes(0, lambda: number(bare_store, running, marker="SELECT 'abandoned'%"))


async def test_an_error_in_the_middle_of_a_stream(bare_store: Store) -> None:
    stream = bare_store.stream("SELECT number, throwIf(number = 500000) FROM numbers(1000000) SETTINGS max_threads = 1")
    seen: list[int] = []

    async def consume() -> None:
        async for batch in stream:
            seen.append(batch.num_rows)

    with pytest.raises(StoreError):
        await consume()
    assert 0 < sum(seen) <= 500_000


async def test_a_stream_has_limits(bare_store: Store) -> None:
    with pytest.raises(QueryTooCostly):
        await anext(bare_store.stream("SELECT sum(sipHash64(number)) FROM numbers(1000000000000)", limits=Limits(seconds=0.3)))


# Living together


async def test_reads_go_on_while_rows_are_written(any_store: Store) -> None:
    writing = [any_store.insert("events", rows(1000, raw_offset=i), f"t{i}") for i in range(6)]
    reading = [any_store.query("SELECT count() % 1000 AS torn, count() AS n FROM events") for _ in range(20)]
    results = await asyncio.gather(*writing, *reading)
    assert [table["torn"][0].as_py() for table in results[6:]] == [0] * 20
    assert await number(any_store, "SELECT count() FROM events") == 6_000


async def test_health_names_the_engine(bare_store: Store) -> None:
    health = await bare_store.health()
    assert health.problem == ""
    assert re.search(r"ClickHouse \d+\.\d+", health.engine)


async def test_close_lets_a_running_query_finish_and_ends_streams(any_store: Store) -> None:
    stream = any_store.stream("SELECT number FROM numbers(1000000000000)")
    await anext(stream)
    running = asyncio.create_task(any_store.query("SELECT sleep(0.5) AS slept, 42 AS answer"))
    await becomes(1, lambda: number(any_store, "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleep(0.5)%'"))
    await any_store.close()
    assert (await running)["answer"].to_pylist() == [42]
    with pytest.raises(StoreError, match="closed"):
        await anext(stream)
    with pytest.raises(StoreError, match="closed"):
        await any_store.query("SELECT 1")
    with pytest.raises(StoreError, match="closed"):
        await any_store.insert("events", rows(1), "t")
    assert (await any_store.health()).problem != ""
    await any_store.close()


def test_the_tables_have_no_column_twice() -> None:
    for table in (EVENTS, QUARANTINE, DETECTIONS):
        assert len(set(table.names)) == len(table.names)
