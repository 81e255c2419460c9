"""The server store against a real server: Debian's ClickHouse 18.16, far too old for our tables but with the same protocol at its core.

As shipped, the store refuses it. With the refusal lifted, and without the one setting of an insert that it does not know, it proves on
a real server: blocks of our encoder with LZ4 and its checksum, one part per insert, results and streams, limits and their errors.
It cannot prove what came later: query parameters, insert tokens, DateTime64, IPv6, our migrations.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from pydantic import SecretStr

from core.errors import QueryTooCostly, StoreError, StoreUnavailable
from core.events import Column, Kind, Table
from core.storage import server, tables
from core.storage.contract import Limits
from core.storage.server import ServerStore
from tests.servers.debian_clickhouse import DebianClickHouse

LINES = Table(
    "lines",
    (
        Column("number", Kind.UINT64, "its place"),
        Column("text", Kind.TEXT, "any text"),
        Column("word", Kind.WORD, "one of few"),
        Column("flag", Kind.UINT8, "a bit"),
        Column("port", Kind.UINT16, "may be missing", nullable=True),
        Column("bytes", Kind.UINT32, "may be missing", nullable=True),
    ),
    order_by="number",
    partition_by="",
)
LARGEST = 2**64 - 1
ROWS = [
    {"number": 0, "text": "", "word": "", "flag": 0, "port": None, "bytes": 0},
    {"number": 1, "text": "방화벽 \\ ' \t\n", "word": "허용", "flag": 255, "port": 0, "bytes": None},
    {"number": 2, "text": "x" * 300, "word": "deny", "flag": 1, "port": 65_535, "bytes": 2**32 - 1},
    {"number": LARGEST, "text": "y" * 70_000, "word": "허용", "flag": 2, "port": 443, "bytes": 1},
]


def lift_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store talk to this server."""
    monkeypatch.setattr(server, "_OLDEST_REVISION", 0)
    monkeypatch.delitem(server._INSERTING, "max_insert_threads")
    monkeypatch.setitem(tables._TABLES, LINES.name, LINES)


@pytest.fixture
async def store(debian_clickhouse: DebianClickHouse, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServerStore]:
    """A store on the server, with the refusal lifted and `LINES` empty."""
    lift_refusal(monkeypatch)
    make_table(debian_clickhouse)
    opened = ServerStore(debian_clickhouse.settings())
    yield opened
    await opened.close()


def make_table(at: DebianClickHouse) -> None:
    columns = ", ".join(f"`{column.name}` {column.clickhouse}" for column in LINES.columns)
    with at.client() as client:
        client.execute(f"DROP TABLE IF EXISTS {LINES.name}")
        client.execute(f"CREATE TABLE {LINES.name} ({columns}) ENGINE = MergeTree ORDER BY number")


async def test_as_shipped_the_store_refuses_a_server_too_old_for_parameters(debian_clickhouse: DebianClickHouse) -> None:
    store = ServerStore(debian_clickhouse.settings())
    with pytest.raises(StoreError, match=r"ClickHouse 18\.16\.1 at .* is too old: .* 54412 .* 54459 .* use a newer server") as caught:
        await store.start()
    assert not isinstance(caught.value, StoreUnavailable)  # trying again does not help
    assert "is too old" in (await store.health()).problem
    with pytest.raises(StoreError, match="is too old"):
        await anext(store.stream("SELECT 1"))
    await store.close()


async def test_health_names_the_server(store: ServerStore, debian_clickhouse: DebianClickHouse) -> None:
    health = await store.health()
    assert (health.problem, health.engine) == ("", f"ClickHouse 18.16.1 at 127.0.0.1:{debian_clickhouse.port}")


async def test_the_server_reads_the_columns_we_encode(store: ServerStore, debian_clickhouse: DebianClickHouse) -> None:
    await store.insert("lines", pa.Table.from_pylist(ROWS, LINES.schema), "t")
    with debian_clickhouse.client() as client:  # what is stored, as the driver alone reads it
        stored, described = client.execute("SELECT * FROM lines ORDER BY number", with_column_types=True)
    assert [dict(zip(LINES.names, row, strict=True)) for row in stored] == ROWS
    assert [spec for _, spec in described] == [column.clickhouse for column in LINES.columns]
    read = await store.query("SELECT * FROM lines ORDER BY number")
    assert read.to_pylist() == ROWS
    assert read.schema.field("port").type == pa.uint16()


