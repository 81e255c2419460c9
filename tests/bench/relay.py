"""What a relay of ten products costs: their samples in turns, in batches of several sizes, beside the same lines a product at a time.

    python -m tests.bench.relay

CPU time on one thread, statements already open. The last row is a message for each line, of two hundred sources.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from core.bus.contract import Record
from ingest import parser
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin
from tests.parsing import opened, record

_PRODUCTS = ("fortigate", "cisco_asa", "panos", "srx", "checkpoint", "sonicwall", "suricata", "squid", "openssh", "iptables")
_SIZES = (100, 500, 2000, 16_384)
_ROUNDS = 3


def main() -> None:
    """Print a row for each size of batch."""
    lines = [_lines(product) for product in _PRODUCTS]
    with opened() as normaliser:
        print(f"{'lines':>8s} {'mixed us/line':>14s} {'apart us/line':>14s}")
        for size in _SIZES:
            mixed = [own[n // len(lines) % len(own)] for n in range(size) for own in [lines[n % len(lines)]]]
            apart = [[own[n % len(own)] for n in range(size)] for own in lines]
            together = _spent(normaliser, [record(mixed, origin=Origin("gu", "relay", "udp"))])
            alone = [_spent(normaliser, [record(some, origin=Origin("gu", f"fw-{n}", "udp"))]) for n, some in enumerate(apart)]
            print(f"{size:8,d} {together / size * 1e6:14.1f} {sum(alone) / len(alone) / size * 1e6:14.1f}")
        many = [record([lines[n % len(lines)][0]], offset=n, origin=Origin("gu", f"s-{n % 200}", "udp")) for n in range(4096)]
        print(f"{'4096 x 1':>8s} {_spent(normaliser, many) / 4096 * 1e6:14.1f}")


def _lines(product: str) -> list[bytes]:
    return [line for file in sorted((parser.FOLDER / "samples" / product).glob("*.log")) for line in file.read_bytes().splitlines()]


def _spent(normaliser: Normaliser, records: Sequence[Record]) -> float:
    normaliser.normalise(records, "bench")
    return min(_timed(lambda: normaliser.normalise(records, "bench")) for _ in range(_ROUNDS))


def _timed(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
