"""Rule packs of personal information: what each asks in worked cases, what makes a pack unusable, and what always holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FileError, Invalid
from respond.personal.packs import OWN, Recipient, Track, load
from respond.personal.rules import Determination, Finding, duty, posted_until, why

BOOK = load()
SEED, NOW_2023, NOW_2026 = BOOK.packs
SEOUL = ZoneInfo("Asia/Seoul")
AWARE = datetime(2026, 9, 30, 15, 30, tzinfo=UTC)
NOTHING_SPECIAL = {"sensitive": False, "unique_identifiers": False, "outside_access": False, "count_final": True}

YES, NO, OPEN = Finding.REQUIRED, Finding.NOT_REQUIRED, Finding.UNKNOWN


@pytest.mark.parametrize(
    ("what", "known", "expected"),
    [
        # pack -> (posting, days, report, hours until the report)
        ("1,200 subjects", {"subjects": 1200}, {"seed-2022": (YES, 7, YES, None), "2023-09-15": (YES, 7, YES, 72)}),
        ("999 subjects", {"subjects": 999}, {"seed-2022": (NO, 0, NO, None), "2023-09-15": (NO, 0, NO, None)}),
        ("1,000 subjects", {"subjects": 1000}, {"seed-2022": (YES, 7, YES, None), "2023-09-15": (YES, 7, YES, 72)}),
        (
            "10 subjects, sensitive data",
            {"subjects": 10, "sensitive": True},
            {"seed-2022": (NO, 0, NO, None), "2023-09-15": (NO, 0, YES, 72)},
        ),
        (
            "10 subjects, unique identifiers",
            {"subjects": 10, "unique_identifiers": True},
            {"seed-2022": (NO, 0, NO, None), "2023-09-15": (NO, 0, YES, 72)},
        ),
        (
            "10 subjects, illegal access from outside",
            {"subjects": 10, "outside_access": True},
            {"seed-2022": (NO, 0, NO, None), "2023-09-15": (NO, 0, YES, 72)},
        ),
        (
            "10 users of a service provider",
            {"subjects": 10, "provider": True},
            {"seed-2022": (NO, 0, YES, None), "2023-09-15": (NO, 0, NO, None)},
        ),
        (
            "999 so far",
            {"subjects": 999, "count_final": False},
            {"seed-2022": (OPEN, 0, OPEN, None), "2023-09-15": (OPEN, 0, OPEN, None)},
        ),
        (
            "1,000 so far",
            {"subjects": 1000, "count_final": False},
            {"seed-2022": (YES, 7, YES, None), "2023-09-15": (YES, 7, YES, 72)},
        ),
    ],
)
def test_worked_cases(what: str, known: dict[str, object], expected: dict[str, tuple[Finding, int, Finding, int | None]]) -> None:
    facts = Determination.model_validate(NOTHING_SPECIAL | known)
    for pack in BOOK.packs:
        posting, days, report, hours = expected["2023-09-15" if pack is NOW_2026 else pack.id]
        posted, reported = duty(pack, Track.POSTING, facts), duty(pack, Track.REPORT, facts)
        assert (posted.finding, posted.days, reported.finding) == (posting, days, report), (what, pack.id)
        due = reported.due_at(AWARE)
        assert due == (None if hours is None else AWARE + timedelta(hours=hours)), (what, pack.id)
        assert duty(pack, Track.NOTICE, facts).finding is YES


def test_notices_are_due_without_delay_then_within_72_hours() -> None:
    due = [duty(pack, Track.NOTICE, Determination()).due_at(AWARE) for pack in BOOK.packs]
    assert due == [None, AWARE + timedelta(hours=72), AWARE + timedelta(hours=72)]
    possible = [duty(pack, Track.POSSIBLE_NOTICE, Determination()).finding for pack in BOOK.packs]
    assert possible == [NO, NO, YES]


def test_what_may_take_the_place_of_notices() -> None:
    user = duty(SEED, Track.NOTICE, Determination(provider=True)).in_lieu
    assert user is not None
    assert (user.days, user.newspapers, user.explain_to) == (30, 2, (Recipient.PIPC,))
    assert duty(SEED, Track.NOTICE, Determination()).in_lieu is None
    later = duty(NOW_2023, Track.NOTICE, Determination()).in_lieu
    assert later is not None
    assert (later.days, later.newspapers) == (30, 0)


def test_a_report_satisfies_the_ordinance_and_the_decree() -> None:
    many = duty(SEED, Track.REPORT, Determination(subjects=1200))
    assert many.lacking(frozenset({Recipient.KISA})) == ()
    assert many.lacking(frozenset({Recipient.PIPC})) == ((Recipient.INTERIOR_MINISTER, Recipient.KISA),)
    assert many.lacking(frozenset({Recipient.PIPC, Recipient.INTERIOR_MINISTER})) == ()


@pytest.mark.parametrize(
    ("aware", "pack"),
    [
        ("2022-07-19T00:00:00+09:00", "seed-2022"),
        ("2023-09-14T23:59:59+09:00", "seed-2022"),
        ("2023-09-14T15:00:00+00:00", "2023-09-15"),
        ("2026-09-11T00:00:00+09:00", "2026-09-11"),
        ("2026-09-10T14:59:59+00:00", "2023-09-15"),
        ("2030-01-01T00:00:00+00:00", "2026-09-11"),
    ],
)
def test_the_day_in_seoul_chooses_the_pack(aware: str, pack: str) -> None:
    assert BOOK.at(datetime.fromisoformat(aware)).id == pack


def test_before_the_first_pack_there_is_none() -> None:
    with pytest.raises(Invalid, match="seed-2022"):
        BOOK.at(datetime(2022, 7, 18, 14, 59, tzinfo=UTC))


def test_every_rule_says_where_it_stands() -> None:
    assert {rule.source.marking for rule in SEED.rules} == {"law"}
    for pack in (NOW_2023, NOW_2026):
        assert pack.marking == "found"
        assert {rule.id for rule in pack.rules if rule.source.marking == "law"} == {
            *("notice-ordinance", "posting-ordinance", "report-ordinance")
        }
    assert "PIO 7(3) [law]" in why(SEED, duty(SEED, Track.REPORT, Determination(subjects=1200)), Determination(subjects=1200))["en"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rules": []}, "rules"),
        ({"extra": 1}, "extra"),
        ({"applies_from": "soon"}, "applies_from"),
        ({"rule": {"track": "containment"}}, "containment"),
        ({"rule": {"track": "report", "to_any": []}}, "to_any"),
        ({"rule": {"track": "notice", "days": 7}}, "days"),
        ({"rule": {"track": "posting", "days": 7, "in_lieu": {"days": 30}}}, "in_lieu"),
        ({"rule": {"track": "notice", "when": {"subjects_at_least": 10}}}, "whoever is concerned"),
        ({"rule": {"track": "report", "to_any": ["fbi"]}}, "to_any"),
        ({"rule": {"track": "report", "to_any": ["kisa"], "hours": 0}}, "hours"),
        ({"rule": {"track": "notice", "id": "notice-ordinance"}}, "same id"),
        ({"rule": {"track": "notice", "source": {"article": "x", "marking": "law", "ko": "", "en": "x"}}}, "source"),
    ],
)
def test_a_pack_that_makes_no_sense_is_refused_by_name(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    tree = yaml.safe_load((OWN / "seed-2022.yaml").read_text(encoding="utf-8"))
    rule = change.pop("rule", None)
    source = {"article": "x", "marking": "ours", "ko": "x", "en": "x"}
    if isinstance(rule, dict):
        tree["rules"].append({"id": "another", "source": source} | rule)
    (tmp_path / "city.yaml").write_text(yaml.safe_dump(tree | change), encoding="utf-8")
    with pytest.raises(FileError, match=r"city\.yaml") as caught:
        load(tmp_path)
    assert reason in str(caught.value)


def test_the_city_may_replace_a_pack_and_add_one(tmp_path: Path) -> None:
    tree = yaml.safe_load((OWN / "2026-09-11.yaml").read_text(encoding="utf-8"))
    (tmp_path / "same.yaml").write_text(yaml.safe_dump(tree | {"name_en": "Ours"}), encoding="utf-8")
    (tmp_path / "next.yaml").write_text(yaml.safe_dump(tree | {"id": "2027", "applies_from": "2027-01-01"}), encoding="utf-8")
    assert [(pack.id, pack.name_en) for pack in load(tmp_path).packs][2:] == [("2026-09-11", "Ours"), ("2027", NOW_2026.name_en)]
    (tmp_path / "next.yaml").write_text(yaml.safe_dump(tree | {"id": "2027"}), encoding="utf-8")
    with pytest.raises(FileError, match="same day"):
        load(tmp_path)
    with pytest.raises(FileError, match="not a folder"):
        load(tmp_path / "nowhere")


# ---- what always holds ----

flags = st.sampled_from([None, False, True])
determinations = st.builds(
    Determination,
    subjects=st.none() | st.sampled_from([0, 1, 999, 1000, 1001]) | st.integers(0, 10**9),
    count_final=st.booleans(),
    sensitive=flags,
    unique_identifiers=flags,
    outside_access=flags,
    provider=st.booleans(),
)
days = st.sampled_from([datetime(2022, 12, 31, 14, 59), datetime(2024, 2, 28, 15, 0), datetime(2026, 12, 31, 15, 0)])  # noqa: DTZ001
instants = st.one_of(days, st.datetimes(datetime(2022, 7, 20), datetime(2060, 1, 1))).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001


def worse(known: Determination, more: int, flag: str) -> Determination:
    """The same with more subjects, or one more kind of data."""
    return known.model_copy(update={"subjects": (known.subjects or 0) + more, flag: True})


@given(known=determinations, more=st.integers(0, 2000), flag=st.sampled_from(["sensitive", "unique_identifiers", "outside_access"]))
def test_a_worse_leak_never_asks_for_less(known: Determination, more: int, flag: str) -> None:
    for pack in BOOK.packs:
        for track in Track:
            before, after = duty(pack, track, known), duty(pack, track, worse(known, more, flag))
            assert {rule.id for rule in before.rules} <= {rule.id for rule in after.rules}
            assert before.days <= after.days
            if before.finding is YES and (due := before.due_at(AWARE)) is not None:
                later = after.due_at(AWARE)
                assert later is not None
                assert later <= due


@given(known=determinations)
def test_what_is_open_is_settled_by_knowing(known: Determination) -> None:
    """Whatever an open duty turns out to be, it was either open or already certain before."""
    settled = known.model_copy(
        update={"count_final": True, "subjects": known.subjects or 0}
        | {name: bool(getattr(known, name)) for name in ("sensitive", "unique_identifiers", "outside_access")}
    )
    for pack in BOOK.packs:
        for track in (Track.POSTING, Track.REPORT):
            before, after = duty(pack, track, known), duty(pack, track, settled)
            assert after.finding is not OPEN
            assert before.finding in (after.finding, OPEN)
            assert not set(after.rules) - set(before.rules) - set(before.open_rules)


@given(aware=instants, known=determinations)
def test_no_deadline_is_before_awareness(aware: datetime, known: Determination) -> None:
    pack = BOOK.at(aware)
    for track in Track:
        found = duty(pack, track, known)
        for due in (found.due_at(aware), found.decide_by(aware)):
            assert due is None or due > aware


@given(posted=instants, length=st.integers(1, 40))
def test_days_of_posting_are_whole_days_in_seoul(posted: datetime, length: int) -> None:
    until = posted_until(posted, length)
    local = until.astimezone(SEOUL)
    assert (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)
    assert (local.date() - posted.astimezone(SEOUL).date()).days == length + 1
    assert timedelta(days=length) < until - posted <= timedelta(days=length + 1)


def test_a_pack_taken_away_is_missed_by_name() -> None:
    with pytest.raises(Invalid, match="no longer configured"):
        BOOK.named("gone")
