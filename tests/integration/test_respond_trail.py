"""The audit trail as an auditor finds it: signed, copied to a second place, and verifiable without the database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.clock import FixedClock
from core.database import Database
from core.errors import FileError
from core.signing import Signer, load_signer
from respond import audit, trail
from respond.trail import TrailBroken
from respond.trail_copy import TrailCopy, keep

NOW = datetime(2026, 12, 31, 14, 59, 0, tzinfo=UTC)  # a minute before the new year in Seoul


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/t.db" if request.param == "sqlite" else request.getfixturevalue("postgres_server").new_database()
    made = Database(url, FixedClock(NOW))
    made.migrate()
    made.start()
    yield made
    made.close()


@pytest.fixture
def signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def write(database: Database, *words: str, agency: str = "seogu") -> None:
    with database.session() as session:
        for word in words:
            audit.record(session, "user:kim", "incident.moved", f"incident/{word}", {"agency": agency, "reason": "한글 \0"})


def problem(database: Database, signer: Signer) -> str:
    with database.session(readonly=True) as session:
        return trail.verify_database(session, signer).problem


def test_a_whole_trail_is_verified_in_the_database_in_its_copy_and_in_an_export(database: Database, signer: Signer, tmp_path: Path) -> None:
    copy = TrailCopy(tmp_path / "copy")
    write(database, "a", "b")
    keep(database, signer, copy)
    write(database, "c")
    keep(database, signer, copy)
    keep(database, signer, copy)  # nothing new: nothing is added
    with database.session(readonly=True) as session:
        found = trail.verify_database(session, signer)
        export = list(trail.lines(session))
    assert (found.entries, found.checkpoints, found.signed_until, found.keys, found.problem) == (3, 2, 3, {signer.key_id}, "")
    assert [text.strip() for text in copy.texts()] == export
    assert trail.verify_lines(copy.texts(), signer) == found


def test_the_copy_has_a_file_for_each_year_of_seoul(database: Database, signer: Signer, tmp_path: Path) -> None:
    copy = TrailCopy(tmp_path)
    write(database, "a")
    keep(database, signer, copy)
    with database.session() as session:
        session.info["clock"] = FixedClock(NOW + timedelta(minutes=2))
        audit.record(session, "user:kim", "incident.moved", "incident/b", {})
    keep(database, signer, copy)
    assert sorted(file.name for file in tmp_path.glob("*.jsonl")) == ["audit-2026.jsonl", "audit-2027.jsonl"]
    assert trail.verify_lines(copy.texts(), signer).entries == 2


TAMPERED = {
    "changed": ('UPDATE audit SET detail = \'{"agency":"parks"}\' WHERE seq = 2', "row 2 was changed"),
    "removed": ("DELETE FROM audit WHERE seq = 2", "row 2 is missing"),
    "cut off": ("DELETE FROM audit WHERE seq = 3", "row 3 and those up to 3, which were signed, are missing"),
    "shown to another agency": ("UPDATE audit SET agency = 'parks' WHERE seq = 2", "row 2 was changed: its agency"),
    "signed again by another": ("UPDATE audit_checkpoints SET signature = 'AAAA'", "the signature over row 3 is not of the key"),
}


@pytest.mark.parametrize(("statement", "told"), TAMPERED.values(), ids=TAMPERED)
def test_what_was_done_to_the_database_is_told(database: Database, signer: Signer, statement: str, told: str) -> None:
    write(database, "a", "b", "c")
    with database.session() as session:
        assert trail.make_checkpoint(session, signer)
    assert problem(database, signer) == ""
    with database.session() as session:
        session.execute(sa.text(statement.replace(":", "\\:")))
    assert problem(database, signer).startswith(told)


def test_two_rows_that_changed_places_are_told(database: Database, signer: Signer) -> None:
    write(database, "a", "b", "c")
    with database.session() as session:
        for seq, to in ((1, 9), (2, 1), (9, 2)):
            session.execute(sa.text(f"UPDATE audit SET seq = {to} WHERE seq = {seq}"))
    assert problem(database, signer).startswith("row 1 does not follow row 0")


def test_a_chain_made_anew_cannot_be_signed(database: Database, signer: Signer) -> None:
    write(database, "a", "b")
    with database.session() as session:
        trail.make_checkpoint(session, signer)
    with database.session() as session:
        session.execute(sa.text("DELETE FROM audit"))
    write(database, "a", "other")
    assert "is not the one that was signed" in problem(database, signer)


@pytest.mark.parametrize(("rows", "told"), [(["a"], "is gone from"), (["a", "other"], "is another in")])
def test_a_database_put_back_is_told_by_the_copy(database: Database, signer: Signer, tmp_path: Path, rows: list[str], told: str) -> None:
    copy = TrailCopy(tmp_path)
    write(database, "a", "b")
    keep(database, signer, copy)
    with database.session() as session:
        session.execute(sa.text("DELETE FROM audit"))
        session.execute(sa.text("DELETE FROM audit_checkpoints"))
    write(database, *rows)
    assert problem(database, signer) == ""  # whole by itself
    with pytest.raises(TrailBroken, match=told):
        keep(database, signer, copy)
    assert trail.verify_lines(copy.texts(), signer).entries == 2


def test_a_copy_cut_short_by_a_crash_goes_on(database: Database, signer: Signer, tmp_path: Path) -> None:
    copy = TrailCopy(tmp_path)
    write(database, "a", "b")
    keep(database, signer, copy)
    (file,) = tmp_path.glob("*.jsonl")
    whole = file.read_bytes()
    second = whole.index(b'"seq":2')
    for cut in (0, 10, whole.index(b"\n") + 1, second + 10, whole.rindex(b'{"checkpoint"') + 5):
        file.write_bytes(whole[:cut])
        write(database, "c")
        keep(database, signer, copy)
        checked = trail.verify_lines(copy.texts(), signer)
        assert checked.problem == ""
        with database.session(readonly=True) as session:
            assert checked.head == list(audit.entries(session))[-1].hash
        file.write_bytes(whole)


EXPORTS: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "a row changed": (lambda rows: [rows[0].replace("user:kim", "user:lee"), *rows[1:]], "row 1 was changed"),
    "a row taken out": (lambda rows: rows[1:], "row 1 is missing"),
    "rows swapped": (lambda rows: [rows[1], rows[0], *rows[2:]], "row 1 is missing"),
    "not a line of ours": (lambda rows: [rows[0], "{}"], "line 2 is no line"),
    "another key": (lambda rows: [*rows[:2], signed_by_another(rows[2])], "is not of the key"),
}


def signed_by_another(text: str) -> str:
    other = Signer(Ed25519PrivateKey.generate())
    made = json.loads(text)["checkpoint"]
    content = json.dumps({name: made[name] for name in ("at", "hash", "seq")}, separators=(",", ":")).encode()
    return json.dumps({"checkpoint": {**made, "key": other.text, "signature": other.sign(trail.CHECKPOINT, content)}})


@pytest.mark.parametrize(("tamper", "told"), EXPORTS.values(), ids=EXPORTS)
def test_an_export_proves_itself_without_the_database(
    tmp_path: Path, signer: Signer, tamper: Callable[[list[str]], list[str]], told: str
) -> None:
    made = Database(f"sqlite:///{tmp_path}/t.db", FixedClock(NOW))
    made.migrate()
    made.start()
    write(made, "a", "b")
    with made.session() as session:
        trail.make_checkpoint(session, signer)
    with made.session(readonly=True) as session:
        rows = list(trail.lines(session))
    made.close()
    assert trail.verify_lines(rows).problem == ""
    assert told in trail.verify_lines(tamper(rows), signer).problem


def test_the_key_is_made_once_and_kept_to_us(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "signing.pem"
    first = load_signer(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_signer(file).text == first.text
    file.write_text("nonsense")
    with pytest.raises(FileError, match="signing key"):
        load_signer(file)
