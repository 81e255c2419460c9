"""Correlations as agencies have them, and as they change: through the real detector, store and stage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.rule_records import EVERY_AGENCY
from detect.correlation.definition import Bound
from detect.tuning import Change, Tunings
from tests.correlating import BASES, COUNT, Centre, book, correlation, event, opened, rule_id

MANY, ACROSS, MEMBER = rule_id(11), rule_id(12), rule_id(1)
EVERYWHERE = correlation(
    12,
    "Everywhere",
    "type: value_count, rules: [a], group-by: [src_ip], timespan: 1m, condition: {field: agency, gte: 2}",
    more="bongsu_across_agencies: true\n",
)


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    async with opened(tmp_path) as centre:
        yield centre


async def fired(centre: Centre, tunings: Tunings, *documents: str, events: int = 8) -> list[tuple[str, str, str, str]]:
    """Title, agency, level and completing line of what fires on some events of one second at each of two agencies."""
    rule = book(*BASES, *(documents or (COUNT,)))
    batch = [event(n * 2 + place, 0.1 * n, agency=agency) for n in range(events) for place, agency in enumerate(("gu", "dong"))]
    await centre.detect(rule, [batch], tunings=tunings)
    stage = centre.stage(rule)
    stage.tunings = tunings
    await centre.correlate(stage)
    return sorted((row["rule_title"], row["agency"], row["rule_level"], row["raw"]) for row in (await centre.detections()).to_pylist())


def of(**changes: Change) -> Tunings:
    return Tunings({(MANY, agency): change for agency, change in changes.items()})


async def test_an_agency_has_a_threshold_of_its_own(centre: Centre) -> None:
    """Also one that is higher than the rule's, for which more rows of a second must be kept than the rule needs."""
    tunings = of(gu=Change(bounds=(Bound(">=", 8.0),)))
    assert await fired(centre, tunings) == [("Many", "dong", "high", "line 5"), ("Many", "gu", "high", "line 14")]


async def test_a_threshold_that_is_not_reached_keeps_it_quiet_there_alone(centre: Centre) -> None:
    tunings = of(gu=Change(bounds=(Bound(">", 8.0),)))
    assert await fired(centre, tunings) == [("Many", "dong", "high", "line 5")]


async def test_an_agency_has_another_level_or_none_of_it(centre: Centre) -> None:
    tunings = of(gu=Change(level="low"), dong=Change(enabled=False))
    assert await fired(centre, tunings) == [("Many", "gu", "low", "line 4")]


async def test_a_member_that_is_off_at_an_agency_counts_for_nothing_there(centre: Centre) -> None:
    tunings = Tunings({(MEMBER, "gu"): Change(enabled=False)})
    assert await fired(centre, tunings) == [("Many", "dong", "high", "line 5")]


async def test_one_across_agencies_is_changed_for_all_of_them(centre: Centre) -> None:
    at_one = Tunings({(ACROSS, "gu"): Change(enabled=False)})
    assert await fired(centre, at_one, EVERYWHERE) == [("Everywhere", "dong", "high", "line 1")]


async def test_one_across_agencies_that_is_off_is_off(centre: Centre) -> None:
    assert await fired(centre, Tunings({(ACROSS, EVERY_AGENCY): Change(enabled=False)}), EVERYWHERE) == []


async def test_a_stage_takes_changed_correlations_between_two_batches(centre: Centre) -> None:
    before, after = book(*BASES, COUNT), book(*BASES, COUNT.replace("gte: 3", "gte: 2"))
    stage = centre.stage(before)
    await centre.detect(before, [[event(0, 0), event(1, 1)]])
    await centre.correlate(stage)
    assert (await centre.detections()).num_rows == 0
    stage.replace(after)
    await centre.detect(after, [[event(2, 2), event(3, 3)]])
    await centre.correlate(stage)
    assert (await centre.detections())["raw"].to_pylist() == ["line 3"], "its matches so far carry the hash of the rule before"
