"""The audit chain, offline: what a check of exported rows finds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from respond import audit
from respond.audit import GENESIS, Entry

AT = datetime(2026, 5, 1, 0, 0, 0, 120, UTC)


def chain(length: int) -> list[Entry]:
    """Rows as the docs say they are made, with nothing of the code under test."""
    entries: list[Entry] = []
    head = "0" * 64
    for seq in range(1, length + 1):
        detail = json.dumps({"n": seq})
        content = [seq, "2026-05-01T00:00:00.000120Z", "user:kim", "incident.moved", "incident/INC-2026-000001", detail, head]
        hashed = hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()
        entries.append(Entry(seq, AT, "user:kim", "incident.moved", "incident/INC-2026-000001", detail, head, hashed))
        head = hashed
    return entries


def test_a_whole_chain() -> None:
    entries = chain(5)
    assert audit.verify_entries(entries) == audit.Verified(5, entries[-1].hash, "")
    assert audit.verify_entries([]) == audit.Verified(0, GENESIS, "")


def test_the_zone_a_time_is_told_in_does_not_matter() -> None:
    moved = [replace(entry, at=entry.at.astimezone(timezone(timedelta(hours=9)))) for entry in chain(2)]
    assert audit.verify_entries(moved).problem == ""


@pytest.mark.parametrize(
    ("tamper", "good", "named"),
    [
        (lambda rows: [*rows[:2], *rows[3:]], 2, "row 3 is missing"),
        (lambda rows: rows[1:], 0, "row 1 is missing"),
        (lambda rows: [*rows[:1], rows[2], rows[1], *rows[3:]], 1, "row 2 is missing"),
        (lambda rows: [*rows[:2], replace(rows[3], seq=3), replace(rows[2], seq=4), *rows[4:]], 2, "row 3 does not follow"),
        (lambda rows: [*rows[:2], rows[1], *rows[2:]], 2, "row 3 is missing"),
        (lambda rows: [*rows[:3], replace(rows[3], prev_hash="f" * 64), *rows[4:]], 3, "row 4 does not follow"),
    ],
)
def test_rows_taken_out_put_in_or_moved(tamper: Callable[[list[Entry]], list[Entry]], good: int, named: str) -> None:
    entries = chain(6)
    found = audit.verify_entries(tamper(entries))
    assert found.entries == good
    assert found.problem.startswith(named)
    assert found.head == (entries[good - 1].hash if good else GENESIS)


@given(st.integers(0, 5), st.sampled_from(["actor", "action", "object", "detail", "hash"]), st.text(max_size=8))
def test_any_changed_text_is_found(place: int, column: str, text: str) -> None:
    rows = chain(6)
    if getattr(rows[place], column) == text:
        return
    rows[place] = replace(rows[place], **{column: text})
    found = audit.verify_entries(rows)
    assert found.entries == place
    assert f"row {place + 1} was changed" in found.problem


def test_a_changed_time_is_found() -> None:
    rows = chain(3)
    rows[1] = replace(rows[1], at=rows[1].at + timedelta(microseconds=1))
    assert "row 2 was changed" in audit.verify_entries(rows).problem


def test_a_row_rewritten_with_its_own_hash_breaks_the_next() -> None:
    rows = chain(3)
    forged = audit.digest(2, AT, "user:kim", "incident.moved", "incident/INC-2026-000001", "{}", rows[1].prev_hash)
    rows[1] = replace(rows[1], detail="{}", hash=forged)
    assert "row 3 does not follow" in audit.verify_entries(rows).problem
