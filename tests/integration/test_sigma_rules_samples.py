"""Every rule of ours fires on its matching raw lines and on none of the others, through the real parsers and the real detector."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from core.bus.contract import Record
from core.clock import FixedClock
from core.config import EnrichmentSettings, IntakeSettings
from core.engine import Engine
from detect.rules import OWN_RULES, Rule, load
from detect.stream import Detector
from ingest import rawbatch
from ingest.compile import ParserSet
from ingest.enrichment.library import Library
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin

NOW = datetime(2026, 5, 4, 1, 12, tzinfo=UTC)
BOOK = load([OWN_RULES])
ASSETS = """cidr,system,owner,importance
10.30.0.0/24,tax system,Kim,critical
10.40.0.0/24,교통 CCTV 카메라,Park,high
"""
COUNTRIES = {"203.0.113.0/24": "NL", "198.51.100.0/24": "KR", "192.0.2.0/24": "NL"}
KNOWN_BAD = "192.0.2.66\nbad.example\n"


def dictionaries(folder: Path) -> EnrichmentSettings:
    """What samples are enriched with; `docs/adding-a-rule.md` tells rule writers."""
    (folder / "assets.csv").write_text(ASSETS, encoding="utf-8")
    (folder / "known_bad.txt").write_text(KNOWN_BAD, encoding="utf-8")
    writer = MMDBWriter(4, "GeoLite2-Country", languages=["en"], description="of the tests")
    for cidr, code in COUNTRIES.items():
        writer.insert_network(IPSet([cidr]), {"country": {"iso_code": code}})
    writer.to_db_file(str(folder / "country.mmdb"))
    return EnrichmentSettings(
        assets=folder / "assets.csv", country_db=folder / "country.mmdb", known_bad={"samples": folder / "known_bad.txt"}
    )


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def normaliser(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Normaliser]:
    library = Library(dictionaries(tmp_path_factory.mktemp("dictionaries")), ["gu"])
    library.refresh()
    normaliser = Normaliser(engine, ParserSet.load(), IntakeSettings(), FixedClock(NOW), library)
    yield normaliser
    normaliser.close()


@pytest.fixture(scope="module")
def detector(engine: Engine) -> Iterator[Detector]:
    detector = Detector(engine, BOOK, FixedClock(NOW))
    yield detector
    detector.close()


def samples_of(rule: Rule) -> dict[str, list[dict[str, Any]]]:
    return yaml.safe_load(Path(rule.file).with_suffix(".samples.yml").read_text("utf-8"))


def test_every_rule_of_ours_loads_and_compiles(detector: Detector) -> None:
    assert detector.plan.set_aside == []
    assert len(detector.plan.active) >= 10


@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: Path(rule.file).stem)
def test_a_rule_tells_the_analyst_what_to_do(rule: Rule) -> None:
    assert {"title_ko", "response_ko", "response_en"} <= set(rule.custom["custom"])
    assert any(tag.startswith("attack.t") for tag in rule.tags), rule.tags
    assert not BOOK.set_aside


@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: Path(rule.file).stem)
def test_a_rule_fires_on_its_lines_alone(rule: Rule, normaliser: Normaliser, detector: Detector) -> None:
    samples = samples_of(rule)
    assert samples["match"], "a rule needs lines it matches"
    assert samples["no_match"], "a rule needs lines it does not match"
    marked = [(sample, True) for sample in samples["match"]] + [(sample, False) for sample in samples["no_match"]]
    message = rawbatch.message(Origin("gu", "samples", "file"), NOW, [sample["line"].encode() for sample, _ in marked])
    done = normaliser.normalise([Record("logs.raw", 0, 0, message.value, message.headers, NOW)], "e1")
    assert done.quarantine.num_rows == 0, done.quarantine.select(["raw", "reason", "detail"]).to_pylist()
    parsers = done.events.column("parser").to_pylist()
    assert parsers == [sample["parser"] for sample, _ in marked]
    found = detector.detect(done.events)
    fired = {row["raw_line"] for row in found.to_pylist() if row["rule_id"] == rule.id}
    assert fired == {place for place, (_, wanted) in enumerate(marked) if wanted}, [
        (sample["because"], place in fired) for place, (sample, wanted) in enumerate(marked) if (place in fired) != wanted
    ]
