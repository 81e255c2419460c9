"""How fast a hunt goes, beside the same predicate written by hand in SQL: `python -m tests.bench.hunt --events N [--folder F] [--json]`.

Makes N events in a store of its own (some 50 bytes each on disk), or takes those of `--folder` when it holds as many. Hunts each set of
rules through the runner as the API does: planning, searching slice by slice, detections durable on the bus, progress written down. By
hand are the same rules as `SELECT count()`, and as `SELECT *` of at most 10,000 events in order of time. The three run in turn, so that
what else the machine does meets all of them; told are wall and CPU seconds of the fastest run of each, and the ratios of the hunt to the
two. The engine forgets before each run which granules a condition was found not to hold in: a second run would ask nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from core.bus.embedded import EmbeddedBus
from core.clock import SystemClock
from core.database import Database
from core.engine import Engine, Session
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
_WEB: Final = "log_class IN ('web', 'waf', 'proxy', 'ips')"
_WORDS: Final = (
    *("union%20select", "etc/passwd", "<script", "wp-login", "phpmyadmin", "cmd.exe", "xp_cmdshell", "%00", "../..", "eval("),
    *("base64_decode", "jndi:", "struts", "actuator", "solr/admin", ".git/config", ".env", "webshell", "sleep(", "benchmark("),
)


@dataclass(frozen=True)
class Case:
    """Rules by their detections, all for one category, and beside each what a person would write."""

    name: str
    category: str
    detections: tuple[tuple[str, str], ...]

    def text(self) -> str:
        """The rules as Sigma."""
        return "---\n".join(
            f"title: {self.name} {place}\nid: r{place}\nlogsource: {{category: {self.category}}}\ndetection: {detection}\n"
            for place, (detection, _) in enumerate(self.detections)
        )

    @property
    def counts(self) -> str:
        """How often each condition holds, by hand."""
        first, *others = (by_hand for _, by_hand in self.detections)
        if not others:
            return f"SELECT [count()] AS n FROM events WHERE {TIME} AND {first}"
        each = ", ".join(f"countIf({one.removeprefix(f'{_WEB} AND ')})" for one in (first, *others))
        return f"SELECT [{each}] AS n FROM events WHERE {TIME} AND {_WEB}"

    @property
    def events(self) -> str:
        """The events any condition holds for, by hand."""
        held = " OR ".join(f"({by_hand})" for _, by_hand in self.detections)
        return f"SELECT * FROM events WHERE {TIME} AND ({held}) ORDER BY event_time LIMIT 10000"


def _in_url(word: str) -> tuple[str, str]:
    return f"{{s: {{url|contains: '{word}'}}, condition: s}}", f"{_WEB} AND positionCaseInsensitiveUTF8(url, '{word}') > 0"


CASES = (
    Case(
        "equality",
        "firewall",
        (("{s: {src_ip: 198.51.100.77}, condition: s}", "log_class = 'firewall' AND src_ip = toIPv6('198.51.100.77')"),),
    ),
    Case("literal in url", "web_traffic", (_in_url(_WORDS[0]),)),
    Case(
        "network",
        "firewall",
        (
            (
                "{s: {src_ip|cidr: 198.51.100.0/24}, condition: s}",
                "log_class = 'firewall' AND src_ip BETWEEN toIPv6('198.51.100.0') AND toIPv6('198.51.100.255')",
            ),
        ),
    ),
    Case(
        "network and port",
        "firewall",
        (
            (
                "{s: {src_ip|cidr: 198.51.100.0/24, dst_port: 3389}, condition: s}",
                "log_class = 'firewall' AND dst_port = 3389 AND src_ip BETWEEN toIPv6('198.51.100.0') AND toIPv6('198.51.100.255')",
            ),
        ),
    ),
    Case("one event in eight", "firewall", (("{s: {dst_port: 3389}, condition: s}", "log_class = 'firewall' AND dst_port = 3389"),)),
    Case(
        "keyword in line",
        "firewall",
        (("{s: [TeamViewer], condition: s}", "log_class = 'firewall' AND positionCaseInsensitiveUTF8(raw, 'teamviewer') > 0"),),
    ),
    Case("20 literals in url", "web_traffic", tuple(map(_in_url, _WORDS))),
)


@dataclass
class Fastest:
    """Wall and CPU seconds of the fastest run."""

    wall: float = float("inf")
    cpu: float = float("inf")

    async def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """What `work` gives."""
        wall, cpu = time.perf_counter(), time.process_time()
        given = await work()
        self.wall = min(self.wall, time.perf_counter() - wall)
        self.cpu = min(self.cpu, time.process_time() - cpu)
        return given


@dataclass(frozen=True)
class Ground:
    """What is measured on."""

    store: EmbeddedStore
    bus: EmbeddedBus
    database: Database
    engine: Engine
    session: Session

    def forget(self) -> None:
        """Let the engine forget which granules hold nothing of a condition."""
        self.session.run("SYSTEM DROP QUERY CONDITION CACHE")

    async def ask(self, sql: str) -> Any:
        """The rows of a statement written by hand."""
        return await self.store.query(sql, None, LIMITS)


async def measure(case: Case, ground: Ground, runs: int) -> dict[str, Any]:
    book = rules.parse(case.text(), case.name, strict=False)
    library = RuleLibrary(RuleFiles((), lambda _texts: book))
    clock, history = SystemClock(), timedelta(days=30)
    runner = HuntRunner(
        ground.store, ground.bus, ground.database, clock, library, ground.engine, history=history, busy=lambda: False, holder="bench"
    )
    wish = Wish(SINCE, UNTIL, None, [rule.id for rule in book.rules])

    async def hunt() -> Any:
        with ground.database.session() as session:
            hunt_id = requests.ask(session, wish, requests.chosen(book, wish).every, "bench").id
        while await runner.step():
            pass
        with ground.database.session(readonly=True) as session:
            done = requests.get(session, None, hunt_id)
        assert done.state == State.DONE, done.problem
        return done

    cost = await estimate(ground.store, Search(ground.store, requests.compiled(book.rules)), Reach(SINCE, UNTIL, None))
    counting, selecting, hunting = Fastest(), Fastest(), Fastest()
    for _ in range(runs):
        ground.forget()
        counted = await counting.run(lambda: ground.ask(case.counts))
        ground.forget()
        await selecting.run(lambda: ground.ask(case.events))
        ground.forget()
        done = await hunting.run(hunt)
    matches = [sum(one["count"] for one in done.found.get(rule.id, {}).values()) for rule in book.rules]
    assert matches == counted["n"][0].as_py(), "the hunt and the hand disagree"
    return {
        "case": case.name,
        "matches": sum(matches),
        "slices": len(done.slices),
        "estimated_seconds": round(cost.seconds, 2),
        "events_per_second": round(done.rows_total / hunting.wall),
        "hunt_seconds": [round(hunting.wall, 2), round(hunting.cpu, 2)],
        "count_by_hand_seconds": [round(counting.wall, 2), round(counting.cpu, 2)],
        "select_by_hand_seconds": [round(selecting.wall, 2), round(selecting.cpu, 2)],
        "ratio_to_count": [round(hunting.wall / counting.wall, 2), round(hunting.cpu / counting.cpu, 2)],
        "ratio_to_select": [round(hunting.wall / selecting.wall, 2), round(hunting.cpu / selecting.cpu, 2)],
    }


def made(session: Session, events: int) -> dict[str, Any]:
    """The events, made now unless they are there."""
    began = time.perf_counter()
    if "events" not in session.arrow("SHOW TABLES")["name"].to_pylist():
        fill(session, events, SINCE, UNTIL)
        while session.arrow("SELECT count() AS n FROM system.merges")["n"][0].as_py():
            time.sleep(1)
    parts = "SELECT sum(rows) AS events, sum(bytes_on_disk) AS bytes, count() AS parts FROM system.parts WHERE active AND table = 'events'"
    there: dict[str, Any] = session.arrow(parts).to_pylist()[0]
    if there["events"] != events:
        raise SystemExit(f"the folder holds {there['events']:,} events, not {events:,}: name another one")
    return {"case": "making the events", **there, "seconds": round(time.perf_counter() - began, 1)}


@contextmanager
def session_of(engine: Engine) -> Iterator[Session]:
    session = engine.session()
    try:
        yield session
    finally:
        session.close()


async def bench(folder: Path, scratch: Path, events: int, runs: int, wanted: str) -> list[dict[str, Any]]:
    engine = Engine(folder / "store")
    store, clock = EmbeddedStore(engine), SystemClock()
    bus = EmbeddedBus(scratch / "bus.db", partitions=1, max_backlog_bytes=8 << 30, min_free_disk_bytes=0, clock=clock)
    database = Database(f"sqlite:///{scratch}/bench.db", clock)
    with session_of(engine) as session:
        found = [made(session, events)]
        await store.start()
        await bus.start()
        await asyncio.to_thread(database.migrate)
        database.start()
        try:
            for case in CASES:
                if wanted in case.name:
                    found.append(await measure(case, Ground(store, bus, database, engine, session), runs))
                    print(json.dumps(found[-1]), flush=True)
        finally:
            database.close()
            await bus.close()
            await store.close()
    engine.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--case", default="", help="Only the cases with this in their name.")
    parser.add_argument("--folder", type=Path, help="Where the events are, or are to be kept; default: a temporary folder.")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="bongsu-hunt-", dir=options.folder))
    try:
        results = asyncio.run(bench(options.folder or scratch, scratch, options.events, options.runs, options.case))
    finally:
        shutil.rmtree(scratch)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
