"""How fast each parser is: its own samples over and over, recognised, parsed and made into rows of events.

    python -m tests.bench.normalise [parser ...]

On one thread CPU time is counted, not wall time: what else runs on the machine matters less. On both cores it is wall time, of two
normalisers in two threads. Lines are marked as masked, as they come from our receivers; masking has its own bench.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle, islice

from core.bus.contract import Record
from core.engine import Engine
from ingest import parser, rawbatch
from ingest.compile import Parser
from ingest.normalise import Normaliser
from ingest.privacy.masking import Masker
from ingest.rawbatch import Masking, Origin
from tests.parsing import NOW, fortigate, opened

_LINES = 16_384
_ROUNDS = 5
_THREADS = 2


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one parser: `seconds_per_line` is CPU time on one thread, `lines_per_second_both` by the wall clock on two."""

    bytes_per_line: float
    seconds_per_line: float
    lines_per_second_both: float


def main(names: list[str]) -> None:
    """Print a table of the parsers called `names`, or of all."""
    with opened() as normaliser:
        print(f"{'parser':20s} {'bytes/line':>10s} {'us/line':>8s} {'lines/s':>9s} {'both':>9s} {'ratio':>6s}")
        for one in normaliser.parsers.parsers:
            if not names or one.name in names:
                print(_row(one, measure(normaliser, one)), flush=True)


def measure(normaliser: Normaliser, one: Parser) -> Figures:
    """The figures of a parser over its samples; `normaliser` is one of the threads."""
    lines = _samples(one)
    batch = [_record(lines, normaliser)]
    with closing(Engine()) as engine, closing(Normaliser(engine, normaliser.parsers, normaliser.settings, normaliser.clock)) as other:
        both = (normaliser, other)
        for each in both:
            each.normalise(batch, "bench")
        cpu = _best(time.process_time, lambda: normaliser.normalise(batch, "bench"))
        wall = _best(time.perf_counter, lambda: _at_once([lambda each=each: each.normalise(batch, "bench") for each in both]))
    return Figures(sum(map(len, lines)) / _LINES, cpu / _LINES, _THREADS * _LINES / wall)


def _row(one: Parser, figures: Figures) -> str:
    alone = 1 / figures.seconds_per_line
    return (
        f"{one.name:20s} {figures.bytes_per_line:10.0f} {figures.seconds_per_line * 1e6:8.2f} {alone:9,.0f} "
        f"{figures.lines_per_second_both:9,.0f} {figures.lines_per_second_both / alone:6.2f}"
    )


def _record(lines: list[bytes], normaliser: Normaliser) -> Record:
    marked = Masking(Masker(normaliser.settings.masking, normaliser.clock).kinds)
    message = rawbatch.message(Origin("gu", "bench", "tcp", "192.0.2.1"), NOW, lines, marked)
    return Record("logs.raw", 0, 0, message.value, message.headers, NOW)


def _samples(one: Parser) -> list[bytes]:
    if one.name == "fortigate":
        tail = b' srcintfrole="lan" dstintfrole="wan" srccountry="Reserved" dstcountry="Korea, Republic of" sessionid=407608742'
        tail += b' policytype="policy"'
        tail += b' poluuid="5f2c1d60-0000-51ea-1111-0123456789ab" trandisp="noop" duration=15 sentpkt=4 rcvdpkt=4 appcat="unscanned"'
        return [fortigate(number % 250) + tail for number in range(_LINES)]
    files = sorted((parser.FOLDER / "samples" / one.name).glob("*.log"))
    return list(islice(cycle([line for file in files for line in file.read_bytes().splitlines()]), _LINES))


def _best(clock: Callable[[], float], work: Callable[[], object]) -> float:
    spent = []
    for _ in range(_ROUNDS):
        started = clock()
        work()
        spent.append(clock() - started)
    return min(spent)


def _at_once(work: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1:])
