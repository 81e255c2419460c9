"""The page of all parsers: how well they read other people's real lines, and how fast they are.

    python -m tests.bench.parsers > docs/parsers.md

Needs the folder of public samples (`tests.conftest.SAMPLES`). Figures of speed are of the machine it runs on.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ingest.compile import Parser
from ingest.normalise import Normaliser
from ingest.parser import Tier
from tests.bench.normalise import Figures, measure
from tests.conftest import SAMPLES
from tests.parsing import opened
from tests.public_samples import FAMILIES, Score, scores

_SLOW = 3.0
_REFERENCE = "fortigate"
_REASONS = {
    "sophos_sfos": "looks for 97 keys, fortigate for 67: the device's own dialect and Central's differ in nearly every name.",
    "application_auth": "takes sign-ins of whatever application writes free text: it has only regular expressions to go by.",
    "generic_json": "knows no keys beforehand: it lays all objects of a line flat, three deep, and compares their names with a list.",
    "generic_kv": "knows no keys beforehand: it takes every pair of a line apart and compares the names with a list.",
}
"""Why a parser is slow, for those that are."""

_HEAD = """# Parsers

Made by `python -m tests.bench.parsers > docs/parsers.md` on {day}, {machine}.

## What they read right

Lines of public test data of other products' parsers ({lines:,} lines, {vendors} vendors). *Read*: by a parser of the right family, of those
named in the column of parsers; a parser that takes what nobody else knows (tier generic) never counts. Daemons' lines without a header are
read by linux, whatever product they run on (Blue Coat). *Addresses*: source, destination and translated addresses, ports and the protocol
are exactly as expected. *Meaning*: action, disposition, user, URL, domain, DNS name, rule, signature, HTTP method and status, bytes. Where
the data expects what we hold to be wrong we did not follow it: the user `-` of Squid and Apache, a tag with its colon as action (Junos), a
log-on domain as the domain that was asked for (FortiClient), an allow for a failed log-on (F5), root as the user where admin ran a command
by sudo (Nexus).

The last two columns are of the parser that reads most of the vendor's lines, in thousands of lines a second.

| vendor | lines | read % | addresses % | meaning % | parsers | one core | both |
|---|---:|---:|---:|---:|---|---:|---:|"""
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
        order = sorted(normaliser.parsers.parsers, key=lambda one: (one.tier, one.name))
        figures = {one.name: _measured(normaliser, one.name) for one in order}
    print(_head(found, total))
    for score in (*found, total):
        print(_accuracy(score, figures))
    print(_SPEED.format(reference=_REFERENCE))
    for one in order:
        print(_speed(one, figures[one.name], figures[_REFERENCE].seconds_per_line))
    print(_slow(figures))


def _head(found: Sequence[Score], total: Score) -> str:
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    return _HEAD.format(day=f"{datetime.now(UTC):%Y-%m-%d}", machine=machine, lines=total.lines, vendors=len(found))


def _accuracy(score: Score, figures: Mapping[str, Figures]) -> str:
    family = FAMILIES.get(score.vendor, ())
    names = [name for name, _ in score.parsers.most_common() if family and name.startswith(family)]
    core = f"{score.core_share:.1%}" if score.core[1] else ""
    soft = f"{score.soft_share:.1%}" if score.soft[1] else ""
    shares = f"{score.read_share:.1%} | {core} | {soft}".replace("%", "")
    return (
        f"| {score.vendor} | {score.lines:,} | {shares} | {', '.join(sorted(names))} | {_rates(figures.get(names[0]) if names else None)} |"
    )


def _rates(figures: Figures | None) -> str:
    if figures is None:
        return " | "
    return f"{1 / figures.seconds_per_line / 1000:.0f} | {figures.lines_per_second_both / 1000:.0f}"


def _speed(one: Parser, figures: Figures, base: float) -> str:
    times = figures.seconds_per_line / base
    mark = f"**{times:.1f}**" if times > _SLOW else f"{times:.1f}"
    about = f"{one.vendor} {one.product}" if one.tier is Tier.PRODUCT else one.tier.name.lower()
    rates = f"{1 / figures.seconds_per_line:,.0f} | {figures.lines_per_second_both:,.0f}"
    return f"| {one.name} | {about} | {one.version} | {figures.bytes_per_line:.0f} | {rates} | {mark} |"


def _slow(figures: Mapping[str, Figures]) -> str:
    base = figures[_REFERENCE].seconds_per_line
    slow = [name for name, one in figures.items() if one.seconds_per_line > _SLOW * base]
    return "\nMore than three times slower:\n\n" + "\n".join(f"- `{name}` {_REASONS.get(name, 'is to be mended.')}" for name in slow)


def _measured(normaliser: Normaliser, name: str) -> Figures:
    print(name, file=sys.stderr)
    return measure(normaliser, normaliser.parsers.by_name[name])


if __name__ == "__main__":
    main()
