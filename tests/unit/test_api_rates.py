"""Buckets of requests: how many pass, and how long one waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.rates import Rates
from core.errors import TooMany


def test_a_minutes_worth_passes_at_once_and_then_as_many_as_come_in() -> None:
    at = 0.0
    rates = Rates(60, lambda: at)
    for _ in range(60):
        rates.take("kim")
    with pytest.raises(TooMany) as refused:
        rates.take("kim")
    assert refused.value.retry_after == pytest.approx(1.0)
    rates.take("lee")  # each has a bucket of their own
    at = 1.0
    rates.take("kim")
    with pytest.raises(TooMany):
        rates.take("kim")


@given(st.integers(10, 600), st.lists(st.floats(0, 30), max_size=300))
def test_no_more_pass_than_the_bucket_and_what_flowed_in(per_minute: int, gaps: list[float]) -> None:
    at = 0.0
    rates = Rates(per_minute, lambda: at)
    waits = []
    for gap in gaps:
        at += gap
        try:
            rates.take("kim")
        except TooMany as refused:
            waits.append(refused.retry_after)
    assert all(0 < wait <= 60 / per_minute for wait in waits)
    assert len(gaps) - len(waits) <= per_minute + at * per_minute / 60 + 1e-6
