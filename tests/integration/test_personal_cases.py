"""Personal-information cases on the database: worked cases under each pack, and what holds in any history."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import FixedClock
from core.database import Database
from core.errors import Conflict, DomainError, Invalid
from respond import audit
from respond.cases.models import Outgoing
from respond.models import Audit
from respond.personal.facts import Facts
from respond.personal.letters import LetterKind
from respond.personal.machine import CASE, TRACKS
from respond.personal.models import PersonalLetter
from respond.personal.packs import Track
from respond.personal.rules import Finding
from tests.personal_cases import BOOK, FACTS, Desk

START = {
    "seed-2022": datetime(2022, 12, 31, 14, 50, tzinfo=UTC),
    "2023-09-15": datetime(2024, 2, 28, 14, 50, tzinfo=UTC),
    "2026-09-11": datetime(2026, 12, 31, 14, 50, tzinfo=UTC),
}
ORDINARY = {"sensitive": False, "unique_identifiers": False, "outside_access": False, "count_final": True}


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START["2026-09-11"])


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock) -> Iterator[Database]:
    """On SQLite, or on PostgreSQL where a test asks for it."""
    server = request.getfixturevalue("postgres_server") if getattr(request, "param", "") == "postgresql" else None
    made = Database(server.new_database() if server else f"sqlite:///{tmp_path}/x.db", clock)
    made.migrate()
    made.start()
    yield made
    made.close()


def at(pack: str, database: Database, clock: FixedClock, **opening: Any) -> Desk:
    """A desk on the day a pack's worked case begins: ten to midnight in Seoul, or nearly."""
    clock.advance(START[pack] - clock.now())
    return Desk(database, clock, **opening)


both_engines = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@both_engines
@pytest.mark.parametrize("pack", START)
def test_twelve_hundred_subjects(database: Database, clock: FixedClock, pack: str) -> None:
    desk = at(pack, database, clock)
    desk.do("describe")
    desk.do("verify", determination={"subjects": 1200, **ORDINARY})
    assert desk.case().pack == pack
    assert desk.states() == {"containment": "open", "notice": "due", "posting": "required", "report": "due"}
    due = None if pack == "seed-2022" else START[pack] + timedelta(hours=72)
    clocks = desk.clocks()
    assert {name: clock.due_at for name, clock in clocks.items()} == {"first_notice": due, "post": None, "first_report": due}
    assert {clock.started_at for clock in clocks.values()} == {START[pack]}
    assert {clock.basis for clock in clocks.values()} == {"pack"}
    assert clocks["post"].source.startswith(f"{pack}: posting-ordinance")

    for kind in LetterKind.FIRST_NOTICE, LetterKind.POSTING, LetterKind.REPORT:
        desk.do("write_letter", letter=kind.value)
    desk.wait(hours=20)
    desk.on(Track.NOTICE, "send_first", recipients=1200)
    desk.on(Track.NOTICE, "complete")
    desk.on(Track.POSTING, "post", address="https://www.example.kr/notice")
    desk.on(Track.REPORT, "file", to=["kisa"], receipt="R-1")
    desk.on(Track.REPORT, "accept")
    with pytest.raises(Invalid, match="stays posted until"):
        desk.on(Track.POSTING, "serve")
    until = desk.clocks()["stay_posted"].due_at
    assert until is not None
    posted = START[pack] + timedelta(hours=20)
    assert until - posted > timedelta(days=7)
    clock.advance(until - clock.now() - timedelta(microseconds=1))
    with pytest.raises(Invalid, match="stays posted until"):
        desk.on(Track.POSTING, "serve")
    with pytest.raises(Invalid, match="posting is posted"):
        desk.do("close")
    desk.wait(microseconds=1)
    desk.on(Track.POSTING, "serve")
    with pytest.raises(Invalid, match="containment is open"):
        desk.do("close")
    desk.on(Track.CONTAINMENT, "finish")
    assert desk.do("close").state == "closed"
    assert {name: one.stopped_at is None for name, one in desk.clocks().items()} == dict.fromkeys(
        ["first_notice", "post", "first_report", "stay_posted"], False
    )


