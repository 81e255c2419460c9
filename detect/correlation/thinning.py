"""Fewer rows of noisy members, without a change to what fires.

Where a condition only has lower bounds on a count, of the matches of one message, key and second only the first and the last few are
needed; in place of a second it may be any stretch up to the timespan at whose multiples buckets begin, such as the timespan itself. Let
`few` be 1 for the types that ask what is there at all (value_count: per value; temporal: per member) and the bound for event_count, and
let rows in the middle of a group be left out:
- A window, which is at least as long as a second, cannot begin and end inside the same second. So it holds an end of each group it
  touches: as many of its rows as before, or at least `few`. The condition holds over it if it held before.
- A row in the middle is never the first that completes in its bucket: the last of the first `few` of its group has completed before, in
  the same second and so in the same bucket, as buckets begin at whole seconds.
So the first completing match of every bucket stays and still completes, and nothing completes that did not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from detect.correlation.definition import Bound, Correlation, Kind
from detect.tree import AllOf, AnyOf, Negation, Node

Ints = npt.NDArray[np.int64]


def thinned(rows: pa.Table, correlations: Mapping[str, Correlation]) -> pa.Table:
    """`rows` (of ROWS, of rules, in the order of the events) of one message that are needed; `stands_for` counts those left out."""
    hashes = pc.unique(rows["correlation"]).to_pylist()
    parts = [of_one(correlations[one], rows.filter(pc.equal(rows["correlation"], one))) for one in hashes]
    return pa.concat_tables(parts) if parts else rows


def of_one(correlation: Correlation, rows: pa.Table, stretch_ms: int = 1000) -> pa.Table:
    """Those of `rows`, which are of one correlation, that are needed. `stretch_ms`: a divisor of its timespan."""
    said = _codes(rows["text"]) if correlation.kind is Kind.VALUE_COUNT else rows["member"].to_numpy().astype(np.int64)
    times = _times(rows["event_time"]), _times(rows["received_at"])
    needed = of_codes(correlation, _codes(rows["group_key"]), said, times, rows["stands_for"].to_numpy(), stretch_ms)
    if needed is None:
        return rows
    place = rows.schema.get_field_index("stands_for")
    counted = rows.set_column(place, rows.schema.field(place), pa.array(needed.stands_for, pa.uint32()))
    return counted.filter(pa.array(needed.kept))


@dataclass(frozen=True, slots=True)
class Needed:
    """For each row whether it is `kept`, and how many it stands for."""

    kept: npt.NDArray[np.bool_]
    stands_for: Ints


def of_codes(
    correlation: Correlation,
    keys: Ints,
    said: Ints,
    times: tuple[Ints, Ints],
    stands_for: npt.NDArray[Any],
    stretch_ms: int = 1000,
) -> Needed | None:
    """Which matches of one correlation are needed; None: all, as they are.

    `keys` are equal where the keys are; so is `said` for the texts of a value_count, of others it is the member. `times`: of the event and
    of its receipt, milliseconds.
    """
    few = _few(correlation)
    if not few or len(keys) <= 2 * few:
        return None
    at, received = times
    parts = [keys, at // stretch_ms] if correlation.kind is Kind.EVENT_COUNT else [keys, at // stretch_ms, said]
    order = np.lexsort((received, at, *parts))
    changes = np.logical_or.reduce([part[order][1:] != part[order][:-1] for part in parts])
    starts = np.flatnonzero(np.r_[True, changes])
    sizes = np.diff(np.r_[starts, len(order)])
    if sizes.max() <= 2 * few:
        return None
    rank = np.arange(len(order)) - np.repeat(starts, sizes)
    size = np.repeat(sizes, sizes)
    kept = (rank < few) | (rank >= size - few)
    counts = stands_for[order].astype(np.int64)
    left_out = np.add.reduceat(np.where(kept, 0, counts), starts)
    counts += np.where(rank == size - 1, np.repeat(left_out, sizes), 0)
    return Needed(_back(kept, order), _back(counts, order))


def _few(correlation: Correlation) -> int:
    """How many rows of each end of a group are kept; 0: all rows."""
    if not all(bound.relation in (">", ">=") for bound in correlation.bounds):
        return 0
    match correlation.kind:
        case Kind.EVENT_COUNT:
            return max(1, *(least(bound) for bound in correlation.bounds))
        case Kind.VALUE_COUNT:
            return 1
        case Kind.TEMPORAL:
            return 0 if correlation.condition is not None and _negates(correlation.condition) else 1
        case _:
            return 0


def least(bound: Bound) -> int:
    """The lowest whole number within a lower bound."""
    return ceil(bound.value) if bound.relation == ">=" else floor(bound.value) + 1


def _negates(node: Node) -> bool:
    match node:
        case Negation():
            return True
        case AllOf(nodes) | AnyOf(nodes):
            return any(_negates(child) for child in nodes)
        case _:
            return False


def _codes(column: pa.ChunkedArray) -> Ints:
    return column.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)  # type: ignore[no-any-return]


def _times(column: pa.ChunkedArray) -> Ints:
    return column.cast(pa.int64()).to_numpy()  # type: ignore[no-any-return]


def _back(values: npt.NDArray[Any], order: Ints) -> npt.NDArray[Any]:
    """`values`, which are in `order`, in the order of the rows."""
    back = np.empty_like(values)
    back[order] = values
    return back