@pytest.mark.parametrize("distinct", [1, 256, 257, 65_536])
async def test_dictionaries_of_every_width(store: ServerStore, debian_clickhouse: DebianClickHouse, distinct: int) -> None:
    words = [f"word {number % distinct}" for number in range(65_536)]
    await store.insert("lines", many(65_536).set_column(2, "word", pa.array(words)), "t")
    sql = "SELECT word FROM lines ORDER BY number"
    with debian_clickhouse.client() as client:
        assert client.execute(sql, columnar=True) == [tuple(words)]
    assert (await store.query(sql))["word"].to_pylist() == words


async def test_an_insert_of_many_blocks_is_one_part_and_comes_compressed(store: ServerStore, debian_clickhouse: DebianClickHouse) -> None:
    rows = many(200_000)  # four blocks; the server's own limits would make parts of them
    with debian_clickhouse.client() as client:
        before = events(client)
        await store.insert("lines", rows, "t")
        after = events(client)
        parts = client.execute("SELECT rows, level FROM system.parts WHERE table = 'lines'")
    assert parts == [(200_000, 0)]
    plain = after["CompressedReadBufferBytes"] - before["CompressedReadBufferBytes"]
    packed = after["ReadCompressedBytes"] - before["ReadCompressedBytes"]
    assert plain > sum(len(text) for text in rows["text"].to_pylist()) + 8 * 200_000
    assert 0 < packed < plain / 2


def events(client: object) -> dict[str, int]:
    rows = client.execute("SELECT event, value FROM system.events")  # type: ignore[attr-defined]
    return {"CompressedReadBufferBytes": 0, "ReadCompressedBytes": 0} | dict(rows)


def many(count: int) -> pa.Table:
    return pa.table(
        {
            "number": pa.array(range(count), pa.uint64()),
            "text": pa.array([f"line {number}" for number in range(count)]),
            "word": pa.array(["allow"] * count),
            "flag": pa.array([1] * count, pa.uint8()),
            "port": pa.array([443] * count, pa.uint16()),
            "bytes": pa.array([None] * count, pa.uint32()),
        }
    )


async def test_without_rows_a_result_has_its_columns(store: ServerStore) -> None:
    read = await store.query("SELECT number, text, word, port FROM lines")
    assert read.schema == pa.schema([("number", pa.uint64()), ("text", pa.string()), ("word", pa.string()), ("port", pa.uint16())])
    assert read.num_rows == 0


async def test_types_of_results(store: ServerStore) -> None:
    read = await store.query(
        "SELECT toInt8(-1) AS small, toInt64(-9000000000) AS big, 0.5 AS half, toFloat32(0.25) AS quarter, "
        "[1, 2] AS numbers, ['a', ''] AS words, [[1], []] AS nested, (1, 'x') AS pair, NULL AS nothing, toNullable('n') AS maybe, "
        "toDate('2026-03-02') AS day, toDateTime('2026-03-02 12:00:00', 'UTC') AS noon, IPv6StringToNum('2001:db8::1') AS address"
    )
    (row,) = read.to_pylist()
    assert row == {
        "small": -1,
        "big": -9_000_000_000,
        "half": 0.5,
        "quarter": 0.25,
        "numbers": [1, 2],
        "words": ["a", ""],
        "nested": [[1], []],
        "pair": {"1": 1, "2": "x"},
        "nothing": None,
        "maybe": "n",
        "day": date(2026, 3, 2),
        "noon": datetime(2026, 3, 2, 12, tzinfo=UTC),
        "address": bytes.fromhex("20010db8000000000000000000000001"),
    }