@pytest.mark.parametrize("pack", START)
@pytest.mark.parametrize(
    ("known", "posting", "seed_report", "later_report"),
    [
        ({"subjects": 999}, "", "not_required", "not_required"),
        ({"subjects": 1000}, "required", "due", "due"),
        ({"subjects": 10, "sensitive": True}, "", "not_required", "due"),
        ({"subjects": 10, "outside_access": True}, "", "not_required", "due"),
        ({"subjects": 999, "count_final": False}, "", "evaluate", "evaluate"),
    ],
)
def test_other_counts_and_kinds(
    database: Database, clock: FixedClock, pack: str, known: dict[str, Any], posting: str, seed_report: str, later_report: str
) -> None:
    desk = at(pack, database, clock)
    desk.do("verify", determination=ORDINARY | known)
    states = desk.states()
    assert states.get("posting", "") == posting
    assert states["report"] == (seed_report if pack == "seed-2022" else later_report)
    row = desk.tracks()[Track.REPORT]
    assert f"{known['subjects']:,} subjects" in row.why["en"]
    assert f"{known['subjects']:,}명" in row.why["ko"]


def test_a_changed_count_is_judged_anew_and_nothing_is_removed(database: Database, clock: FixedClock) -> None:
    desk = at("2023-09-15", database, clock)
    desk.do("verify", determination={"subjects": 400, "count_final": False})
    assert desk.states() == {"containment": "open", "notice": "due", "report": "evaluate"}
    assert desk.clocks()["decide"].due_at == START["2023-09-15"] + timedelta(hours=72)
    desk.wait(hours=1)
    desk.do("determine", determination=ORDINARY | {"subjects": 400})
    assert desk.states()["report"] == "not_required"
    assert desk.clocks()["decide"].stopped_at is not None
    desk.do("determine", determination={"subjects": 1200})
    assert desk.states() == {"containment": "open", "notice": "due", "report": "due", "posting": "required"}
    assert desk.clocks()["first_report"].due_at == START["2023-09-15"] + timedelta(hours=72)
    desk.do("determine", determination={"subjects": 900})
    assert desk.states() == {"containment": "open", "notice": "due", "report": "not_required", "posting": "not_required"}
    clocks = desk.clocks()
    assert {clocks[name].stopped_at for name in ("first_report", "post")} == {clock.now()}
    waived = [one for one in desk.history() if one.action == "waive"]
    assert [one.object.rsplit("/", 1)[1] for one in waived] == ["report", "posting", "report"]
    assert "900 subjects" in waived[-1].reason
    desk.do("determine", determination={"subjects": 1000})
    assert (desk.states()["report"], desk.states()["posting"]) == ("due", "required")
    assert desk.clocks()["first_report"].stopped_at is None


