"""The rules of readiness and the history of levels, against the same said by brute force."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.config import ReadinessSettings, WarningSettings
from respond.grouping import LEVELS
from respond.readiness import policy
from respond.readiness.on_call import ask
from respond.readiness.rules import Fact, highest, is_quiet
from respond.warnings import levels
from respond.warnings.in_force import timeline
from respond.warnings.models import Warning as NationalWarning

NOW = datetime(2026, 5, 1, 3, 0, tzinfo=UTC)
POLICY = policy.load(ReadinessSettings())
TABLE = levels.load(WarningSettings())


def fact(n: int, agency: str = "a", severity: str = "high", importance: str = "", minutes: float = 1) -> Fact:
    return Fact(f"INC-2026-{n:06d}", agency, severity, importance, NOW - timedelta(minutes=minutes))


def test_each_rule_of_ours_holds_by_what_it_says_and_not_by_less() -> None:
    three = [fact(n, agency) for n, agency in enumerate("abc")]
    held = highest(POLICY, three, NOW)
    assert held is not None
    assert (held.rule.id, len(held.facts)) == ("several_agencies", 3)
    assert highest(POLICY, three[:2], NOW) is None
    assert highest(POLICY, [fact(n, "a") for n in range(9)], NOW) is None
    assert highest(POLICY, [fact(n, agency, "medium") for n, agency in enumerate("abc")], NOW) is None
    assert highest(POLICY, [fact(n, agency, minutes=60) for n, agency in enumerate("abc")], NOW) is None
    assert highest(POLICY, [fact(1, importance="high")], NOW) is None
    critical = highest(POLICY, [fact(1, importance="critical")], NOW)
    assert critical is not None
    assert critical.rule.id == "important_system"
    wave = highest(POLICY, [fact(n, "ab"[n % 2], "critical", minutes=100) for n in range(5)], NOW)
    assert wave is not None
    assert (wave.rule.id, wave.rule.level) == ("critical_wave", "high")


FACTS = st.lists(
    st.builds(
        fact,
        st.integers(0, 999),
        st.sampled_from("abc"),
        st.sampled_from([*LEVELS, "unheard of"]),
        st.sampled_from(["", "low", "medium", "high", "critical", "?"]),
        st.integers(-5, 200),
    ),
    max_size=12,
)


@given(FACTS, FACTS)
def test_more_incidents_never_lower_what_is_proposed(some: list[Fact], others: list[Fact]) -> None:
    fewer, more = highest(POLICY, some, NOW), highest(POLICY, [*some, *others], NOW)
    if fewer is not None:
        assert more is not None
        assert POLICY.rank(more.rule.level) >= POLICY.rank(fewer.rule.level)
    if more is not None:
        rule = more.rule
        assert len(more.facts) >= rule.incidents
        assert all(timedelta(0) <= NOW - one.opened_at < timedelta(minutes=rule.within_minutes) for one in more.facts)
        assert all(LEVELS.index(one.severity) >= LEVELS.index(rule.severity) for one in more.facts)


def test_quiet_is_a_whole_time_without_a_grave_incident() -> None:
    wanted = POLICY.stand_down
    long_ago = NOW - timedelta(days=1)
    assert is_quiet(wanted, [], long_ago, NOW)
    assert is_quiet(wanted, [fact(1, severity="medium")], long_ago, NOW)
    assert is_quiet(wanted, [fact(1, minutes=180)], long_ago, NOW)
    assert not is_quiet(wanted, [fact(1, minutes=179)], long_ago, NOW)
    assert not is_quiet(wanted, [], NOW - timedelta(minutes=179), NOW)


def test_the_next_is_asked_round_and_round() -> None:
    assert [ask(("kim", "lee"), n) for n in range(3)] == ["kim", "lee", "kim"]
    assert ask((), 4) == ""


def warning(n: int, level: str, start: int, end: int | None, ended: int | None) -> NationalWarning:
    def at(minute: int | None) -> datetime | None:
        return None if minute is None else NOW + timedelta(minutes=minute)

    return NationalWarning(id=n, number=f"WRN-{n}", level=level, starts_at=at(start), ends_at=at(end), ended_at=at(ended))


MINUTES = st.none() | st.integers(0, 20)
WARNINGS = st.lists(st.tuples(st.sampled_from([one.id for one in TABLE.levels]), st.integers(0, 20), MINUTES, MINUTES), max_size=6)


@given(WARNINGS)
def test_the_history_of_levels_says_at_each_minute_the_gravest_in_force(given_: list[tuple[str, int, int | None, int | None]]) -> None:
    made = [warning(n, *one) for n, one in enumerate(given_)]
    changes = timeline(made, TABLE, NOW + timedelta(minutes=20))
    assert all(before.warning is not after.warning for before, after in pairwise(changes))
    for minute in range(21):
        running = [
            (TABLE.rank(level), n)
            for n, (level, start, end, ended) in enumerate(given_)
            if start <= minute and (end is None or minute < end) and (ended is None or minute < ended)
        ]
        told = [one.warning for one in changes if one.at <= NOW + timedelta(minutes=minute)]
        expected = made[max(running)[1]] if running else None
        assert (told[-1] if told else None) is expected
