"""A small server that speaks ClickHouse's native protocol and answers with the embedded engine; run as a program.

    python -m tests.servers.clickhouse_native FOLDER PASSWORD PORT [CERTIFICATE KEY]

It prints its port (given, or chosen for 0) and serves on loopback until it is killed; what was inserted stays in FOLDER. Blocks are
read and written by clickhouse-driver's own block streams, with LZ4, so our encoder is read by another program's decoder. Revision
54459 is the first with query parameters. It knows: hello with database, user and password, ping, queries with settings and
parameters, streamed results with cancel, INSERT in blocks, exceptions with their codes. It reports no progress and keeps no sessions.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from chdb.state import sqlitelike
from clickhouse_driver.block import BlockInfo, ColumnOrientedBlock
from clickhouse_driver.bufferedreader import BufferedSocketReader, CompressedBufferedReader
from clickhouse_driver.bufferedwriter import BufferedSocketWriter, CompressedBufferedWriter
from clickhouse_driver.compression.lz4 import Compressor
from clickhouse_driver.protocol import ClientPacketTypes, ServerPacketTypes
from clickhouse_driver.reader import read_binary_str, read_binary_uint8, read_binary_uint64
from clickhouse_driver.streams.compressed import CompressedBlockInputStream, CompressedBlockOutputStream
from clickhouse_driver.streams.native import BlockInputStream, BlockOutputStream
from clickhouse_driver.varint import read_varint, write_varint
from clickhouse_driver.writer import write_binary_int32, write_binary_str, write_binary_uint8

REVISION = 54459
_INSERT = re.compile(r"\s*INSERT\s+INTO\s+(\S+)\s*\((.*)\)\s*VALUES\s*$", re.IGNORECASE | re.DOTALL)
_READS = re.compile(r"\s*(SELECT|WITH)\b", re.IGNORECASE)
_ERROR = re.compile(r"Code: (\d+)\. (.*)", re.DOTALL)
_UNESCAPED = {"b": "\b", "f": "\f", "r": "\r", "n": "\n", "t": "\t", "0": "\0", "a": "\a", "v": "\v"}


def _context(revision: int) -> Any:
    return SimpleNamespace(
        server_info=SimpleNamespace(used_revision=revision, get_timezone=lambda: "UTC"),
        client_settings={"strings_as_bytes": True, "use_numpy": False, "server_side_params": True},
        settings={},
    )


class _Closed(Exception):
    """The client has gone."""


class Conversation:
    """One client."""

    def __init__(self, peer: socket.socket, folder: str, password: str) -> None:
        self._peer = peer
        self._folder = folder
        self._password = password
        self._in = BufferedSocketReader(peer, 1 << 20)
        self._out = BufferedSocketWriter(peer, 1 << 20)
        self._context = _context(REVISION)
        self._plain_out = BlockOutputStream(self._out, self._context)
        self._database = ""

    def serve(self) -> None:
        if not self._hello():
            return
        while True:
            packet = read_varint(self._in)
            if packet == ClientPacketTypes.PING:
                write_varint(ServerPacketTypes.PONG, self._out)
                self._out.flush()
            elif packet == ClientPacketTypes.QUERY:
                self._query()
            elif packet == ClientPacketTypes.DATA:
                self._read_block(compressed=True)  # what a client still sent after its query had failed
            elif packet != ClientPacketTypes.CANCEL:
                raise _Closed

    def _hello(self) -> bool:
        if read_varint(self._in) != ClientPacketTypes.HELLO:
            return False
        read_binary_str(self._in)
        for _ in range(3):
            read_varint(self._in)
        self._database, _user, password = (read_binary_str(self._in) for _ in range(3))
        if password != self._password:
            self._exception("Code: 516. DB::Exception: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)")
            return False
        try:
            self._session().close()
        except RuntimeError as error:
            self._exception(str(error))
            return False
        write_varint(ServerPacketTypes.HELLO, self._out)
        write_binary_str("ClickHouse", self._out)
        for number in (26, 9, REVISION):
            write_varint(number, self._out)
        write_binary_str("UTC", self._out)
        write_binary_str("test", self._out)
        write_varint(1, self._out)
        self._out.flush()
        read_binary_str(self._in)  # the addendum: a quota key
        return True

    def _session(self) -> Any:
        session = sqlitelike.connect(self._folder)
        if self._database:
            quoted = self._database.replace("`", "``")
            session.query(f"USE `{quoted}`", "Null")
        return session

    def _query(self) -> None:
        self._skip_client_info()
        settings = self._settings()
        read_binary_str(self._in)  # interserver secret
        read_varint(self._in)  # stage
        compressed = bool(read_varint(self._in))
        sql = read_binary_str(self._in)
        params = {name: _parameter(value) for name, value in self._settings().items()}
        read_varint(self._in)
        self._read_block(compressed)  # no external tables: one empty block
        blocks_out = CompressedBlockOutputStream(Compressor, 1 << 20, self._out, self._context) if compressed else self._plain_out
        session = self._session()
        try:
            for name, value in settings.items():
                session.query(f"SET {name} = '{value}'", "Null")
            insert = _INSERT.match(sql)
            if insert:
                self._insert(session, sql, insert, blocks_out, compressed)
            elif _READS.match(sql):
                self._select(session, sql, params, blocks_out)
            else:
                session.query(sql, "Null", params=params)
        except RuntimeError as error:
            self._exception(str(error))
        else:
            write_varint(ServerPacketTypes.END_OF_STREAM, self._out)
            self._out.flush()
        finally:
            session.close()

    def _skip_client_info(self) -> None:
        read_binary_str(self._in)  # query id
        read_binary_uint8(self._in)
        for _ in range(3):
            read_binary_str(self._in)
        read_binary_uint64(self._in)
        read_binary_uint8(self._in)
        for _ in range(3):
            read_binary_str(self._in)
        for _ in range(3):
            read_varint(self._in)
        read_binary_str(self._in)
        for _ in range(2):
            read_varint(self._in)
        if read_binary_uint8(self._in):
            raise _Closed  # OpenTelemetry: no test sends it
        for _ in range(3):
            read_varint(self._in)

    def _settings(self) -> dict[str, str]:
        settings: dict[str, str] = {}
        while name := read_binary_str(self._in):
            read_binary_uint8(self._in)
            settings[name] = read_binary_str(self._in)
        return settings

    def _read_block(self, compressed: bool) -> ColumnOrientedBlock:
        read_binary_str(self._in)
        stream = CompressedBlockInputStream if compressed else BlockInputStream
        return stream(self._in, self._context).read()

    def _select(self, session: Any, sql: str, params: dict[str, str], out: BlockOutputStream) -> None:
        described = session.query(f"DESCRIBE ({sql})", "TabSeparatedRaw", params=params).bytes().decode()
        columns = [tuple(line.split("\t")[:2]) for line in described.splitlines()]
        self._header(columns, out)
        result = session.send_query(sql, "Native", params=params)
        try:
            for chunk in result:
                for block in _native_blocks(chunk.bytes()):
                    self._send(block, out)
                if self._cancelled():
                    return
        finally:
            result.cancel()

    def _cancelled(self) -> bool:
        if not select.select([self._peer], [], [], 0)[0]:
            return False
        if read_varint(self._in) != ClientPacketTypes.CANCEL:
            raise _Closed
        return True

    def _insert(self, session: Any, sql: str, insert: re.Match[str], out: BlockOutputStream, compressed: bool) -> None:
        names = [name.strip().strip("`") for name in insert[2].split(",")]
        described = session.query(f"DESCRIBE TABLE {insert[1]}", "TabSeparatedRaw").bytes().decode()
        types = dict(line.split("\t")[:2] for line in described.splitlines())
        self._header([(name, types[name]) for name in names], out)
        inserter = session.send_insert(sql[: insert.end(2) + 1], "Native")
        try:
            while True:
                if read_varint(self._in) != ClientPacketTypes.DATA:
                    raise _Closed
                block = self._read_block(compressed)
                write_varint(ServerPacketTypes.PROFILE_EVENTS, self._out)
                write_binary_str("", self._out)
                self._plain_out.write(ColumnOrientedBlock())
                if not block.num_rows:
                    break
                inserter.append(_native_bytes(block))
            inserter.finish()
        finally:
            inserter.close()

    def _header(self, columns: list[tuple[str, ...]], out: BlockOutputStream) -> None:
        """A block of no rows that names the columns."""
        write_varint(ServerPacketTypes.DATA, self._out)
        write_binary_str("", self._out)
        BlockInfo().write(out.fout)
        write_varint(len(columns), out.fout)
        write_varint(0, out.fout)
        for name, kind in columns:
            write_binary_str(name, out.fout)
            write_binary_str(kind, out.fout)
            write_binary_uint8(0, out.fout)
        out.finalize()

    def _send(self, block: ColumnOrientedBlock, out: BlockOutputStream) -> None:
        write_varint(ServerPacketTypes.DATA, self._out)
        write_binary_str("", self._out)
        out.write(block)

    def _exception(self, text: str) -> None:
        found = _ERROR.search(text)
        write_varint(ServerPacketTypes.EXCEPTION, self._out)
        write_binary_int32(int(found[1]) if found else 1002, self._out)
        for part in ("DB::Exception", found[2] if found else text, "0. (no stack here)"):
            write_binary_str(part, self._out)
        write_binary_uint8(0, self._out)
        self._out.flush()


def _native_blocks(data: bytes) -> Iterator[ColumnOrientedBlock]:
    """The blocks of FORMAT Native, which is the protocol of revision 0."""
    reader = CompressedBufferedReader(iter([data]).__next__, len(data))
    stream = BlockInputStream(reader, _context(0))
    while True:
        try:
            block = stream.read()
        except (EOFError, StopIteration):
            return
        yield ColumnOrientedBlock(block.columns_with_types, [list(column) for column in block.get_columns()])


def _native_bytes(block: ColumnOrientedBlock) -> bytes:
    kept = Compressor()
    out = CompressedBufferedWriter(kept, 1 << 20)
    rewritten = ColumnOrientedBlock(block.columns_with_types, [list(column) for column in block.get_columns()])
    BlockOutputStream(out, _context(0)).write(rewritten)
    return kept.get_value()


def _parameter(dumped: str) -> str:
    """The text of a dumped field: quoted, with escapes."""
    return re.sub(r"\\(.)", lambda found: _UNESCAPED.get(found[1], found[1]), dumped[1:-1], flags=re.DOTALL)


def _converse(peer: socket.socket, folder: str, password: str) -> None:
    try:
        with peer:
            Conversation(peer, folder, password).serve()
    except (_Closed, EOFError, OSError):
        return


def main(folder: str, password: str, port: str, *certificate: str) -> None:
    keep_open = sqlitelike.connect(folder)  # the engine goes down with its last connection
    listener = socket.create_server(("127.0.0.1", int(port)))
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        listener = context.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)
    print(listener.getsockname()[1], flush=True)
    while keep_open:
        peer, _ = listener.accept()
        threading.Thread(target=_converse, args=(peer, folder, password), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