@both_engines
def test_counting_and_posting_at_once_lose_nothing(database: Database, clock: FixedClock) -> None:
    desk = at("2026-09-11", database, clock)
    desk.do("describe")
    desk.do("verify", determination=ORDINARY | {"subjects": 1000})
    desk.do("write_letter", letter="posting")
    done: dict[str, int] = {"determine": 0, "post": 0, "take_down": 0}
    failed: list[BaseException] = []

    def repeat(actions: Callable[[int], tuple[str, Callable[[], object]]]) -> None:
        for turn in range(20):
            name, take = actions(turn)
            try:
                take()
            except Conflict:
                continue
            except BaseException as error:  # noqa: BLE001 - reported below, by the thread that can
                failed.append(error)
                return
            done[name] += 1

    def count(turn: int) -> tuple[str, Callable[[], object]]:
        return "determine", lambda: desk.do("determine", determination={"subjects": 1000 + turn})

    def post(turn: int) -> tuple[str, Callable[[], object]]:
        action = "take_down" if turn % 2 else "post"
        return action, lambda: desk.on(Track.POSTING, action, reason="because")

    threads = [threading.Thread(target=repeat, args=(actions,)) for actions in (count, post, count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert (desk.case().version, desk.tracks()[Track.POSTING].version) == (4 + done["determine"], 1 + done["post"] + done["take_down"])
    assert done["post"] >= 1
    _checked_whole(desk)


@pytest.mark.parametrize("exercise", [False, True])
def test_a_report_filed_stays_when_the_count_falls_and_is_supplemented_when_more_must_know(
    database: Database, clock: FixedClock, exercise: bool
) -> None:
    desk = at("2023-09-15", database, clock, exercise=exercise)
    desk.do("describe")
    desk.do("verify", determination=ORDINARY | {"subjects": 10, "sensitive": True})
    desk.do("write_letter", letter="report")
    desk.on(Track.REPORT, "file", to=["pipc"])
    desk.do("determine", determination={"subjects": 1500})
    assert desk.states()["report"] == "first"
    assert ("further_report" in desk.clocks()) == (not exercise)
    desk.on(Track.CONTAINMENT, "finish")
    with pytest.raises(Invalid, match="report is first"):
        desk.do("close")
    with pytest.raises(Invalid, match="interior_minister or kisa"):
        desk.on(Track.REPORT, "accept")
    desk.on(Track.REPORT, "supplement", to=["interior_minister"])
    assert exercise or desk.clocks()["further_report"].stopped_at is not None
    desk.on(Track.REPORT, "accept")
    desk.do("determine", determination={"subjects": 5, "sensitive": False})
    row = desk.tracks()[Track.REPORT]
    assert (row.state, row.finding) == ("accepted", Finding.NOT_REQUIRED)


def test_an_exemption_is_only_what_a_rule_grants(database: Database, clock: FixedClock) -> None:
    desk = at("2023-09-15", database, clock)
    desk.do("verify", determination=ORDINARY | {"subjects": 1000})
    with pytest.raises(Invalid, match=r"PIO 7\(3\) requires it"):
        desk.on(Track.REPORT, "waive", reason="recovered")
    with pytest.raises(Invalid, match=r"PIO 7\(3\) requires it"):
        desk.on(Track.POSTING, "waive", reason="recovered")
    desk.do("determine", determination={"subjects": 10, "outside_access": True})
    desk.on(Track.REPORT, "waive", reason="The path is known and the file was recovered unread")
    desk.do("determine", determination={"subjects": 11})
    assert desk.states()["report"] == "not_required"
    desk.do("determine", determination={"subjects": 1000})
    assert desk.states()["report"] == "due"


def test_reporting_by_choice_stays(database: Database, clock: FixedClock) -> None:
    desk = at("2023-09-15", database, clock)
    desk.do("verify", determination=ORDINARY | {"subjects": 10})
    desk.on(Track.REPORT, "require", reason="The press asks")
    desk.do("determine", determination={"subjects": 11})
    assert desk.states()["report"] == "due"
    desk.on(Track.CONTAINMENT, "finish")
    with pytest.raises(Invalid, match="report is due"):
        desk.do("close")
    desk.on(Track.REPORT, "waive", reason="Not after all")
    assert desk.states()["report"] == "not_required"


def test_a_posting_taken_down_early_begins_anew(database: Database, clock: FixedClock) -> None:
    desk = at("2026-09-11", database, clock)
    desk.do("describe")
    desk.do("verify", determination=ORDINARY | {"subjects": 1000})
    desk.do("write_letter", letter="posting")
    desk.on(Track.POSTING, "post")
    assert desk.clocks()["stay_posted"].due_at == datetime(2027, 1, 7, 15, tzinfo=UTC)  # posted on 31 December: 1 to 7 January
    desk.wait(days=6)
    desk.on(Track.POSTING, "take_down", reason="The site was down")
    assert desk.states()["posting"] == "required"
    assert desk.clocks()["post"].stopped_at is None
    desk.wait(minutes=20)
    desk.on(Track.POSTING, "post")
    assert desk.clocks()["stay_posted"].due_at == datetime(2027, 1, 14, 15, tzinfo=UTC)  # now on 7 January


def test_posting_in_lieu_of_notices_by_a_provider(database: Database, clock: FixedClock) -> None:
    desk = at("seed-2022", database, clock)
    desk.do("describe")
    desk.do("verify", determination=ORDINARY | {"subjects": 10})
    desk.do("write_letter", letter="posting")
    with pytest.raises(Invalid, match="take the place"):
        desk.on(Track.NOTICE, "post_in_lieu", reason="No addresses")
    desk.do("determine", determination={"provider": True})
    with pytest.raises(Invalid, match="2 national dailies"):
        desk.on(Track.NOTICE, "post_in_lieu", reason="No addresses", newspapers=1)
    desk.on(Track.NOTICE, "post_in_lieu", reason="No addresses")
    desk.wait(days=31)
    with pytest.raises(Invalid, match="explained in writing to pipc"):
        desk.on(Track.NOTICE, "serve")
    with pytest.raises(Invalid, match="explained to pipc"):
        desk.on(Track.NOTICE, "explain", to="kisa")
    desk.on(Track.NOTICE, "explain", to="pipc", receipt="R-2")
    assert desk.on(Track.NOTICE, "serve").state == "served"


def test_two_newspapers_serve_at_once(database: Database, clock: FixedClock) -> None:
    desk = at("seed-2022", database, clock)
    desk.do("describe")
    desk.do("verify", determination=ORDINARY | {"subjects": 10, "provider": True})
    desk.do("write_letter", letter="posting")
    desk.on(Track.NOTICE, "post_in_lieu", reason="The site is lost", newspapers=2)
    desk.on(Track.NOTICE, "explain", to="pipc")
    assert desk.on(Track.NOTICE, "serve").state == "served"


def test_a_first_notice_tells_what_is_known_and_a_supplement_the_rest(database: Database, clock: FixedClock) -> None:
    desk = at("2026-09-11", database, clock)
    little = Facts.model_validate({**FACTS.model_dump(), "items": [], "circumstances": None, "contact": ""})
    desk.do("describe", facts=little)
    desk.do("verify", determination={"subjects": 10})
    desk.do("write_letter", letter="first_notice")
    with pytest.raises(Invalid, match="does not tell contact"):
        desk.on(Track.NOTICE, "send_first")
    desk.do("correct", facts=Facts.model_validate({**little.model_dump(), "contact": "02-0000-0000"}))
    desk.do("write_letter", letter="first_notice")
    with pytest.raises(Invalid, match="write the letter first"):
        desk.on(Track.NOTICE, "send_first", letter=3)
    row = desk.on(Track.NOTICE, "send_first", letter=2)
    assert row.given["missing"] == ["items", "circumstances"]
    with pytest.raises(Invalid, match="did not tell items, circumstances"):
        desk.on(Track.NOTICE, "complete")
    desk.do("describe")
    desk.do("write_letter", letter="supplement_notice")
    desk.on(Track.NOTICE, "supplement")
    assert desk.on(Track.NOTICE, "complete").state == "complete"
    assert desk.tracks()[Track.NOTICE].given["notified"] == 20


def test_letters_are_versions_that_stay(database: Database, clock: FixedClock) -> None:
    desk = at("2026-09-11", database, clock)
    desk.do("verify", determination={"subjects": 1234})
    desk.do("write_letter", letter="report")
    desk.do("describe")
    desk.do("write_letter", letter="report")
    with database.session(readonly=True) as session:
        first, second = session.scalars(sa.select(PersonalLetter).order_by(PersonalLetter.id)).all()
    assert (first.version, second.version) == (1, 2)
    assert first.missing == [
        *("items", "circumstances", "subject_measures", "countermeasures", "contact", "notice_result", "measures_taken")
    ]
    assert second.missing == ["notice_result"]
    assert first.sha256 != second.sha256
    for place in range(1, 6):
        assert f"\n{place}. " in second.text_ko
        assert f"\n{place}. " in second.text_en
    assert "1,234명 (집계 중)" in second.text_ko
    assert "2026-05-01 00:00 KST" in second.text_en
    assert "서구청" in second.text_ko
    assert "Seogu District" in second.text_en
    assert "화면을 닫고 점검함" in second.text_en  # there is no English for it
    assert first.text_en.count("Not known yet") == 7


def test_late_needs_a_reason_and_is_not_refused(database: Database, clock: FixedClock) -> None:
    desk = at("2023-09-15", database, clock)
    desk.do("describe")
    desk.do("verify", determination=ORDINARY | {"subjects": 10})
    desk.do("write_letter", letter="first_notice")
    desk.wait(hours=72, seconds=1)
    with pytest.raises(Invalid, match="say in `reason` why"):
        desk.on(Track.NOTICE, "send_first")
    with pytest.raises(Invalid, match="before the controller became aware"):
        desk.on(Track.NOTICE, "send_first", at=START["2023-09-15"] - timedelta(seconds=1))
    with pytest.raises(Invalid, match="in the future"):
        desk.on(Track.NOTICE, "send_first", at=clock.now() + timedelta(seconds=1))
    assert desk.on(Track.NOTICE, "send_first", at=START["2023-09-15"] + timedelta(hours=72)).state == "first_sent"
    late = at("2023-09-15", database, clock)
    late.do("describe")
    late.do("verify", determination=ORDINARY | {"subjects": 10})
    late.do("write_letter", letter="first_notice")
    late.wait(hours=80)
    assert late.on(Track.NOTICE, "send_first", reason="The mail server was the one attacked").state == "first_sent"


def test_a_possible_leak_is_told_and_retracted(database: Database, clock: FixedClock) -> None:
    desk = at("2026-09-11", database, clock)
    desk.do("describe")
    desk.do("find_possible")
    assert desk.clocks()["possible_notice"].due_at == START["2026-09-11"] + timedelta(hours=72)
    desk.do("write_letter", letter="possible_notice")
    with pytest.raises(Invalid, match="as long as a leak is possible"):
        desk.on(Track.POSSIBLE_NOTICE, "waive", reason="no")
    desk.on(Track.POSSIBLE_NOTICE, "send")
    with pytest.raises(Invalid, match="when it has been disproved"):
        desk.on(Track.POSSIBLE_NOTICE, "retract")
    desk.wait(hours=5)
    desk.do("dismiss", reason="The logs show no reading of rows")
    assert desk.clocks()["retraction"].started_at == clock.now()
    with pytest.raises(Invalid, match="possible_notice is sent"):
        desk.do("close")
    desk.do("write_letter", letter="retraction")
    desk.on(Track.POSSIBLE_NOTICE, "retract")
    assert desk.clocks()["retraction"].stopped_at is not None
    assert desk.do("close").state == "closed"
    with pytest.raises(Invalid, match="open a case for what is new"):
        desk.do("determine", determination={"subjects": 1})


def test_a_possible_leak_that_is_verified_goes_over_into_its_notice(database: Database, clock: FixedClock) -> None:
    desk = at("2026-09-11", database, clock)
    desk.do("find_possible")
    desk.wait(hours=10)
    desk.do("verify", determination={"subjects": 1})
    assert desk.states() == {"possible_notice": "not_required", "containment": "open", "notice": "due", "report": "evaluate"}
    assert desk.clocks()["possible_notice"].stopped_at == clock.now()
    assert desk.clocks()["first_notice"].due_at == clock.now() + timedelta(hours=72)
    sent = at("2026-09-11", database, clock)
    sent.do("describe")
    sent.do("find_possible")
    sent.do("write_letter", letter="possible_notice")
    sent.on(Track.POSSIBLE_NOTICE, "send")
    sent.do("verify", determination={"subjects": 1})
    assert sent.states()["possible_notice"] == "sent"
    with pytest.raises(Conflict, match="its possible_notice rests"):
        sent.on(Track.POSSIBLE_NOTICE, "retract")


def test_before_2026_a_possible_leak_asks_for_nothing(database: Database, clock: FixedClock) -> None:
    desk = at("2023-09-15", database, clock)
    desk.do("find_possible")
    assert desk.states() == {}
    assert desk.do("dismiss", reason="Nothing left the network").state == "not_leaked"


def test_awareness_is_corrected_with_a_reason(database: Database, clock: FixedClock) -> None:
    desk = at("2026-09-11", database, clock)
    desk.do("verify", determination={"subjects": 1})
    earlier = datetime(2026, 9, 10, 14, 59, tzinfo=UTC)
    with pytest.raises(Invalid, match="needs a reason"):
        desk.do("determine", aware_at=earlier)
    with pytest.raises(Invalid, match="in the future"):
        desk.do("determine", aware_at=clock.now() + timedelta(minutes=1), reason="x")
    assert desk.do("determine", aware_at=earlier, reason="The officer knew").pack == "2023-09-15"
    assert desk.clocks()["first_notice"].due_at == earlier + timedelta(hours=72)


def test_an_exercise_runs_without_statutory_clocks(database: Database, clock: FixedClock) -> None:
    desk = at("2026-09-11", database, clock, exercise=True)
    desk.do("describe")
    desk.do("find_possible")
    desk.do("write_letter", letter="possible_notice")
    desk.on(Track.POSSIBLE_NOTICE, "send")
    desk.do("verify", determination=ORDINARY | {"subjects": 1200})
    for kind in ("first_notice", "posting", "report"):
        desk.do("write_letter", letter=kind)
    desk.wait(hours=100)
    desk.on(Track.NOTICE, "send_first")
    desk.on(Track.POSTING, "post")
    desk.on(Track.REPORT, "file")
    assert desk.clocks() == {}
    assert all(row.exercise for row in desk.tracks().values())
    with database.session(readonly=True) as session:
        assert {one.exercise for one in session.scalars(sa.select(Outgoing))} == {True}
        letters = session.scalars(sa.select(PersonalLetter)).all()
    assert all(one.text_ko.startswith("[훈련]") and one.text_en.startswith("[EXERCISE]") for one in letters)


def test_no_text_of_the_facts_is_in_history_trail_or_news(database: Database, clock: FixedClock) -> None:
    desk = at("2026-09-11", database, clock)
    desk.do("describe")
    desk.do("log_support", kind="advice", summary="secret-summary")
    desk.do("verify", determination=ORDINARY | {"subjects": 1200})
    desk.do("write_letter", letter="posting")
    desk.on(Track.POSTING, "post", address="secret-address")
    with database.session(readonly=True) as session:
        kept = [one.detail for one in session.scalars(sa.select(Audit))] + [str(one.data) for one in desk.history()]
        kept += [str(one.data) for one in session.scalars(sa.select(Outgoing))]
        assert audit.verify(session).problem == ""
    assert len(kept) > 10
    for text in ("secret-", "02-0000", "조회", "정보통신과", "phone number"):
        assert not [one for one in kept if text in one], text


# ---- any history ----

determinations = st.fixed_dictionaries(
    {},
    optional={
        "subjects": st.sampled_from([None, 0, 10, 999, 1000, 1200]),
        "count_final": st.booleans(),
        "sensitive": st.sampled_from([None, False, True]),
        "outside_access": st.sampled_from([None, False, True]),
        "unique_identifiers": st.sampled_from([None, False]),
        "provider": st.booleans(),
    },
)
waits = st.sampled_from([0, 1, 10 * 60, 3600, 71 * 3600, 8 * 86400])
case_steps = st.tuples(st.just(None), st.sampled_from([step.action for step in CASE.steps if step.action != "give_evidence"]))
track_steps = st.sampled_from([(track, step.action) for track, machine in TRACKS.items() for step in machine.steps])
histories = st.lists(st.tuples(case_steps | track_steps, determinations, waits), min_size=4, max_size=25)
_LETTERS = {"possible": "possible_notice", "not_leaked": "retraction"}


def act(desk: Desk, what: tuple[Track | None, str], known: dict[str, Any], place: int) -> None:
    """One step, with something fitting where it needs more; DomainError when it is refused."""
    track, action = what
    if track is not None:
        desk.on(track, action, reason="because", to=["kisa"] if place % 2 else ["pipc", "interior_minister"])
    elif action == "write_letter":
        kinds = ["first_notice", "supplement_notice", "posting", "report"]
        desk.do(action, letter=_LETTERS.get(desk.case().state, kinds[place % 4]))
    elif action == "log_support":
        desk.do(action, kind="advice", summary="s")
    else:
        desk.do(action, reason="because", determination=known)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=histories,
    start=st.sampled_from(list(START.values())),
    exercise=st.booleans(),
    verified=st.booleans(),
)
def test_any_history(database: Database, clock: FixedClock, steps: list[Any], start: datetime, exercise: bool, verified: bool) -> None:
    clock.advance(start - clock.now())
    desk = Desk(database, clock, exercise=exercise)
    desk.do("describe")
    if verified:
        desk.do("verify", determination={"subjects": 1000})
        for kind in ("first_notice", "posting", "report"):
            desk.do("write_letter", letter=kind)
    seen: dict[Track, int] = {}
    for place, (what, known, wait) in enumerate(steps):
        desk.wait(seconds=wait)
        before = (desk.case().version, desk.states(), len(desk.history()))
        try:
            act(desk, what, known, place)
        except DomainError:
            assert (desk.case().version, desk.states(), len(desk.history())) == before
        seen = _checked(desk, seen)
    _checked_whole(desk)


def _checked(desk: Desk, seen: dict[Track, int]) -> dict[Track, int]:
    """What holds after every step; returns the versions seen."""
    case, tracks, clocks = desk.case(), desk.tracks(), desk.clocks()
    assert set(seen) <= set(tracks), "a track is never removed"
    assert all(tracks[track].version >= version for track, version in seen.items())
    assert not (case.exercise and clocks), "an exercise starts no statutory clock"
    aware = min((at for at in (case.aware_at, case.possible_at) if at), default=None)
    for clock in clocks.values():
        assert aware is not None
        assert clock.due_at is None or clock.due_at >= clock.started_at
        assert clock.stopped_at is None or clock.stopped_at >= clock.started_at
        assert clock.source.split(":")[0] in {pack.id for pack in BOOK.packs}
    if case.aware_at is not None and case.state == "verified":
        assert case.pack == BOOK.at(case.aware_at).id
        assert {Track.CONTAINMENT, Track.NOTICE, Track.REPORT} <= set(tracks)
        for track, row in tracks.items():
            if row.finding == Finding.REQUIRED and not row.given.get("waived"):
                assert row.state != "not_required", f"{track} is required"
    if case.state == "closed" and case.aware_at is not None:
        assert tracks[Track.NOTICE].state in ("complete", "served")
    return {track: row.version for track, row in tracks.items()}


def _checked_whole(desk: Desk) -> None:
    """No state skipped, no version lost: the history of each part follows its machine."""
    machines = {f"personal_case/{desk.number}": CASE}
    machines |= {f"{machine.kind}/{desk.number}/{track}": machine for track, machine in TRACKS.items()}
    state: dict[str, tuple[str, int]] = {}
    for one in desk.history():
        machine = machines[one.object]
        if one.action == "open":
            assert one.object not in state
            assert (one.after, one.version) == (machine.initial, 1)
        else:
            before, version = state[one.object]
            step = machine.action(one.action)
            assert (one.before, one.version) == (before, version + 1)
            assert before in step.sources
            assert one.after == (step.to or before)
            assert one.reason or not step.needs_reason
        state[one.object] = (one.after, one.version)
    assert state[f"personal_case/{desk.number}"] == (desk.case().state, desk.case().version)
    for track, row in desk.tracks().items():
        assert state[f"{TRACKS[track].kind}/{desk.number}/{track}"] == (row.state, row.version)