async def test_a_stream_comes_in_blocks(store: ServerStore) -> None:
    sizes, total = [], 0
    async for batch in store.stream("SELECT number, toString(number) AS text FROM numbers(100000)"):
        sizes.append(batch.num_rows)
        total += sum(batch["number"].to_pylist())
    assert max(sizes) <= 8192
    assert (sum(sizes), total) == (100_000, 99_999 * 100_000 // 2)


async def test_closing_a_stream_ends_its_query_on_the_server(store: ServerStore, debian_clickhouse: DebianClickHouse) -> None:
    stream = store.stream("SELECT number AS endless FROM system.numbers")
    await anext(stream)
    running = "SELECT count() FROM system.processes WHERE query LIKE '%AS endless FROM%' AND query NOT LIKE '%processes%'"
    with debian_clickhouse.client() as client:
        assert client.execute(running) == [(1,)]
        await stream.aclose()
        deadline = time.monotonic() + 30
        while client.execute(running) != [(0,)]:
            assert time.monotonic() < deadline, "the query goes on"
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("sql", "limits"),
    [
        ("SELECT count() FROM system.numbers", Limits(seconds=1)),
        ("SELECT number FROM numbers(1000000)", Limits(rows=10)),
        ("SELECT uniqExact(number) FROM numbers(10000000)", Limits(memory_bytes=10_000_000)),
    ],
    ids=["time", "rows", "memory"],
)
async def test_a_query_that_passes_a_limit(store: ServerStore, sql: str, limits: Limits) -> None:
    with pytest.raises(QueryTooCostly):
        await store.query(sql, limits=limits)
    assert (await store.query("SELECT 1 AS n"))["n"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT missing FROM lines", "missing"),
        ("SELEC", "Syntax error"),
        ("INSERT INTO lines (number) SELECT 1", "readonly"),
        ("DROP TABLE lines", "readonly"),
    ],
)
async def test_an_error_is_told_in_the_servers_words(store: ServerStore, sql: str, told: str) -> None:
    with pytest.raises(StoreError, match=told) as caught:
        await store.query(sql)
    assert type(caught.value) is StoreError
    assert "Stack trace" not in str(caught.value)
    assert (await store.query("SELECT count() AS n FROM lines"))["n"].to_pylist() == [0]


@pytest.mark.parametrize("count", [10, 1_000_000], ids=["one block", "many blocks"])
async def test_a_block_the_server_cannot_read_stores_nothing(
    store: ServerStore, debian_clickhouse: DebianClickHouse, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """It fails at the first block while the others are on their way; that is no reason to send them again."""
    addresses = Table("lines", (Column("address", Kind.IP, "of a type unknown in 2018"),), order_by="address", partition_by="")
    monkeypatch.setitem(tables._TABLES, "lines", addresses)
    with debian_clickhouse.client() as client:
        client.execute("DROP TABLE lines")
        client.execute("CREATE TABLE lines (address FixedString(16)) ENGINE = MergeTree ORDER BY address")
    with pytest.raises(StoreError, match="Unknown data type family: IPv6") as caught:
        await store.insert("lines", pa.table({"address": pa.array([bytes(16)] * count, pa.binary(16))}), "t")
    assert not isinstance(caught.value, StoreUnavailable)
    assert (await store.query("SELECT count() AS n FROM lines"))["n"].to_pylist() == [0]


async def test_a_setting_the_server_does_not_know_refuses_the_insert(store: ServerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(server._INSERTING, "max_insert_threads", 1)
    with pytest.raises(StoreError, match="Unknown setting max_insert_threads"):
        await store.insert("lines", many(10), "t")
    assert (await store.query("SELECT count() AS n FROM lines"))["n"].to_pylist() == [0]


async def test_a_server_that_was_killed_and_came_back(own_debian_clickhouse: DebianClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    lift_refusal(monkeypatch)
    make_table(own_debian_clickhouse)
    store = ServerStore(own_debian_clickhouse.settings())
    await store.insert("lines", many(5), "before")
    stream = store.stream("SELECT number FROM system.numbers")
    await anext(stream)
    own_debian_clickhouse.stop()
    for call in (store.query("SELECT 1"), store.insert("lines", many(5), "while away"), drain(stream)):
        with pytest.raises(StoreUnavailable):
            await call
    assert (await store.health()).problem != ""
    own_debian_clickhouse.start()
    await store.insert("lines", many(7), "after")
    assert (await store.query("SELECT count() AS n FROM lines"))["n"].to_pylist() == [12]
    assert (await store.health()).problem == ""
    await store.close()


async def drain(stream: object) -> None:
    async for _ in stream:  # type: ignore[attr-defined]
        pass


async def test_a_wrong_password_is_told_without_the_password(store: ServerStore, debian_clickhouse: DebianClickHouse) -> None:
    settings = debian_clickhouse.settings()
    stranger = ServerStore(settings.model_copy(update={"password": SecretStr("a guess")}))
    with pytest.raises(StoreError, match="Wrong password") as caught:
        await stranger.query("SELECT 1")
    assert "a guess" not in str(caught.value)
    await stranger.close()
