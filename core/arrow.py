"""Arrow tables as message values: one IPC stream, LZ4-compressed buffers."""

from __future__ import annotations

import pyarrow as pa

from core.errors import BadMessage

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def encode(table: pa.Table) -> bytes:
    """The IPC stream of `table`, schema first."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def decode(value: bytes) -> pa.Table:
    """The table of an IPC stream; BadMessage when it is not one."""
    try:
        return pa.ipc.open_stream(value).read_all()
    except (pa.ArrowException, OSError) as error:  # a cut or damaged stream fails as a read
        raise BadMessage(f"a message is not an Arrow stream ({error}); was it written by another program?") from error


def empty(schema: pa.Schema) -> pa.Table:
    """A table of no rows."""
    return schema.empty_table()
