"""What our rules find in other people's attack logs: `python -m tests.crowdsec > docs/detection-coverage.md`.

Every folder of `shared/samples/telemetry/crowdsec` holds the log of an attack and what must come of it (its README.md). Its lines run
through the real parsers and the real rules: plain rules as the detector runs them, correlations by `detect.correlation.history.fires`.
An attacker counts as found when a detection names the address: as source of its event or of one of its events, or as what it groups by.
"""

from __future__ import annotations

import ipaddress
import json
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import structlog
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from core.clock import FixedClock
from core.config import EnrichmentSettings, IntakeSettings, WarningSettings
from core.engine import Engine
from core.events import parse_event_id
from core.storage.rows import to_jsonable
from detect.correlation.history import fires
from detect.correlation.resolve import AGENCY
from detect.rules import OWN_RULES, RuleBook, load
from detect.stream import Detector
from ingest.compile import ParserSet
from ingest.enrichment.library import Library
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin
from respond.warnings import levels
from tests.conftest import SAMPLES
from tests.parsing import record

OFF_AT_NORMAL: Final = frozenset(rule for one in levels.load(WarningSettings()).rule_sets for rule in one.rules)
"""Rules that run only at a level of a warning: what is told here is found without them."""
FOLDER: Final = SAMPLES / "telemetry" / "crowdsec"
NOW: Final = datetime(2026, 3, 5, 6, 0, tzinfo=UTC)
COUNTRIES: Final = {"1.2.3.0/24": "AU", "9.8.8.0/24": "US"}  # what the scenarios of travel are about, as the registries have it
OTHER_CLASS: Final[Mapping[str, str]] = {
    "CVE-2023-4911": "the kernel's log of a crashing program, which names no address",
    "auditd-postexploit-rm": "audit of processes on a host: the attacker is a process number",
    "auditd-suid-crash": "audit of processes on a host: the attacker is a program",
    "laurel-base64-exec": "audit of processes on a host: the attacker is a process number",
    "laurel-suid-crash": "audit of processes on a host: the attacker is a program",
    "cve-2023-23397": "processes on a workstation (Sysmon): the attacker is an account",
    "aws-cloudtrail-postexploit": "the attacker is an account of a cloud, not an address",
    "aws-nwo-login": "the attacker is an account of a cloud, not an address",
    "magento-ccs": "payments of a shop: fraud, no attack on a system",
    "magento-ccs-by-country": "payments of a shop: fraud, no attack on a system",
}
"""Folders whose attackers are no addresses, or whose logs are of no class of ours; why."""
_SOURCE: Final = re.compile(r'"([^"]*)" in results\[\d+\][.]Overflow[.]GetSources')
_SCENARIO: Final = re.compile(r'GetScenario\(\) == "([^"]*)"')


@dataclass(slots=True)
class Found:
    """What came of one folder. `by`: for each attacker the titles of the rules that name it."""

    name: str
    scenarios: tuple[str, ...]
    attackers: tuple[str, ...]
    lines: int
    parsers: Counter[str] = field(default_factory=Counter)
    by: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def ours(self) -> bool:
        """Whether there is an attacker to find in a log of one of our classes."""
        return bool(self.attackers) and self.name not in OTHER_CLASS

    @property
    def missed(self) -> list[str]:
        return [one for one in self.attackers if not self.by.get(one)]


@contextmanager
def judge(rules: Path = OWN_RULES) -> Iterator[Judge]:
    """A judge with an engine of its own."""
    engine = Engine()
    with tempfile.TemporaryDirectory() as folder:
        library = Library(_countries(Path(folder)), ["gu"])
        library.refresh()
        normaliser = Normaliser(engine, ParserSet.load(), IntakeSettings(), FixedClock(NOW), library)
        book = load([rules], disabled=OFF_AT_NORMAL)
        detector = Detector(engine, book, FixedClock(NOW))
        try:
            yield Judge(engine, normaliser, book, detector)
        finally:
            detector.close()
            normaliser.close()
            engine.close()


def _countries(folder: Path) -> EnrichmentSettings:
    writer = MMDBWriter(4, "GeoLite2-Country", languages=["en"], description="of the tests")
    for cidr, code in COUNTRIES.items():
        writer.insert_network(IPSet([cidr]), {"country": {"iso_code": code}})
    writer.to_db_file(str(folder / "country.mmdb"))
    return EnrichmentSettings(country_db=folder / "country.mmdb")


