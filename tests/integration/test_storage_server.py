"""The server store alone: its wire, and a server that goes away, comes back, refuses or is not what it says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.config import ClickHouseSettings
from core.errors import StoreError, StoreUnavailable
from core.storage.server import ServerStore
from tests.rows import rows
from tests.servers.certificates import Authority
from tests.servers.clickhouse import ClickHouseServer

COUNT = "SELECT count() AS n FROM events"


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ClickHouseServer]:
    """A server of the test's own, to be killed."""
    server = ClickHouseServer(tmp_path / "data")
    server.start()
    yield server
    server.stop()


async def test_a_server_that_went_away_and_came_back(own_server: ClickHouseServer) -> None:
    store = ServerStore(own_server.settings("bongsu"))
    await store.start()
    await store.migrate()
    await store.insert("events", rows(5), "before")
    stream = store.stream("SELECT number FROM numbers(1000000000000)")
    await anext(stream)
    port = own_server.port
    own_server.stop()
    for call in (store.query(COUNT), store.insert("events", rows(5, raw_offset=1), "while away"), _drain(stream)):
        with pytest.raises(StoreUnavailable):
            await call
    assert (await store.health()).problem != ""
    own_server.start(port)
    await store.insert("events", rows(5, raw_offset=1), "while away")
    assert (await store.query(COUNT))["n"].to_pylist() == [10]
    assert (await store.health()).problem == ""
    await store.close()


async def _drain(stream: object) -> None:
    async for _ in stream:  # type: ignore[attr-defined]
        pass


async def test_a_server_that_is_not_there(unused_port: int) -> None:
    store = ServerStore(ClickHouseSettings(host="127.0.0.1", port=unused_port))
    with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{unused_port}"):
        await store.start()
    await store.close()


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def test_something_else_on_the_port_is_no_store() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        store = ServerStore(ClickHouseSettings(host="127.0.0.1", port=server.sockets[0].getsockname()[1]))
        with pytest.raises(StoreError):
            await store.start()
        await store.close()


async def test_a_wrong_password_is_told_without_the_password(clickhouse_server: ClickHouseServer) -> None:
    settings = clickhouse_server.settings("test").model_copy(update={"password": SecretStr("a guess")})
    store = ServerStore(settings)
    with pytest.raises(StoreError, match="Authentication failed") as caught:
        await store.start()
    assert "a guess" not in str(caught.value)
    await store.close()


async def test_a_database_with_a_strange_name(clickhouse_server: ClickHouseServer) -> None:
    store = ServerStore(clickhouse_server.settings("it's a `base`"))
    await store.start()
    await store.migrate()
    await store.insert("events", rows(1), "t")
    assert (await store.query(COUNT))["n"].to_pylist() == [1]
    await store.close()


async def test_tls_with_the_servers_own_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    server = ClickHouseServer(tmp_path / "data", authority.issue("127.0.0.1"))
    server.start()
    try:
        settings = server.settings("bongsu").model_copy(update={"secure": True, "ca_file": authority.file})
        store = ServerStore(settings)
        await store.start()
        await store.migrate()
        await store.insert("events", rows(3), "t")
        assert (await store.query(COUNT))["n"].to_pylist() == [3]
        await store.close()
        stranger = Authority(tmp_path / "stranger", "another authority")
        store = ServerStore(settings.model_copy(update={"ca_file": stranger.file}))
        with pytest.raises(StoreUnavailable, match="certificate"):
            await store.start()
        await store.close()
    finally:
        server.stop()


async def test_columns_that_only_the_driver_can_read(clickhouse_server: ClickHouseServer) -> None:
    store = ServerStore(clickhouse_server.settings("test"))
    await store.start()
    found = await store.query(
        "SELECT [toIPv6('2001:db8::1'), toIPv6('::')] AS addresses, ['a', ''] AS words, (1, 'x') AS pair, "
        "toDate('2026-03-02') AS day, toNullable(toLowCardinality('w')) AS word, [[1], []] AS nested, NULL AS nothing"
    )
    (row,) = found.to_pylist()
    assert row["addresses"] == [bytes.fromhex("20010db8000000000000000000000001"), bytes(16)]
    assert (row["words"], row["word"], row["nested"], row["nothing"]) == (["a", ""], "w", [[1], []], None)
    assert row["pair"] == {"1": 1, "2": "x"}
    assert row["day"].isoformat() == "2026-03-02"
    await store.close()
