"""The page of all parsers: how well they read other people's real lines, and how fast they are.

    python -m tests.bench.parsers > docs/parsers.md

Needs the folder of public samples (`tests.conftest.SAMPLES`). Figures of speed are of the machine it runs on.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from ingest.normalise import Normaliser
from ingest.parser import Tier
from tests.bench.normalise import Figures, measure
from tests.conftest import SAMPLES
from tests.parsing import opened
from tests.public_samples import FAMILIES, Score, scores

_SLOW = 3.0
_REFERENCE = "fortigate"
_HEAD = """# Parsers

Made by `python -m tests.bench.parsers > docs/parsers.md` on {day}, {machine}.

## What they read right

Lines of public test data of other products' parsers ({lines:,} lines, {vendors} vendors). *Read*: by a parser of the right family, named
in the last column. *Addresses*: source, destination and translated addresses, ports and the protocol are exactly as expected. *Meaning*:
action, disposition, user, URL, domain, DNS name, rule, signature, HTTP method and status, bytes. Where the data expects what we hold to
be wrong we did not follow it: the user `-` of Squid and Apache, a tag with its colon as action (Junos), a log-on domain as the domain that
was asked for (FortiClient), an allow for a failed log-on (F5).

| vendor | lines | read % | addresses % | meaning % | parsers |
|---|---:|---:|---:|---:|---|"""
_SPEED = """
## How fast they are

Each parser over its own samples, again and again: recognised, parsed and made into rows of events. CPU time of one thread; *both* is wall
time on two threads. *Times* compares with {reference}; the README's figures are of that one.

| parser | vendor, product | version | bytes a line | lines/s, one core | lines/s, both | times |
|---|---|---:|---:|---:|---:|---:|"""


def main() -> None:
    """Print the page."""
    with opened() as normaliser:
        found, total = scores(normaliser, SAMPLES)
        print(_head(found, total))
        for score in (*found, total):
            print(_accuracy(score))
        print(_speed(normaliser))


def _head(found: Sequence[Score], total: Score) -> str:
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    return _HEAD.format(day=f"{datetime.now(UTC):%Y-%m-%d}", machine=machine, lines=total.lines, vendors=len(found))


def _accuracy(score: Score) -> str:
    family = FAMILIES.get(score.vendor, ())
    names = ", ".join(sorted(name for name in score.parsers if name.startswith(family))) if family else ""
    core = f"{score.core_share:.1%}" if score.core[1] else ""
    soft = f"{score.soft_share:.1%}" if score.soft[1] else ""
    return f"| {score.vendor} | {score.lines:,} | {score.read_share:.1%} | {core} | {soft} | {names} |".replace("%", "")


def _speed(normaliser: Normaliser) -> str:
    order = sorted(normaliser.parsers.parsers, key=lambda one: (one.tier, one.name))
    figures = {one.name: _measured(normaliser, one.name) for one in order}
    base = figures[_REFERENCE].seconds_per_line
    rows = [_SPEED.format(reference=_REFERENCE)]
    for one in order:
        measured = figures[one.name]
        times = measured.seconds_per_line / base
        mark = f"**{times:.1f}**" if times > _SLOW else f"{times:.1f}"
        about = f"{one.vendor} {one.product}" if one.tier is Tier.PRODUCT else one.tier.name.lower()
        rows.append(
            f"| {one.name} | {about} | {one.version} | {measured.bytes_per_line:.0f} | {1 / measured.seconds_per_line:,.0f} "
            f"| {measured.lines_per_second_both:,.0f} | {mark} |"
        )
    return "\n".join(rows)


def _measured(normaliser: Normaliser, name: str) -> Figures:
    print(name, file=sys.stderr)
    return measure(normaliser, normaliser.parsers.by_name[name])


if __name__ == "__main__":
    main()
