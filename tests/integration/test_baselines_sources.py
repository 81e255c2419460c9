"""Silent and falling sources, found in invented weeks whose truth is known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from detect.baselines.falling import Falling
from detect.baselines.silence import Silence
from tests.baselines import NOON, Lab, ago, open_lab

DAY = 86_400


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with open_lab(tmp_path) as opened:
        yield opened


async def weeks_of(lab: Lab, source: str, *, until_seconds_ago: float = 0, agency: str = "gangnam", days: float = 9) -> None:
    """A line each 100 seconds, by day and night."""
    seconds = days * DAY - until_seconds_ago
    await lab.events(ago(days=days), 100, int(seconds / 100), source=f"'{source}'", agency=f"'{agency}'")


async def first_told(lab: Lab, minutes: int) -> dict[str, int]:
    """After how many minutes from NOON on each source is told of, when nobody sends any more; ticks remember as the watch lets them."""
    found: dict[str, int] = {}
    watch = lab.watch("silence")
    for minute in range(0, minutes, 5):
        lab.clock.advance(timedelta(minutes=5))
        await watch.step()
        for row in await lab.told():
            assert row["source"] not in found, "told twice"
            found[row["source"]] = minute + 5
    return found


async def test_a_silent_source_is_told_within_a_quarter_of_an_hour_and_once(lab: Lab) -> None:
    await weeks_of(lab, "fw1")
    await lab.was_watched(ago(days=8), NOON)
    assert await first_told(lab, 60) == {"fw1": 20}  # three slots, and the one the watch began in


async def test_a_source_that_sends_one_batch_an_hour_is_given_three_hours(lab: Lab) -> None:
    await lab.events(ago(days=28), 3600, 28 * 24, source="'batch'")
    await lab.was_watched(ago(days=8), NOON + timedelta(hours=4))
    hour = timedelta(hours=1)
    assert [bool(await lab.subjects(Silence(), NOON + n * hour)) for n in (1, 1.5, 2, 2.5)] == [False, False, False, True]


async def test_a_source_that_is_quiet_at_night_is_silent_by_day_only(lab: Lab) -> None:
    # 08:00 to 20:00 in Seoul, which is 23:00 to 11:00 UTC; it fell silent at 20:00 yesterday, as every day
    for day in range(28, 0, -1):
        await lab.events(ago(days=day) - timedelta(hours=4), 60, 12 * 60, source="'office'")
    await lab.was_watched(ago(days=8), NOON + timedelta(hours=4))
    opening = ago(hours=4)
    assert await lab.subjects(Silence(), opening) == set()
    assert await lab.subjects(Silence(), opening + timedelta(minutes=10)) == set()
    assert await lab.subjects(Silence(), opening + timedelta(minutes=15)) == {("gangnam", "office")}


async def test_a_new_source_is_not_judged_until_it_is_known(lab: Lab) -> None:
    await weeks_of(lab, "old", days=3, until_seconds_ago=3600)
    await weeks_of(lab, "new", days=1.5, until_seconds_ago=3600)
    await lab.was_watched(ago(days=8), NOON)
    assert await lab.subjects(Silence(), NOON) == {("gangnam", "old"), ("gangnam", "new")}
    assert await lab.subjects(Silence(), NOON, {"silence": {"learn_hours": 48}}) == {("gangnam", "old")}


async def test_quarantined_lines_are_a_sign_of_life_and_replays_are_not(lab: Lab) -> None:
    for source in ("quarantined", "replayed", "dead"):
        await weeks_of(lab, source, until_seconds_ago=3600)
    await lab.events(ago(hours=1), 100, 36, source="'quarantined'", table="quarantine", reason="'no_parser'")
    await lab.events(ago(hours=1), 100, 36, source="'replayed'", intake_flags="128")
    await lab.was_watched(ago(days=8), NOON)
    assert await lab.subjects(Silence(), NOON) == {("gangnam", "replayed"), ("gangnam", "dead")}


async def test_nothing_is_held_against_a_source_while_nobody_was_there(lab: Lab) -> None:
    await weeks_of(lab, "fw1", until_seconds_ago=3600)
    await lab.was_watched(ago(days=8), ago(minutes=55))
    assert await lab.subjects(Silence(), NOON) == set()
    await lab.was_watched(ago(minutes=15), NOON)
    assert await lab.subjects(Silence(), NOON) == {("gangnam", "fw1")}


async def test_what_a_detection_of_silence_says(lab: Lab) -> None:
    await weeks_of(lab, "fw1", until_seconds_ago=7200)
    await lab.was_watched(ago(days=8), NOON)
    watch = lab.watch("silence")
    await watch.step()
    (row,) = await lab.told()
    assert (row["kind"], row["origin"], row["agency"], row["source"]) == ("baseline", "stream", "gangnam", "fw1")
    assert (row["src_ip"], row["user"], row["rule_level"]) == (None, "", "medium")
    assert row["rule_title"] == "Log source has fallen silent: fw1"
    details = row["details"]
    assert details["title_ko"] == "로그 수집원이 침묵함: fw1"
    assert (details["silent_minutes"], details["window"]["since"]) == (125, "2040-05-23T00:55:00Z")
    assert row["device"] == "fw1"
    assert (details["observed"], details["expected"], details["threshold"]) == (0, 24.0, 3.0)
    assert len(details["events"]) == details["event_count"] == 3  # of its last five minutes


async def test_a_fallen_volume_is_told_and_a_usual_one_is_not(lab: Lab) -> None:
    for source, usually, now in (("fallen", 10, 60), ("steady", 10, 15), ("thin", 60, 600)):  # seconds between lines
        await lab.events(ago(days=29), 60, 1, source=f"'{source}'")
        for week in (4, 3, 2, 1):
            await lab.events(ago(days=7 * week, hours=1), usually, 3600 // usually, source=f"'{source}'")
        await lab.events(ago(hours=1), now, 3600 // now, source=f"'{source}'")
    await lab.was_watched(ago(hours=2), NOON)
    found = {finding.subject: finding.details for finding in (await lab.ask(Falling(), NOON)).findings}
    assert set(found) == {"fallen"}
    assert (found["fallen"]["observed"], found["fallen"]["expected"], found["fallen"]["threshold"]) == (60, 360, 180)
    assert found["fallen"]["compared_with"] == 4


async def test_an_hour_is_compared_with_the_same_hour_of_other_weeks(lab: Lab) -> None:
    """Half as much on this weekday at this hour, every week, is as usual; so is a week of outage among four."""
    for week in range(5):
        start = ago(days=7 * week, hours=1)
        lines = 0 if week == 2 else 300
        await lab.events(start, 12, lines, source="'weekly'")
        await lab.events(start - timedelta(days=1), 2, 1800, source="'weekly'")
    await lab.was_watched(ago(hours=2), NOON)
    assert await lab.subjects(Falling(), NOON) == set()


async def test_an_hour_in_which_the_watch_was_away_is_passed_over(lab: Lab) -> None:
    await lab.events(ago(days=3), 10, 3 * DAY // 10 - 360, source="'fallen'")
    await lab.events(ago(hours=1), 60, 60, source="'fallen'")
    await lab.was_watched(ago(hours=1), ago(minutes=5))
    assert await lab.subjects(Falling(), NOON) == set()
    await lab.was_watched(ago(minutes=5), NOON)
    assert await lab.subjects(Falling(), NOON) == {("gangnam", "fallen")}


async def test_agencies_have_their_own_settings(lab: Lab) -> None:
    await weeks_of(lab, "fw1", until_seconds_ago=1200, agency="gangnam")
    await weeks_of(lab, "fw1", until_seconds_ago=1200, agency="mapo")
    await weeks_of(lab, "fw1", until_seconds_ago=1200, agency="jongno")
    await lab.was_watched(ago(days=8), NOON)
    watch = lab.watch("silence", agencies={"mapo": {"silence": {"slots": 6}}, "jongno": {"silence": {"enabled": False}}})
    await watch.step()
    assert [row["agency"] for row in await lab.told()] == ["gangnam"]


async def test_weeks_are_read_from_the_projection(lab: Lab) -> None:
    await weeks_of(lab, "fw1", days=7)
    lab.session.run("OPTIMIZE TABLE events FINAL")
    plan = lab.session.arrow(
        "EXPLAIN projections = 1 SELECT agency, source, toStartOfFiveMinutes(received_at) AS slot, countIf(bitAnd(intake_flags, 128) = 0) "
        "FROM events WHERE toStartOfFiveMinutes(received_at) >= toDateTime64('2026-05-15 00:00:00', 3, 'UTC') GROUP BY agency, source, slot"
    )
    assert "ReadFromMergeTree (slots)" in "\n".join(plan[0].to_pylist())
