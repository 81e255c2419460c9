"""Every rule of ours fires on its matching raw lines and on none of the others, through the real parsers and the real detector."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.bus.contract import Record
from core.clock import FixedClock
from core.config import IntakeSettings
from core.engine import Engine
from detect.rules import OWN_RULES, Rule, load
from detect.stream import Detector
from ingest import rawbatch
from ingest.compile import ParserSet
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin

NOW = datetime(2026, 5, 4, 1, 12, tzinfo=UTC)
BOOK = load([OWN_RULES])


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def normaliser(engine: Engine) -> Iterator[Normaliser]:
    normaliser = Normaliser(engine, ParserSet.load(), IntakeSettings(), FixedClock(NOW))
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
