"""Every rule of ours fires on its matching raw lines and on none of the others, through the real parsers and the real detector.

Every correlation fires on the sequences that it should, for the groups that it should.
"""

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
from core.engine import Engine, Session
from detect.correlation.definition import Correlation
from detect.correlation.resolve import resolve
from detect.rules import OWN_RULES, Rule, load
from detect.ruleset import SETTINGS, Plan, compile_rules
from ingest import rawbatch
from ingest.compile import ParserSet
from ingest.enrichment.library import Library
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin
from tests import sequences

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
def session(engine: Engine) -> Iterator[Session]:
    session = engine.session(SETTINGS)
    yield session
    session.close()


@pytest.fixture(scope="module")
def plan(session: Session) -> Plan:
    """All rules; the detector does not tell of those that only correlations look at."""
    return compile_rules(BOOK.rules, session, BOOK.set_aside)


def samples_of(rule: Rule | Correlation) -> dict[str, list[dict[str, Any]]]:
    return yaml.safe_load(Path(rule.file).with_suffix(".samples.yml").read_text("utf-8"))


def test_every_rule_of_ours_loads_and_compiles(plan: Plan) -> None:
    assert plan.set_aside == []
    assert len(plan.active) >= 120
    assert resolve(BOOK).set_aside == ()
    assert len(resolve(BOOK).correlations) >= 40


@pytest.mark.parametrize("rule", [*BOOK.rules, *BOOK.correlations], ids=lambda rule: Path(rule.file).stem)
def test_a_rule_tells_the_analyst_what_to_do(rule: Rule | Correlation) -> None:
    assert {"title_ko", "response_ko", "response_en"} <= set(rule.custom["custom"])
    assert any(tag.startswith("attack.t") for tag in rule.tags), rule.tags
    assert not BOOK.set_aside


@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: Path(rule.file).stem)
def test_a_rule_fires_on_its_lines_alone(rule: Rule, normaliser: Normaliser, session: Session, plan: Plan) -> None:
    samples = samples_of(rule)
    assert samples["match"], "a rule needs lines it matches"
    assert samples["no_match"], "a rule needs lines it does not match"
    marked = [(sample, True) for sample in samples["match"]] + [(sample, False) for sample in samples["no_match"]]
    message = rawbatch.message(Origin("gu", "samples", "file"), NOW, [sample["line"].encode() for sample, _ in marked])
    done = normaliser.normalise([Record("logs.raw", 0, 0, message.value, message.headers, NOW)], "e1")
    assert done.quarantine.num_rows == 0, done.quarantine.select(["raw", "reason", "detail"]).to_pylist()
    parsers = done.events.column("parser").to_pylist()
    assert parsers == [sample["parser"] for sample, _ in marked]
    found = plan.run(session, done.events)
    fired = {int(row) for number, row in zip(found.rules, found.rows, strict=True) if plan.rules[number].rule.id == rule.id}
    assert fired == {place for place, (_, wanted) in enumerate(marked) if wanted}, [
        (sample["because"], place in fired) for place, (sample, wanted) in enumerate(marked) if (place in fired) != wanted
    ]


@pytest.mark.parametrize("correlation", BOOK.correlations, ids=lambda correlation: Path(correlation.file).stem)
def test_a_correlation_fires_on_its_sequences_alone(correlation: Correlation, normaliser: Normaliser, engine: Engine) -> None:
    samples = samples_of(correlation)["sequences"]
    assert {bool(sample["fires"]) for sample in samples} == {True, False}, "it needs sequences it fires on, and others"
    for sample in samples:
        rows = sequences.events(normaliser, sample)
        assert sequences.groups(engine, BOOK, correlation, rows) == sample["fires"], sample["because"]
