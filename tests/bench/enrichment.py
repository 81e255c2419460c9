"""What enrichment costs a line: the columns of two addresses, three names and a direction from all dictionaries at once.

    python -m tests.bench.enrichment

CPU time of one thread, once every address has been asked for: a first look into a database costs some ten microseconds more.
"""

from __future__ import annotations

import random
import tempfile
import time
from ipaddress import IPv4Address
from pathlib import Path

import pyarrow as pa
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from core.config import EnrichmentSettings
from ingest.enrichment.columns import enrich
from ingest.enrichment.library import Library
from runtime.memory import keep_freed_memory

_LINES = 65_536  # what a stage that is behind takes at once
_ROUNDS = 7
_DISTINCT = (1_000, 5_000, 20_000, 60_000)


def main() -> None:
    """Print microseconds a line by how many different addresses a batch holds."""
    keep_freed_memory()
    dice = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        library = Library(_dictionaries(Path(folder), dice), ["gu"])
        library.refresh()
    print(f"{'addresses':>10s} {'us/line':>8s}")
    for distinct in _DISTINCT:
        rows = _rows(dice, distinct)
        spent = []
        for _ in range(_ROUNDS):
            started = time.thread_time()
            enrich(rows, library.tables)
            spent.append(time.thread_time() - started)
        print(f"{distinct:10,} {min(spent) / _LINES * 1e6:8.2f}")


def _dictionaries(folder: Path, dice: random.Random) -> EnrichmentSettings:
    """2,000 networks of systems, 20,000 addresses and 20,000 domains that are bad, and two databases."""
    assets = [f"10.{n // 256}.{n % 256}.0/24,system {n},owner {n % 9},high,{'gu' if n % 3 else ''}\n" for n in range(2000)]
    (folder / "assets.csv").write_text("cidr,system,owner,importance,agency\n" + "".join(assets), encoding="utf-8")
    bad = [f"{IPv4Address(dice.randrange(1 << 24, 223 << 24))}\n" for _ in range(20_000)] + [f"bad{n}.example\n" for n in range(20_000)]
    (folder / "bad.txt").write_text("".join(bad), encoding="utf-8")
    for name in ("country", "asn"):
        writer = MMDBWriter(4, name, languages=["en"], description="of the bench")
        for n in range(1, 224):
            record = {"country": {"iso_code": "KR"}, "autonomous_system_number": n, "autonomous_system_organization": f"holder {n}"}
            writer.insert_network(IPSet([f"{n}.0.0.0/8"]), record)
        writer.to_db_file(str(folder / f"{name}.mmdb"))
    return EnrichmentSettings(
        assets=folder / "assets.csv",
        country_db=folder / "country.mmdb",
        asn_db=folder / "asn.mmdb",
        known_bad={"bad": folder / "bad.txt"},
    )


def _rows(dice: random.Random, distinct: int) -> pa.Table:
    """Lines of which a third has a domain, and a third an URL."""
    pool = [_address(dice) for _ in range(distinct)]
    hosts = [f"h{n}.example.com" for n in range(3000)]
    return pa.table(
        {
            "agency": [dice.choice(("gu", "other")) for _ in range(_LINES)],
            "src_ip": pa.array([dice.choice(pool) for _ in range(_LINES)], pa.binary(16)),
            "dst_ip": pa.array([dice.choice(pool) for _ in range(_LINES)], pa.binary(16)),
            "direction": [""] * _LINES,
            "domain": [dice.choice(hosts) if n % 3 == 0 else "" for n in range(_LINES)],
            "dns_query": [""] * _LINES,
            "url": [f"http://{dice.choice(hosts)}/p{n}?q=1" if n % 3 == 1 else "" for n in range(_LINES)],
        }
    )


def _address(dice: random.Random) -> bytes:
    """An address of ours or of anybody's."""
    number = dice.randrange(10 << 24, (10 << 24) + (1 << 19)) if dice.random() < 0.5 else dice.randrange(1 << 24, 223 << 24)
    return b"\0" * 10 + b"\xff\xff" + IPv4Address(number).packed


if __name__ == "__main__":
    main()
