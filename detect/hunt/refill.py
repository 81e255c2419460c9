"""What the stream missed, for correlations: the matches of what they are made of, handed to the correlate stage.

That stage judges them with what it has of their keys, as it does with late events: so a window that began before the gap and ends in it, or
behind it, is whole, and what has fired already does not fire again. A match has the place of the search's order (`core.topics`), as a
firing has; the event it is of stands in `event`. What the stage has already is not handed over again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.bus.contract import Message
from core.events import POSITION
from core.storage import correlation_queries as queries
from core.storage.contract import Store
from detect.correlation.definition import Correlation
from detect.correlation.firing import event_ids
from detect.correlation.members import ROWS
from detect.correlation.telling import to_shards
from detect.correlation.thinning import thinned
from detect.hunt import findings
from detect.hunt.findings import Maker


async def messages(
    store: Store, portions: AsyncIterator[pa.Table], correlations: dict[str, Correlation], maker: Maker, slice_number: int, shards: int
) -> AsyncIterator[list[Message]]:
    """The messages to the `shards` partitions of the topic `matches`, those of one offset of `maker`'s order at a time.

    `portions` are matches (of ROWS) in order; `correlations` those they count for, by hash. StoreError as the store raises it.
    """
    number = 0
    async for rows in portions:
        fewer = await asyncio.to_thread(thinned, rows, correlations)
        for part in findings.portions(fewer):
            offset = findings.offset(slice_number, number)
            number += 1
            if (new := await _unknown(store, part)).num_rows:
                yield await asyncio.to_thread(to_shards, _placed(new, maker, offset), shards)


async def _unknown(store: Store, rows: pa.Table) -> pa.Table:
    """The matches the correlate stage has not got."""
    low, high = pc.min_max(rows["received_at"].cast(pa.int64())).as_py().values()
    ids = event_ids(rows)
    known = await queries.known(store, pc.unique(rows["correlation"]).to_pylist(), low, high, ids)
    each = zip(*(rows[name].to_pylist() for name in ("correlation", "group_key", "member")), ids, strict=True)
    return rows.filter(pa.array([one not in known for one in each], pa.bool_()))


def _placed(rows: pa.Table, maker: Maker, offset: int) -> pa.Table:
    """`rows` at `offset` of the maker's order, with the names of their events."""
    said = {"raw_epoch": maker.epoch, "raw_partition": 0, "raw_offset": offset}
    columns = {name: pa.repeat(pa.scalar(value, ROWS.field(name).type), rows.num_rows) for name, value in said.items()}
    columns[POSITION[-1].name] = pa.array(np.arange(rows.num_rows), pa.uint32())
    columns["event"] = pa.array(event_ids(rows), pa.string())
    return pa.table([columns[name] if name in columns else rows[name] for name in ROWS.names], schema=ROWS)
