"""Milliseconds and datetimes are the same instant, to the millisecond."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from core.clock import KST, from_millis, millis


@given(st.integers(min_value=0, max_value=4_102_444_800_000))
def test_a_millisecond_survives_the_round_trip(value: int) -> None:
    assert millis(from_millis(value)) == value


def test_an_instant_that_a_float_of_seconds_cannot_hold() -> None:
    assert millis(datetime(2039, 3, 8, 19, 46, 13, 411_000, tzinfo=UTC)) == 2_183_226_373_411


def test_the_zone_does_not_matter() -> None:
    assert millis(datetime(2026, 1, 2, 9, 0, tzinfo=KST)) == millis(datetime(2026, 1, 2, 0, 0, tzinfo=UTC))
