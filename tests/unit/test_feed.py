"""Periods of the feed and the cells of its CSV."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.clock import KST
from core.errors import Invalid
from respond.feed import csv_file, paper
from respond.feed.periods import parse
from respond.feed.wording import WORDS, how_late
from respond.reports.content import Accident, PersonalData


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_every_instant_is_in_its_day_month_and_year(at: datetime) -> None:
    local = at.astimezone(KST)
    for form in ("%Y", "%Y-%m", "%Y-%m-%d"):
        period = parse(local.strftime(form))
        assert period.since <= at < period.until
        assert parse((period.until + timedelta(hours=9)).strftime(form)).since == period.until


@pytest.mark.parametrize("name", ["", "26", "2026-0", "2026-13", "2026-02-30", "0000", "9999", "2026-05-01T00", "２０２６", " 2026"])
def test_what_is_no_period_is_named(name: str) -> None:
    with pytest.raises(Invalid, match="is no period"):
        parse(name)


@given(st.text())
def test_no_cell_runs_and_none_is_lost(text: str) -> None:
    item = {**dict.fromkeys(csv_file.COLUMNS), "restates": None, "summary": text}
    (row,) = csv.DictReader(io.StringIO(csv_file.render([item]).decode("utf-8-sig"), newline=""))
    assert row["summary"].removeprefix("'") == text.removeprefix("'")
    assert not row["summary"].startswith(("=", "+", "-", "@", "\t", "\r"))


ITEM = {
    **dict.fromkeys(csv_file.COLUMNS, ""),
    **{"report": "RPT-2026-000001", "version": 2, "kind": "closing", "type": "malware", "personal_data": "yes", "late_seconds": 1},
    **dict.fromkeys(("published_at", "learned_at", "submitted_at", "received_at"), "2026-05-01T00:00:00.5Z"),
    **{"occurred_at": None, "restates": {"seq": 1, "version": 1, "published_at": "2026-05-01T00:00:00Z"}},
}
DOCUMENT = {"period": "2026", "since": "2025-12-31T15:00:00Z", "until": "2026-12-31T15:00:00Z", "issued_at": "2027-01-01T00:00:00.5Z"}


@settings(max_examples=40, deadline=None)
@given(st.text(), st.text(st.characters(categories=["Ll", "Lu"]), min_size=50))
@example("#panic()", "\\#{}")
def test_whatever_agencies_write_a_paper_is_made(text: str, run: str) -> None:
    items = [{**ITEM, "summary": text, "system": run, "late_reason": run, "agency": text}]
    made = paper.render({**DOCUMENT, "agencies": {}, "items": items}, "ko")
    assert made.startswith(b"%PDF-")


@pytest.mark.parametrize("language", WORDS)
def test_every_word_has_a_name(language: str) -> None:
    assert set(WORDS[language].values) >= {*Accident, *PersonalData, "first", "followup", "closing"}
    assert WORDS[language].fields.keys() == WORDS["ko"].fields.keys()


def test_how_late_is_for_people() -> None:
    assert (how_late(90061, "en"), how_late(7500, "ko"), how_late(1, "en")) == ("1 d 1 h 1 min", "2시간 5분", "1 min")
