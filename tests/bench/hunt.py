"""How fast a hunt goes, beside the same predicate written by hand in SQL: `python -m tests.bench.hunt --events N [--json]`.

Makes N events in a store of its own, lets the engine merge them, and hunts three rules through the runner as the API does, each alone: a
literal in a URL, a network and a port, a keyword over the whole line. Told for each: seconds of the hunt (planning, counting, detections on
the bus and the progress written down), of the same condition by hand (`SELECT count()`, and `SELECT *` of at most 10,000 rows in order of
time), all as the best of some runs, and the ratios of the hunt to them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.bus.embedded import EmbeddedBus
from core.clock import SystemClock
from core.database import Database
from core.engine import Engine
from core.storage.contract import Limits
from core.storage.embedded import EmbeddedStore
from detect import rules
from detect.hunt import requests
from detect.hunt.plan import estimate
from detect.hunt.requests import State, Wish
from detect.hunt.runner import HuntRunner
from detect.hunt.search import Search
from detect.hunt.statements import Reach
from detect.rule_files import RuleFiles, RuleLibrary
from tests.bench.made_events import fill

SINCE = datetime(2026, 5, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=2)
TIME = "event_time >= '2026-05-01 00:00:00' AND event_time < '2026-05-03 00:00:00'"
LIMITS = Limits(seconds=3600, rows=1_000_000, memory_bytes=8 << 30)


@dataclass(frozen=True)
class Case:
    """A rule, and its condition as a person would write it."""

    name: str
    category: str
    detection: str
    by_hand: str


CASES = (
    Case(
        "literal in url",
        "web_traffic",
        "{s: {url|contains: 'union%20select'}, condition: s}",
        "log_class IN ('web', 'waf', 'proxy', 'ips') AND positionCaseInsensitiveUTF8(url, 'union%20select') > 0",
    ),
    Case(
        "network and port",
        "firewall",
        "{s: {src_ip|cidr: 198.51.100.0/24, dst_port: 3389}, condition: s}",
        "log_class = 'firewall' AND dst_port = 3389 AND src_ip BETWEEN toIPv6('198.51.100.0') AND toIPv6('198.51.100.255')",
    ),
    Case(
        "keyword in line",
        "firewall",
        "{s: [TeamViewer], condition: s}",
        "log_class = 'firewall' AND positionCaseInsensitiveUTF8(raw, 'teamviewer') > 0",
    ),
)


async def timed(runs: int, work: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    """Seconds of the fastest of `runs`, and what the last gave."""
    best, given = float("inf"), None
    for _ in range(runs):
        began = time.perf_counter()
        given = await work()
        best = min(best, time.perf_counter() - began)
    return best, given


async def measure(case: Case, parts: tuple[EmbeddedStore, EmbeddedBus, Database, Engine], runs: int) -> dict[str, Any]:
    store, bus, database, engine = parts
    text = f"title: {case.name}\nid: r\nlogsource: {{category: {case.category}}}\ndetection: {case.detection}\n"
    book = rules.parse(text, case.name, strict=False)
    library = RuleLibrary(RuleFiles((), lambda: book))
    history = timedelta(days=30)
    runner = HuntRunner(store, bus, database, SystemClock(), library, engine, history=history, busy=lambda: False, holder="bench")
    wish = Wish(SINCE, UNTIL, None, ["r"])

    async def hunt() -> Any:
        with database.session() as session:
            hunt_id = requests.ask(session, wish, requests.chosen(book, wish).every, "bench").id
        while await runner.step():
            pass
        with database.session(readonly=True) as session:
            done = requests.get(session, None, hunt_id)
        assert done.state == State.DONE, done.problem
        return done

    async def by_hand(select: str, order: str = "") -> Any:
        return await store.query(f"SELECT {select} FROM events WHERE {TIME} AND {case.by_hand}{order}", None, LIMITS)

    compiled = requests.compiled(book.rules)
    cost = await estimate(store, Search(store, compiled), Reach(SINCE, UNTIL, None))
    counting, counted = await timed(runs, lambda: by_hand("count() AS n"))
    selecting, _ = await timed(runs, lambda: by_hand("*", " ORDER BY event_time LIMIT 10000"))
    hunting, done = await timed(runs, hunt)
    matches = sum(one["count"] for one in done.found.get("r", {}).values())
    assert matches == counted["n"][0].as_py(), "the hunt and the hand disagree"
    return {
        "case": case.name,
        "matches": matches,
        "slices": len(done.slices),
        "estimated_seconds": round(cost.seconds, 3),
        "hunt_seconds": round(hunting, 3),
        "events_per_second": round(done.rows_total / hunting),
        "count_by_hand_seconds": round(counting, 3),
        "select_by_hand_seconds": round(selecting, 3),
        "ratio_to_count": round(hunting / counting, 2),
        "ratio_to_select": round(hunting / selecting, 2),
    }


async def bench(folder: Path, events: int, runs: int) -> list[dict[str, Any]]:
    engine = Engine(folder / "store")
    session = engine.session()
    began = time.perf_counter()
    fill(session, events, SINCE, UNTIL)
    session.run("OPTIMIZE TABLE events")
    size = session.arrow(
        "SELECT sum(bytes_on_disk) AS n, count() AS parts FROM system.parts WHERE active AND table = 'events'"
    ).to_pylist()[0]
    session.close()
    made = {"case": "making the events", "events": events, "seconds": round(time.perf_counter() - began, 1), **size}
    store = EmbeddedStore(engine)
    await store.start()
    clock = SystemClock()
    bus = EmbeddedBus(folder / "bus.db", partitions=1, max_backlog_bytes=8 << 30, min_free_disk_bytes=0, clock=clock)
    await bus.start()
    database = Database(f"sqlite:///{folder}/bench.db", clock)
    await asyncio.to_thread(database.migrate)
    database.start()
    try:
        return [made, *[await measure(case, (store, bus, database, engine), runs) for case in CASES]]
    finally:
        database.close()
        await bus.close()
        await store.close()
        engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="Where to put the store; default: a temporary folder. Some 60 bytes an event.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bongsu-hunt-", dir=options.folder))
    try:
        results = asyncio.run(bench(folder, options.events, options.runs))
    finally:
        shutil.rmtree(folder)
    if options.json:
        print(json.dumps(results))
        return
    for result in results:
        print(
            ", ".join(
                f"{name.replace('_', ' ')} {value:,}" if isinstance(value, int) else f"{name.replace('_', ' ')} {value}"
                for name, value in result.items()
            )
        )


if __name__ == "__main__":
    main()
