"""The methods of the baselines by themselves: what is compared with what, and how regular is regular."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core import config
from core.baseline_settings import FIRST_SEEN_TERMS, RARE_TERMS, BaselineSettings, FallingSettings
from core.engine import Engine
from detect.baselines.beacon import regularity
from detect.baselines.detector import Window, end_of, windows
from detect.baselines.falling import threshold_of as falling_threshold
from detect.baselines.outbound import threshold_of
from detect.baselines.seasons import WEEK_HOURS, Usual, hour_of, like, start_of, usual
from detect.baselines.silence import missed_slots
from detect.baselines.sources import Hour, Source
from detect.baselines.watch import DETECTORS

Score = Callable[[list[int]], float]
AT = datetime(2026, 5, 20, 3, 0, tzinfo=UTC)
FIVE = timedelta(minutes=5)

# ---- hours and windows ----


@given(st.integers(400_000, 600_000), st.integers(0, 1000))
def test_an_hour_is_compared_with_hours_like_it_that_are_known(hour: int, age: int) -> None:
    compared = like(hour, hour - age)
    assert all(hour - age <= one < hour for one in compared)
    assert len({(hour - one) % 24 for one in compared} | {0}) == 1
    if age >= WEEK_HOURS:
        assert compared == [hour - WEEK_HOURS * week for week in range(1, min(age // WEEK_HOURS, 4) + 1)]
    else:
        assert len(compared) == min(age // 24, 6)


def test_an_outage_and_a_rush_among_four_weeks_do_not_count() -> None:
    hour = hour_of(AT)
    assert start_of(hour) == AT
    lines = {hour - 168: 0.0, hour - 336: 300.0, hour - 504: 310.0, hour - 672: 9000.0}
    assert usual(lines, hour, hour - 700) == Usual(305.0, pytest.approx(1.4826 * 155.0), 4)
    assert usual(lines, hour, hour) is None


@given(st.timedeltas(timedelta(0), timedelta(days=400)), st.integers(0, 500), st.sampled_from([5, 60]))
def test_windows_follow_one_another_and_lie_within(since: timedelta, minutes: int, every: int) -> None:
    start, step = AT + since, timedelta(minutes=every)
    end = start + timedelta(minutes=minutes)
    found = list(windows(step, start, end))
    assert all(start <= one.start and one.end <= end and one.end - one.start == step for one in found)
    assert all(one.end == after.start for one, after in pairwise(found))
    assert all(one.tick % every == 0 and end_of(one.tick) == one.end for one in found)
    assert len(found) >= (end - start) // step - 1


def test_a_tick_is_a_number_of_minutes() -> None:
    assert Window(AT - FIVE, AT).tick == AT.timestamp() / 60


# ---- silence and falling volume ----


def source(days: float) -> Source:
    return Source("gangnam", "fw1", AT - timedelta(days=days), AT)


def slots(minutes: int) -> list[datetime]:
    return [AT + n * FIVE for n in range(minutes // 5)]


@given(st.integers(0, 12), st.integers(0, 600))
def test_slots_missed_add_up_to_the_share_that_is_usual(active: int, minutes: int) -> None:
    sent = {hour_of(AT) - back: Hour(100, active) for back in range(24 * 15)}
    missed = missed_slots(source(14), sent, slots(minutes))
    assert missed == pytest.approx(active / 12 * max(0, minutes // 5 - 1))  # in the first it was heard


def test_no_slot_is_missed_where_nobody_watched_or_nothing_is_known() -> None:
    sent = {hour_of(AT) - back: Hour(100, 12) for back in range(24 * 15)}
    assert missed_slots(source(14), sent, []) == 0
    assert missed_slots(source(0.5), sent, slots(600)) == 0


@pytest.mark.parametrize(
    ("median", "deviation", "expected"),
    [(1000, 0, 500), (1000, 100, 500), (1000, 250, 250), (1000, 400, 0), (199, 0, 0)],
    ids=["half", "half is further", "three deviations are further", "too uneven", "too few lines"],
)
def test_the_threshold_of_a_falling_volume(median: float, deviation: float, expected: float) -> None:
    assert falling_threshold(Usual(median, deviation, 4), FallingSettings()) == expected


# ---- beacons ----


@pytest.fixture(scope="module")
def score() -> Iterator[Score]:
    """The regularity of a list of numbers, by the engine."""
    engine = Engine()
    session = engine.session()

    def of(values: list[int]) -> float:
        return float(
            session.arrow(f"SELECT {regularity('v')} AS score FROM (SELECT {{v:Array(UInt64)}} AS v)", params={"v": values})[0][0].as_py()
        )

    yield of
    session.close()
    engine.close()


INTERVALS = st.lists(st.integers(1, 100_000), min_size=5, max_size=40)


@settings(deadline=None)
@given(INTERVALS, st.integers(2, 50))
def test_regularity_does_not_depend_on_order_or_unit(score: Score, intervals: list[int], factor: int) -> None:
    expected = score(intervals)
    assert 0 <= expected <= 1
    assert score(sorted(intervals)) == pytest.approx(expected)
    assert score([factor * one for one in intervals]) == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(1, 100_000), st.integers(5, 40))
def test_a_clock_is_perfectly_regular(score: Score, interval: int, count: int) -> None:
    assert score([interval] * count) == 1


def test_regularity_by_hand(score: Score) -> None:
    # quartiles 20, 30, 40: no skew; deviations 20, 10, 0, 10, 20 with median 10: a third of the median
    assert score([10, 20, 30, 40, 50]) == pytest.approx((1 + 2 / 3) / 2)


# ---- outbound volume ----

BYTES = st.lists(st.floats(1, 1e12), min_size=0, max_size=40)


@given(BYTES, BYTES, st.floats(1, 1e12), st.floats(1, 10), st.floats(1.5, 1000))
def test_a_threshold_scales_with_what_is_sent(own: list[float], peers: list[float], floor: float, deviations: float, factor: float) -> None:
    once = threshold_of(own, peers, floor, deviations, 24, 5)
    scaled = threshold_of([factor * b for b in own], [factor * b for b in peers], factor * floor, deviations, 24, 5)
    assert (once is None) == (len(own) < 24 and len(peers) < 5) == (scaled is None)
    if once and scaled:
        assert scaled.bytes == pytest.approx(factor * once.bytes)
        assert once.bytes >= floor


@given(st.lists(st.floats(1, 1e12), min_size=24, max_size=40), st.floats(1, 1e12))
def test_what_a_host_always_sent_is_never_too_much(own: list[float], floor: float) -> None:
    found = threshold_of(own, [], floor, 6, 24, 5)
    assert found is not None
    assert sum(one > found.bytes for one in own) <= 1


# ---- settings and descriptions ----


def test_an_agencys_settings_change_what_they_name_alone() -> None:
    chosen = BaselineSettings.model_validate({"silence": {"slots": 4}, "agencies": {"mapo": {"silence": {"learn_hours": 48}}}})
    assert (chosen.of("mapo").silence.slots, chosen.of("mapo").silence.learn_hours) == (4, 48)
    assert chosen.of("gangnam").silence.learn_hours == 24


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        ({"agencies": {"mapo": {"silence": {"slotz": 1}}}}, r"agencies\.mapo\.silence\.slotz"),
        ({"agencies": {"mapo": {"noise": {}}}}, r"agencies\.mapo\.noise"),
        ({"first_seen": {"terms": [{"name": "x", "title": "x", "columns": ["nothing"]}]}}, "no column 'nothing'"),
        ({"first_seen": {"terms": [{"name": "x", "title": "x", "columns": ["user"], "when": {"dst_port": ["1"]}}]}}, "no column of text"),
    ],
)
def test_wrong_settings_are_refused(tree: Mapping[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        BaselineSettings.model_validate(tree)


def test_terms_of_ones_own_stand_beside_ours_or_take_their_place() -> None:
    own = {"name": "app_proto", "title": "t", "columns": ["app_proto"]}
    instead = {"name": RARE_TERMS[0].name, "title": "mine", "columns": ["app"]}
    chosen = BaselineSettings.model_validate({"rare": {"terms": [own, instead], "disabled_terms": [RARE_TERMS[1].name]}})
    assert {term.name: term.title for term in chosen.rare.watched} == {
        RARE_TERMS[0].name: "mine",
        RARE_TERMS[2].name: RARE_TERMS[2].title,
        "app_proto": "t",
    }


def test_the_example_of_the_page_is_valid() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "baselines.md").read_text("utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    agencies = [{"id": "jongno-gu", "name_ko": "종로구청"}]
    chosen = config.validate({"agencies": agencies, **yaml.safe_load(example)}).detect.baselines
    assert "camera_user" in {term.name for term in chosen.first_seen.watched}
    assert not chosen.of("jongno-gu").rare.enabled
    for name, value in (("slots", 3), ("learn_hours", 24)):
        assert f"`{name}` ({value})" in page
        assert getattr(BaselineSettings().silence, name) == value
    assert all(f"`{term.name}`" in page for term in (*FIRST_SEEN_TERMS, *RARE_TERMS))


def test_detectors_are_told_apart_and_described() -> None:
    words = [detector.about.word for detector in DETECTORS]
    assert len(set(words)) == len({detector.about.rule_id for detector in DETECTORS}) == len(DETECTORS)
    assert all(word.isalnum() for word in words)  # part of an epoch
    assert all(detector.about.title_ko and detector.about.tags for detector in DETECTORS)
    assert all(term.title_ko for term in (*FIRST_SEEN_TERMS, *RARE_TERMS))
