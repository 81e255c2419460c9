"""Our engine beside rsigma on the same rules and events: `python -m tests.bench.detect --rules FOLDER ... [--rsigma PROGRAM]`.

Events are made anew (`tests.bench.sigma_events`). Each program runs on one processor; what it needs for a single event, start-up and the
reading of rules, is taken off its CPU seconds. Where rules did not match as often in one as in the other, they are listed; `--provoke`
judges one event made for each rule instead, which tries far more rules than everyday events do.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from detect.rules import load
from tests.bench.sigma_events import EVERYTHING, NETWORK, everyday, provoked


def cpu_of(command: Sequence[str], out: Path) -> float:
    """The CPU seconds of `command` on the last processor, its output in `out`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = max(os.sched_getaffinity(0))
    with out.open("wb") as opened:
        subprocess.run(
            command, stdout=opened, stderr=subprocess.DEVNULL, check=True, preexec_fn=lambda: os.sched_setaffinity(0, {processor})
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def theirs(program: str, rules: Path, events: Path, folder: Path) -> tuple[float, Counter[str]]:
    """CPU seconds net of start-up, and matches by the rule's id."""
    one = folder / "one.jsonl"
    with events.open() as opened:
        one.write_text(opened.readline())
    command = [program, "engine", "eval", "-r", str(rules), "-e"]
    start = cpu_of([*command, f"@{one}"], folder / "start.ndjson")
    out = folder / "matches.ndjson"
    whole = cpu_of([*command, f"@{events}"], out)
    with out.open() as opened:
        return whole - start, Counter(json.loads(line)["rule_id"] for line in opened)


def ours(rules: Path, events: Path, folder: Path) -> tuple[float, Counter[str], str]:
    out = folder / "ours.json"
    cpu_of([sys.executable, "-m", "runtime", "bench", "detect", "--rules", str(rules), "--events", str(events), "--json"], out)
    result = json.loads(out.read_text())
    prepared = f"{result['load_seconds']:.1f} + {result['compile_seconds']:.1f}"
    return result["cpu_seconds"], Counter({rule["id"]: rule["matches"] for rule in result["by_rule"]}), prepared


def write(name: str, rules: Path, count: int, folder: Path, provoke: bool) -> Path:
    file = folder / f"{name}.jsonl"
    lines = provoked(load([rules]).rules) if provoke else everyday(count, NETWORK if name == "network" else EVERYTHING)
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=Path, nargs="+", required=True)
    parser.add_argument("--rsigma", default="")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--provoke", action="store_true")
    options = parser.parse_args()
    table = Table("rules", "events", "engine", "events per CPU second", "load + compile, s", "matches")
    differences = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rules in options.rules:
            for kind in ("everything",) if options.provoke else ("network", "everything"):
                events = write(kind, rules, options.events, folder, options.provoke)
                count = sum(1 for _ in events.open())
                label = (rules.name, f"{count:,} {kind}")
                seconds, mine, prepared = ours(rules, events, folder)
                table.add_row(*label, "bongsu", f"{count / seconds:,.0f}", prepared, f"{mine.total():,}")
                if options.rsigma:
                    seconds, other = theirs(options.rsigma, rules, events, folder)
                    table.add_row(*label, "rsigma", f"{count / seconds:,.0f}", "", f"{other.total():,}")
                    differences += [(*label, rule, mine[rule], other[rule]) for rule in mine | other if mine[rule] != other[rule]]
    console = Console()
    console.print(table)
    for difference in differences:
        console.print("differs: {} {}: rule {}: {} matches of ours, {} of rsigma".format(*difference))


if __name__ == "__main__":
    main()