@dataclass(frozen=True, slots=True)
class Judge:
    """The real parsers and rules."""

    engine: Engine
    normaliser: Normaliser
    book: RuleBook
    detector: Detector

    def folders(self, folders: Sequence[Path]) -> list[Found]:
        """What comes of the log of each folder. All run at once, each as an agency of its own, so that none counts for another.

        A line without a time of its own happened a second after the one before.
        """
        found = {folder.name: _asked(folder) for folder in folders}
        lines = [(folder.name, place, line) for folder in folders for place, line in enumerate(_lines(folder))]
        records = [
            record([line], offset, origin=Origin(name, "log", "file"), at=NOW + timedelta(seconds=place))
            for offset, (name, place, line) in enumerate(lines)
        ]
        done = self.normaliser.normalise(records, "e1")
        for name, parser in zip(*done.events.select(["agency", "parser"]).to_pydict().values(), strict=True):
            found[name].parsers[parser] += 1
        for name, reason in zip(*done.quarantine.select(["agency", "reason"]).to_pydict().values(), strict=True):
            found[name].parsers[f"({reason})"] += 1
        for row in to_jsonable(self.detector.detect(done.events)):
            found[row["agency"]].by[_address(row.get("src_ip", ""))].add(row["rule_title"])
        self._correlated(done.events, found)
        return list(found.values())

    def _correlated(self, events: pa.Table, found: Mapping[str, Found]) -> None:
        rows = zip(events.column("raw_offset").to_pylist(), to_jsonable(events), strict=True)
        sources = {offset: row.get("src_ip", "") for offset, row in rows}
        for row in fires(self.book, events, self.engine).to_pylist():
            group = json.loads(row["details"])["group"]
            if AGENCY not in group:  # it is about several agencies, which here are several attacks
                continue
            named = {sources[parse_event_id(event)[2]] for event in json.loads(row["details"])["events"]}
            for value in named.union(group.values()):
                found[row["agency"]].by[_address(value)].add(row["rule_title"])


def _asked(folder: Path) -> Found:
    said = (folder / "scenario.assert").read_text("utf-8")
    attackers = sorted(set(map(_address, _SOURCE.findall(said))))
    return Found(folder.name, tuple(dict.fromkeys(_SCENARIO.findall(said))), tuple(attackers), len(_lines(folder)))


def _lines(folder: Path) -> list[bytes]:
    logs = sorted(path for path in folder.iterdir() if path.name not in ("config.yaml", "scenario.assert"))
    return [line for log in logs for line in log.read_bytes().splitlines() if line.strip()]


def _address(text: str) -> str:
    """An address as we write it; other text as it is."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    return str(getattr(address, "ipv4_mapped", None) or address)


def all_folders() -> list[Path]:
    return sorted(path for path in FOLDER.iterdir() if path.is_dir())


def page(found: list[Found]) -> Iterator[str]:
    """The lines of docs/detection-coverage.md."""
    ours = [one for one in found if one.ours]
    attackers = sum(len(one.attackers) for one in ours)
    missed = sum(len(one.missed) for one in ours)
    yield "# What the rules find in recorded attacks\n"
    yield "Made by `python -m tests.crowdsec > docs/detection-coverage.md`, held by `tests/integration/test_detection_coverage.py`.\n"
    yield (
        f"{len(found)} logs of CrowdSec's own tests (MIT). {len(ours)} of them are of our log classes and name attackers: "
        f"{attackers} addresses, of which the rules in `sigma_rules/` find {attackers - missed}.\n"
        "An address is found when a detection names it; where several rules do, two of them are shown.\n"
    )
    yield "| log | attack | lines | read by | attackers | found | by, or why not |\n|---|---|---|---|---|---|---|"
    for one in found:
        yield _row(one)


def _row(one: Found) -> str:
    read = ", ".join(f"{name} {count}" for name, count in one.parsers.most_common(3))
    attack = ", ".join(scenario.split("/")[-1] for scenario in one.scenarios) or "-"
    total = len(one.attackers)
    if not total:
        return f"| {one.name} | {attack} | {one.lines} | {read} | 0 | - | a sample of lines, no attack |"
    if one.name in OTHER_CLASS:
        return f"| {one.name} | {attack} | {one.lines} | {read} | {total} | - | {OTHER_CLASS[one.name]} |"
    titles = Counter(title for attacker in one.attackers for title in one.by.get(attacker, ()))
    why = "; ".join(title for title, _ in sorted(titles.items(), key=lambda item: (-item[1], item[0]))[:2])
    if one.missed:
        why = f"{why}{'; ' if why else ''}not found: {', '.join(one.missed)}"
    return f"| {one.name} | {attack} | {one.lines} | {read} | {total} | {total - len(one.missed)} | {why} |"


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with judge() as judging:
        found = judging.folders(all_folders())
    sys.stdout.write("\n".join(page(found)) + "\n")


if __name__ == "__main__":
    main()
