"""What a hunt will cost, and how it is cut: its rows are counted, and its rules tried on the newest of them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from core.clock import from_millis
from core.storage.contract import Store
from detect.hunt import slices, statements
from detect.hunt.search import Search
from detect.hunt.slices import Density, Slice
from detect.hunt.statements import Reach

PROBED_ROWS: Final = 500_000
FEWEST_ROWS: Final = 200_000
MOST_ROWS: Final = 64_000_000
_FIRST_ROWS: Final = 1_000_000
_SLICE_SECONDS: Final = 5.0
_LEAST_SECONDS: Final = 1e-3
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Estimate:
    """`rows` to look at, `bytes` of their columns the rules read (not compressed), and the seconds that takes while nothing else runs."""

    rows: int
    bytes: int
    seconds: float


async def estimate(store: Store, search: Search, reach: Reach) -> Estimate:
    """The cost of `search` over `reach`. StoreError as the store raises it."""
    found = await slices.density(store, reach)
    if not found.total:
        return Estimate(0, 0, 0.0)
    probe = _newest(found, reach)
    params = probe.where().params
    alike = Counter(statements.size(one, probe) for one in search.compiled)
    size = sum([rules * int((await store.query(sql, params))["bytes"][0].as_py() or 0) for sql, rules in alike.items()])
    rows = await _rows(store, probe)
    fixed, seconds = await _seconds(search, probe)
    share = found.total / max(rows, 1)
    return Estimate(found.total, round(size * share), fixed + seconds * share)


async def plan(store: Store, search: Search, reach: Reach) -> list[Slice]:
    """Slices that take about five seconds each, so that progress is true and a cancel is quick.

    The first one is smaller: a rule that matches often has its earliest events from it, and is only counted in the others.
    """
    found = await slices.density(store, reach)
    if found.total <= FEWEST_ROWS:
        return slices.cut(found, reach.since, reach.until, FEWEST_ROWS, FEWEST_ROWS)
    probe = _newest(found, reach)
    _, seconds = await _seconds(search, probe)
    speed = await _rows(store, probe) / seconds
    rows = min(max(round(speed * _SLICE_SECONDS), FEWEST_ROWS), MOST_ROWS)
    return slices.cut(found, reach.since, reach.until, rows, min(rows, _FIRST_ROWS))


def _newest(found: Density, reach: Reach) -> Reach:
    return reach.within(max(from_millis(found.newest(PROBED_ROWS)), reach.since), reach.until)


async def _rows(store: Store, reach: Reach) -> int:
    where = reach.where()
    return int((await store.query(f"SELECT count() AS rows FROM events WHERE {where.sql}", where.params))["rows"][0].as_py())


async def _seconds(search: Search, probe: Reach) -> tuple[float, float]:
    """What asking takes whatever the rows, and what the rows of `probe` take more."""
    fixed = await _timed(search, probe.within(probe.since, probe.since + _MILLISECOND))
    return fixed, max(await _timed(search, probe) - fixed, _LEAST_SECONDS)


async def _timed(search: Search, reach: Reach) -> float:
    began = time.perf_counter()
    await search.tallies(reach, 1)
    return time.perf_counter() - began
