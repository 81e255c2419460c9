"""What masking finds in the public samples, and what it costs.

    python -m tests.bench.masking [FOLDER] [--examples N]

FOLDER holds the samples (default: the one beside the checkout). The samples hold hardly any real personal number, so nearly all that is
masked there but passwords is a false alarm: the examples say. CPU time, not wall time.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from core.clock import SystemClock
from core.config import MaskingSettings
from ingest.privacy.masking import KINDS, Masker
from ingest.sources.demo import fortigate_lines
from runtime.memory import keep_freed_memory
from tests.conftest import SAMPLES

_BLOB = 4 << 20  # a full batch
_ROUNDS = 15
_AROUND = 40
_RANDOM = 100_000


def main() -> None:
    """Print what was changed, by kind and set of samples, with examples; then the cost of a line."""
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES)
    parser.add_argument("--examples", type=int, default=10)
    options = parser.parse_args()
    masker = Masker(MaskingSettings(), SystemClock())
    sets = {"parsers": _of_parsers(options.folder), **_of_telemetry(options.folder)}
    examples: dict[str, Counter[str]] = defaultdict(Counter)
    print(f"{'samples':24s} {'lines':>9s} " + " ".join(f"{kind:>9s}" for kind in KINDS))
    for name, lines in sets.items():
        changed = Counter[str]()
        for line in lines:
            masked = masker.mask(line)
            changed.update(masked.counts.keys())
            for kind in masked.counts:
                examples[kind][_shown(masked.data, int(masked.places[0]))] += 1
        print(f"{name:24s} {len(lines):9,} " + " ".join(f"{changed[kind]:9,}" for kind in KINDS))
    for kind in KINDS:
        print(f"\n{kind}: {len(examples[kind])} different")
        for shown, times in examples[kind].most_common(options.examples):
            print(f"{times:6,} x  {shown}")
    print()
    for length in (13, 14, 15, 16, 19):
        _look_alikes(masker, length)
    _cost("mixed", masker, sets["parsers"])
    _cost("fortigate", masker, fortigate_lines(_BLOB // 600, 7))


def _of_parsers(folder: Path) -> list[bytes]:
    rows = (folder / "parsers" / "eval.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")
    return [json.loads(row)["raw"].encode() for row in rows]


def _of_telemetry(folder: Path) -> dict[str, list[bytes]]:
    return {f"telemetry/{part.name}": list(_lines(part)) for part in sorted((folder / "telemetry").iterdir()) if part.is_dir()}


def _lines(folder: Path) -> Iterator[bytes]:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            content = file.read_bytes()
            yield from (gzip.decompress(content) if file.suffix == ".gz" else content).splitlines()


def _shown(line: bytes, at: int) -> str:
    """The surroundings of the first value that was hidden."""
    return line[max(0, at - _AROUND) : at + _AROUND].decode("utf-8", "replace")


def _look_alikes(masker: Masker, length: int) -> None:
    """How many of the numbers of that many random digits, without a key that says what they are, would be masked."""
    dice = random.Random(length)
    lines = [f"x,{dice.randrange(10 ** (length - 1), 10**length)},y".encode() for _ in range(_RANDOM)]
    changed = len(masker.mask_lines(lines).changed)
    print(f"random numbers of {length} digits: {changed / _RANDOM:.2%} masked")


def _cost(name: str, masker: Masker, lines: list[bytes]) -> None:
    joined = b"\n".join(lines)
    blob = b"\n".join([joined] * (_BLOB // len(joined) + 1))[:_BLOB]
    spent = []
    for _ in range(_ROUNDS):
        started = time.thread_time()
        masker.mask(blob)
        spent.append(time.thread_time() - started)
    count = blob.count(b"\n") + 1
    best = min(spent)
    print(f"{name}: {best / count * 1e6:.2f} us a line of {len(blob) / count:.0f} bytes, {len(blob) / best / 1e6:.0f} MB/s, on one core")


if __name__ == "__main__":
    main()
