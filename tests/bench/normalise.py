"""How fast each parser is: its own samples over and over, recognised, parsed and made into rows of events on one thread.

    python -m tests.bench.normalise [parser ...]

CPU time, not wall time: what else runs on the machine matters less. The fixed cost is that of a statement over no rows.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import cycle, islice

from ingest import parser
from ingest.compile import LINES, Parser
from ingest.normalise import Normaliser
from tests.parsing import fortigate, opened, record

_LINES = 16_384
_ROUNDS = 5


def main(names: list[str]) -> None:
    """Print a table of the parsers called `names`, or of all."""
    with opened() as normaliser:
        print(f"{'parser':16s} {'bytes/line':>10s} {'us/line':>8s} {'lines/s':>9s} {'fixed ms':>9s}")
        for one in normaliser.parsers.parsers:
            if not names or one.name in names:
                print(_measured(normaliser, one))


def _measured(normaliser: Normaliser, one: Parser) -> str:
    lines = _samples(one)
    batch = record(lines)
    normaliser.normalise([batch], "bench")
    spent = _best(lambda: normaliser.normalise([batch], "bench"))
    fixed = _best(lambda: normaliser.session.arrow(one.statement(normaliser.session).narrow, LINES.empty_table(), {"zone": "UTC"}))
    size = sum(map(len, lines)) / len(lines)
    return f"{one.name:16s} {size:10.0f} {spent / _LINES * 1e6:8.2f} {_LINES / spent:9,.0f} {fixed * 1e3:9.1f}"


def _samples(one: Parser) -> list[bytes]:
    if one.name == "fortigate":
        tail = b' srcintfrole="lan" dstintfrole="wan" srccountry="Reserved" dstcountry="Korea, Republic of" sessionid=407608742'
        tail += b' policytype="policy"'
        tail += b' poluuid="5f2c1d60-0000-51ea-1111-0123456789ab" trandisp="noop" duration=15 sentpkt=4 rcvdpkt=4 appcat="unscanned"'
        return [fortigate(number % 250) + tail for number in range(_LINES)]
    files = sorted((parser.FOLDER / "samples" / one.name).glob("*.log"))
    return list(islice(cycle([line for file in files for line in file.read_bytes().splitlines()]), _LINES))


def _best(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent)


if __name__ == "__main__":
    main(sys.argv[1:])
