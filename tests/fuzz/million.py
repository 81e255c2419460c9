"""A million hostile lines through the real normaliser: no crash, no hang, memory flat, every line in events or quarantine.

    python -m tests.fuzz.million [--lines N] [--seed S] [--batch N] [--longest SECONDS]

Prints what it sees as it goes, and ends with 1 when a line is missing, a batch took too long or memory grew. Half of the batches are of
one source, so that what is remembered of sources is at work as well. A batch at fault is kept as `hostile-<seed>-<number>.log`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ingest.encoding import to_text
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin
from tests.fuzz.hostile import lines
from tests.parsing import opened, record

_SAYS_EVERY = 5  # batches
_SETTLED = 0.4  # of all lines: by then every statement has been opened
_GROWTH = 1.05  # of the resident memory once settled


class Fuzz:
    """What one run has seen."""

    def __init__(self, normaliser: Normaliser, longest: float) -> None:
        self._normaliser = normaliser
        self._longest = longest
        self.faults: list[str] = []
        self.reasons: Counter[str] = Counter()
        self.parsers: Counter[str] = Counter()
        self.events = 0
        self.slowest = 0.0

    def batch(self, number: int, batch: list[bytes]) -> bool:
        """Normalise one batch; whether all is well with it."""
        origin = Origin("gu", "one" if number % 2 else f"source-{number}", "tcp")
        started = time.perf_counter()
        done = self._normaliser.normalise([record(batch, offset=number, origin=origin)], "fuzz")
        spent = time.perf_counter() - started
        self.slowest = max(self.slowest, spent)
        found = sorted(done.events["raw_line"].to_pylist() + done.quarantine["raw_line"].to_pylist())
        self.events += done.events.num_rows
        self.reasons.update(done.quarantine["reason"].to_pylist())
        self.parsers.update(done.events["parser"].to_pylist())
        faults = len(self.faults)
        if found != to_text(batch).places.tolist():
            self.faults.append(f"batch {number}: {len(found)} rows are not its lines")
        if spent > self._longest:
            self.faults.append(f"batch {number}: took {spent:.1f} s")
        return len(self.faults) == faults


def run(total: int, seed: int, size: int, longest: float) -> list[str]:
    """The faults of a run over `total` lines."""
    source = lines(seed, total)
    settled = 0.0
    done = 0
    with opened() as normaliser:
        fuzz = Fuzz(normaliser, longest)
        started = time.perf_counter()
        for number, batch in enumerate(_batches(source, size)):
            if not fuzz.batch(number, batch):
                Path(f"hostile-{seed}-{number}.log").write_bytes(b"\n".join(batch))
            done += len(batch)
            if not settled and done >= _SETTLED * total:
                settled = _resident()
            if number % _SAYS_EVERY == 0 or done == total:
                rate = done / (time.perf_counter() - started)
                print(f"{done:>9,} lines  {rate:>8,.0f}/s  {_resident():>6,.0f} MiB  slowest batch {fuzz.slowest:.2f} s", flush=True)
    print(f"events {fuzz.events:,}; quarantine {dict(fuzz.reasons)}; parsers seen {len(fuzz.parsers)}: {dict(fuzz.parsers.most_common(8))}")
    if _resident() > settled * _GROWTH:
        fuzz.faults.append(f"memory grew from {settled:,.0f} to {_resident():,.0f} MiB")
    return fuzz.faults


def _batches(source: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    while batch := list(islice(source, size)):
        yield batch


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4 / 1024


def main() -> int:
    """Read the command line and run."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--lines", type=int, default=1_000_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--batch", type=int, default=4096)
    options.add_argument("--longest", type=float, default=60.0)
    chosen = options.parse_args()
    faults = run(chosen.lines, chosen.seed, chosen.batch, chosen.longest)
    for fault in faults:
        print(f"FAULT {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
