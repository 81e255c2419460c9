"""Masking on the way through: at the receiver, in lines of an agency's own producer, and in what could not be read at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from core import metrics, topics
from core.bus.contract import Record
from core.clock import FixedClock
from core.config import IntakeSettings, validate
from core.database import Database
from core.events import IntakeFlag
from ingest import rawbatch
from ingest.normalise import Normaliser
from ingest.rawbatch import Masking, Origin
from respond import audit
from respond.models import Audit
from runtime.privacy import announce
from tests.parsing import NOW, fortigate, opened, record
from tests.personal_numbers import rrn
from tests.servers.receiving import count, receiving

PERSON = rrn("880229212345")
STARRED = PERSON[:7] + "*******"
ORIGIN = Origin("mapo-gu", "fw", "tcp")


@pytest.fixture(scope="module")
def normaliser() -> Iterator[Normaliser]:
    with opened() as made:
        yield made


async def test_the_receiver_masks_and_says_which_lines(tmp_path: Path) -> None:
    async with receiving(tmp_path) as centre:
        before = count(metrics.MASKED, "rrn", "mapo-gu")
        await centre.intake.submit(ORIGIN, f"a\n{PERSON}\nb\nid={PERSON}".encode(), 4)
        await centre.intake.submit_lines(ORIGIN, [b"two\nlines", f"x\n{PERSON}".encode()])
        await centre.until(6)
        lines = [line for batch in centre.batches for line in batch.lines]
        changed = [told for batch in centre.batches for told in batch.masking.changed(len(batch.lines)).tolist()]
        assert lines == [b"a", STARRED.encode(), b"b", f"id={STARRED}".encode(), b"two\nlines", f"x\n{STARRED}".encode()]
        assert changed == [False, True, False, True, False, True]
        assert all(batch.masking.kinds == {"rrn", "card", "password"} for batch in centre.batches)
        assert count(metrics.MASKED, "rrn", "mapo-gu") - before == 3


def test_the_lines_of_an_agencys_own_producer_are_masked_and_flagged(normaliser: Normaliser) -> None:
    before = count(metrics.MASKED, "rrn", "gu")
    lines = [fortigate(1), fortigate(2) + f' msg="{PERSON}"'.encode(), f"nobody reads {PERSON}".encode()]
    done = normaliser.normalise([record(lines)], "e")
    assert done.events["raw"].to_pylist() == [fortigate(1).decode(), fortigate(2).decode() + f' msg="{STARRED}"']
    assert [bool(flags & IntakeFlag.MASKED) for flags in done.events["intake_flags"].to_pylist()] == [False, True]
    assert done.quarantine["raw"].to_pylist() == [f"nobody reads {STARRED}"]
    assert done.quarantine["intake_flags"].to_pylist() == [IntakeFlag.MASKED]
    assert count(metrics.MASKED, "rrn", "gu") - before == 2


def test_messages_masked_together_keep_their_own_lines_and_agencies(normaliser: Normaliser) -> None:
    before = {agency: count(metrics.MASKED, "rrn", agency) for agency in ("mapo-gu", "jongno-gu")}
    told = [("mapo-gu", []), ("jongno-gu", [1]), ("mapo-gu", [0, 2]), ("jongno-gu", []), ("mapo-gu", [1])]
    records = []
    for offset, (agency, personal) in enumerate(told):
        lines = [fortigate(3 * offset + line) + (f" {PERSON}".encode() if line in personal else b"") for line in range(3)]
        message = rawbatch.message(Origin(agency, "fw", "kafka"), NOW, lines)
        records.append(Record(topics.LOGS_RAW, 0, offset, message.value, message.headers, NOW))
    done = normaliser.normalise(records, "e").events
    starred = [text.endswith(STARRED) for text in done["raw"].to_pylist()]
    flagged = [bool(flags & IntakeFlag.MASKED) for flags in done["intake_flags"].to_pylist()]
    assert starred == flagged == [line in personal for _, personal in told for line in range(3)]
    assert not any(PERSON in text for text in done["raw"].to_pylist())
    after = {agency: count(metrics.MASKED, "rrn", agency) for agency in before}
    assert {agency: after[agency] - before[agency] for agency in before} == {"mapo-gu": 3, "jongno-gu": 1}


def test_what_the_receiver_masked_is_flagged_where_the_header_says(normaliser: Normaliser) -> None:
    lines = [b"", fortigate(1), fortigate(2), fortigate(3)]
    masking = Masking.of(frozenset({"rrn", "card", "password"}), np.array([2], np.uint32))
    message = rawbatch.message(ORIGIN, NOW, lines, masking)
    done = normaliser.normalise([Record(topics.LOGS_RAW, 0, 0, message.value, message.headers, NOW)], "e")
    assert [bool(flags & IntakeFlag.MASKED) for flags in done.events["intake_flags"].to_pylist()] == [False, True, False]


@pytest.mark.parametrize(
    "headers", [{}, {topics.H_MASKED: "card"}, {topics.H_MASKED: "", topics.H_MASKED_LINES: "!"}, {topics.H_MASKED_LINES: "AA=A"}]
)
def test_whatever_the_header_leaves_out_is_masked(normaliser: Normaliser, headers: dict[str, str]) -> None:
    done = normaliser.normalise([Record(topics.LOGS_RAW, 0, 0, f"id={PERSON}".encode(), headers, NOW)], "e")
    assert done.quarantine["raw"].to_pylist() == [f"id={STARRED}"]


@pytest.mark.parametrize("headers", [{topics.H_FRAMING: "length"}, {topics.H_COMPRESSION: "unknown"}, {topics.H_COMPRESSION: "zstd"}])
def test_a_value_that_cannot_be_read_is_masked_too(normaliser: Normaliser, headers: dict[str, str]) -> None:
    done = normaliser.normalise([Record(topics.LOGS_RAW, 0, 0, f"id={PERSON}".encode(), headers, NOW)], "e")
    assert done.quarantine["raw"].to_pylist() == [f"id={STARRED}"]
    assert done.quarantine["intake_flags"][0].as_py() & IntakeFlag.MASKED


def test_a_kind_that_is_off_stays_in_the_events() -> None:
    off = {"rrn": {"enabled": False, "reason": "a network of tests", "approved_by": "CISO"}}
    with opened(settings=IntakeSettings.model_validate({"masking": off})) as normaliser:
        done = normaliser.normalise([record([f"x {PERSON} password=abc".encode()])], "e")
        assert done.quarantine["raw"].to_pylist() == [f"x {PERSON} password=***"]


def test_turning_a_kind_off_is_in_the_audit_trail(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'records.db'}", FixedClock(datetime(2026, 11, 1, tzinfo=UTC)))
    database.start()
    database.migrate()
    off = {"enabled": False, "reason": "cards are test cards here", "approved_by": "CISO Kim"}
    announce(validate({"intake": {"masking": {"card": off}}}).intake.masking, database)
    announce(validate({}).intake.masking, database)
    with database.session(readonly=True) as session:
        rows = [(row.actor, row.action, row.object, row.detail) for row in session.query(Audit)]
        assert audit.verify(session).problem == ""
    database.close()
    detail = '{"approved_by":"CISO Kim","reason":"cards are test cards here"}'
    assert rows == [("system:start", "masking.off", "setting/intake.masking.card", detail)]
