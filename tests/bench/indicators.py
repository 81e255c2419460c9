"""What a million indicators cost: taking them in, events on the stream, events of history.

    python -m tests.bench.indicators [--indicators N] [--events N] [--json]

Half of the indicators are addresses, 2,000 are networks, a quarter domains, an eighth URLs, the rest hashes; one event in some thousand
meets one. CPU time of the whole process, so the store's threads count too; the memory of the index is what `Index.nbytes` says.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pyarrow as pa

from core.clock import FixedClock, millis
from core.database import Database
from core.engine import Engine, Session
from core.events import EVENTS
from core.storage.embedded import EmbeddedStore
from detect.indicators.feeds import Defaults
from detect.indicators.findings import Finder
from detect.indicators.history import search
from detect.indicators.importing import Importer
from detect.indicators.library import Library, load
from respond.audit import record
from tests.bench.detect import batch

NOW = datetime(2026, 5, 3, tzinfo=UTC)
DAY = timedelta(days=1)
_NETWORKS = 2000
_BATCH = 100_000
_A_METER = 1000  # of so many events one meets an indicator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--indicators", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measured(Path(folder), options.indicators, options.events))
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:32s} {value:,}")


async def measured(folder: Path, indicators: int, events: int) -> dict[str, Any]:
    engine = Engine(folder / "store")
    store, database, clock = EmbeddedStore(engine), Database(f"sqlite:///{folder / 'db'}", FixedClock(NOW)), FixedClock(NOW)
    await store.start()
    await store.migrate()
    database.migrate()
    database.start()
    try:
        figures: dict[str, Any] = {"indicators": indicators}
        importer = Importer(store, database, clock, record, folder, 30 * DAY)
        file, began = io.BytesIO(feed(indicators)), time.process_time()
        done = await importer.run(file, "", "bench", "csv", Defaults(), "bench")
        figures["import_indicators_per_cpu_s"] = round(done.accepted / (time.process_time() - began))
        began = time.process_time()
        library = Library(store, clock)
        await library.refresh()
        figures["load_cpu_seconds"] = round(time.process_time() - began, 2)
        figures["bytes_per_indicator"] = round(library.index.nbytes / len(library.index))
        figures |= stream(Finder(library, clock))
        figures |= await history(store, engine, clock, done.import_id, events)
        return figures
    finally:
        database.close()
        await store.close()
        engine.close()


def feed(count: int) -> bytes:
    """A CSV of `count` different values."""
    dice = random.Random(1)
    addresses, domains, urls = count // 2 - _NETWORKS, count // 4, count // 8
    lines = ["value,type"]
    lines += [f"{IPv4Address((100 << 24) + number)},ip" for number in dice.sample(range(100 << 24), addresses)]
    lines += [f"45.{n // 16 % 256}.{n % 16 * 16}.0/20,cidr" for n in range(_NETWORKS)]
    lines += [f"bad{n}.d{n % 977}.example,domain" for n in range(domains)]
    lines += [f"http://host{n}.example/p/{n}.exe?x={n},url" for n in range(urls)]
    lines += [f"{n * 7919:064x},sha256" for n in range(count - addresses - _NETWORKS - domains - urls)]
    return "\n".join(lines).encode() + b"\n"


def stream(finder: Finder) -> dict[str, Any]:
    """The mix of a city's logs, and a batch of names and URLs alone."""
    mix = batch(_BATCH)
    hosts = [f"bad{n}.d{n % 977}.example" if n % _A_METER == 0 else f"h{n % 30000}.example.com" for n in range(_BATCH)]
    names = _with(mix, "url", [f"https://{host}/board/view.do?id={n}&page=2" for n, host in enumerate(hosts)])
    mix = _with(mix, "domain", [host if n % 5 == 0 else "" for n, host in enumerate(hosts)])
    found = {}
    for name, events in (("mix", mix), ("urls", names)):
        spent, met = [], 0
        for _ in range(7):
            began = time.process_time()
            met = len(finder.find(events)[0])
            spent.append(time.process_time() - began)
        found |= {f"stream_{name}_events_per_cpu_s": round(_BATCH / sorted(spent)[3]), f"stream_{name}_detections": met}
    return found


def _with(events: pa.Table, column: str, values: list[str]) -> pa.Table:
    place = events.schema.get_field_index(column)
    return events.set_column(place, events.schema.field(place), pa.array(values))


async def history(store: EmbeddedStore, engine: Engine, clock: FixedClock, import_id: int, events: int) -> dict[str, Any]:
    """One day of `events`, a tenth of them with a URL and a host."""
    session = engine.session({"max_threads": 2})
    _fill(session, events)
    session.run(f"OPTIMIZE TABLE {EVENTS.name} FINAL")  # else merging goes on, and its time counts
    session.close()
    index = await load(store, clock, import_id)
    began, cpu = time.perf_counter(), time.process_time()
    found = await search(store, index, import_id, NOW - DAY, NOW, NOW)
    spent, seconds = time.process_time() - cpu, time.perf_counter() - began
    return {
        "history_events": events,
        "history_events_per_cpu_s": round(events / spent),
        "history_events_per_s": round(events / seconds),
        "history_events_judged": found.looked_at,
        "history_pairs_met": len(found.met),
    }


def _fill(session: Session, events: int) -> None:
    """Make events inside the engine."""
    step = 1_000_000
    at = f"fromUnixTimestamp64Milli(toInt64({millis(NOW - DAY)} + intDiv(86400000 * n, {events})), 'UTC')"
    given = {
        "raw_epoch": "'e1'",
        "raw_offset": "intDiv(n, 1000)",
        "raw_line": "n % 1000",
        "received_at": at,
        "event_time": at,
        "agency": "concat('gu-', toString(n % 25))",
        "source": "'fw'",
        "raw": "concat('<189>devname=fw number=', toString(n), repeat(' key=value', 20))",
        "log_class": "'firewall'",
        "src_ip": "toIPv6(concat('10.0.', toString(rand(1) % 40), '.', toString(rand(2) % 250)))",
        "dst_ip": f"if(n % {_A_METER} = 0, toIPv6(concat('45.0.', toString(rand(3) % 250), '.9')), toIPv6(IPv4NumToString(rand(4))))",
        "domain": "if(n % 10 = 0, concat('h', toString(rand(5) % 100000), '.example.com'), '')",
        "url": "if(n % 10 = 0, concat('/board/view.do?id=', toString(rand(6))), '')",
    }
    for first in range(0, events, step):
        sql = f"INSERT INTO {EVENTS.name} ({', '.join(given)}) SELECT {', '.join(given.values())} FROM (SELECT number + {first} AS n"
        session.run(f"{sql} FROM numbers({min(step, events - first)}))")


if __name__ == "__main__":
    main()
