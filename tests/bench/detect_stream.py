"""How many events a second the detector judges on one thread: `python -m tests.bench.detect_stream [--events N] [--rules FOLDER ...]`.

The batch has every column of an event and the mix of a city's logs (85 % firewall traffic); start-up and compiling are not counted, the
reading of the Arrow message is. Each batch size is run several times and the median is told.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from core import arrow
from core.clock import SystemClock
from core.engine import Engine
from core.events import EVENTS
from detect.rules import OWN_RULES, load
from detect.stream import Detector

MIX = (("firewall", 85), ("web", 4), ("ips", 3), ("proxy", 3), ("dns", 3), ("vpn", 1), ("system", 1))
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"


def mapped(a: int, b: int, c: int, d: int) -> bytes:
    return bytes(10) + b"\xff\xff" + bytes((a, b, c, d))


def row(chance: random.Random, number: int) -> dict[str, Any]:
    """One event; one in ten thousand is an attack some rule of ours knows."""
    log_class = chance.choices([name for name, _ in MIX], [share for _, share in MIX])[0]
    web = log_class in ("web", "ips", "proxy")
    bad = number % 10_000 == 0
    return {
        "raw_epoch": "e1",
        "raw_offset": number // 1000,
        "raw_line": number % 1000,
        "received_at": 1_777_857_072_000 + number,
        "event_time": 1_777_857_072_000 + number,
        "agency": f"gu-{number % 25}",
        "raw": f"<189>date=2026-05-04 time=10:11:12 devname=gu-fw1 number={number} " + "key=value " * 52,
        "log_class": log_class,
        "vendor": "Fortinet",
        "product": "FortiGate",
        "device": f"fw{number % 25}",
        "src_ip": mapped(10, chance.randrange(256), 3, chance.randrange(256)),
        "src_port": chance.randrange(32768, 61000),
        "dst_ip": mapped(203, 0, 113, chance.randrange(256)),
        "dst_port": 4444 if bad else chance.choice((80, 443, 443, 53, 123, 993)),
        "proto": "tcp",
        "action": chance.choice(("accept", "close", "deny")),
        "disposition": chance.choice(("allow", "deny")),
        "rule": f"policy {number % 80}",
        "url": (f"/board/view.do?id={number}" + ("%27%20or%201=1" if bad else "")) if web else "",
        "user_agent": ("sqlmap/1.8" if bad else BROWSER) if web else "",
        "sig_name": "HTTP.Header.Unusual" if log_class == "ips" else "",
        "severity": "notice",
        "dns_query": f"host{number}.gu.example" if log_class == "dns" else "",
        "user": f"user{number % 500}" if log_class in ("vpn", "system") else "",
        "bytes_src": chance.randrange(10_000),
        "bytes_dst": chance.randrange(100_000),
    }


def batch(events: int) -> pa.Table:
    chance = random.Random(7)
    rows = [row(chance, number) for number in range(events)]
    columns = []
    for column in EVENTS.columns:
        blank: Any = None if column.nullable else "" if column.kind.is_text else 0
        columns.append(pa.array([one.get(column.name, blank) for one in rows], column.arrow.type))
    return pa.table(columns, schema=EVENTS.schema)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rules", type=Path, nargs="*", default=[OWN_RULES])
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    events = batch(options.events)
    engine = Engine()
    began = time.perf_counter()
    detector = Detector(engine, load(options.rules), SystemClock())
    loaded = time.perf_counter() - began
    for size in (1_000, 10_000, options.events):
        message = arrow.encode(events.slice(0, size))
        seconds, processor = [], []
        for _ in range(options.runs):
            wall, cpu = time.perf_counter(), time.process_time()
            found = detector.detect(arrow.decode(message))
            seconds.append(time.perf_counter() - wall)
            processor.append(time.process_time() - cpu)
        result = {
            "rules": len(detector.plan.active),
            "load_seconds": round(loaded, 2),
            "events": size,
            "events_per_second": round(size / statistics.median(seconds)),
            "events_per_cpu_second": round(size / statistics.median(processor)),
            "detections": found.num_rows,
            "by_rule": dict(Counter(found.column("rule_title").to_pylist())),
        }
        print(json.dumps(result))
    detector.close()
    engine.close()


if __name__ == "__main__":
    main()
