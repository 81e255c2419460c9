"""The audit trail beyond the reach of who could change the database: signed checkpoints, and exports that prove themselves.

- A **checkpoint** signs the hash of the newest row. Whoever changes, removes or reorders a row afterwards would have to make the chain
  anew and could not sign it; whoever cuts the chain off leaves a checkpoint of rows that are gone.
- An **export** can be verified without the database: rows chain by their hashes, checkpoints by the key.

A line is `{"seq", "at", "actor", "action", "object", "detail", "prev_hash", "hash"}` or `{"checkpoint": {"seq", "hash", "at", "key",
"signature"}}` (times in UTC with six decimals). A signature is over the JSON of the checkpoint's seq, hash and at (`core.signing`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import exclusive, now
from core.errors import BongsuError
from core.signing import Signer, Verifier
from respond import audit
from respond.audit import GENESIS, Entry
from respond.models import Audit, AuditCheckpoint

CHECKPOINT: Final = "audit checkpoint"
TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


class TrailBroken(BongsuError):
    """The trail is not what was written before: rows were changed or lost, or a backup was put back."""


@dataclass
class Checked:
    """The outcome of a check. `problem` is '' when all is whole; `keys` are the ids of the keys that signed."""

    entries: int = 0
    head: str = GENESIS
    checkpoints: int = 0
    signed_until: int = 0
    keys: set[str] = field(default_factory=set)
    problem: str = ""


@dataclass
class Last:
    """The last row seen; seq 0: none."""

    seq: int = 0
    hash: str = GENESIS


def make_checkpoint(session: Session, signer: Signer) -> bool:
    """Sign the newest row; False when it is signed already or there is none."""
    exclusive(session, "audit")
    newest = session.execute(sa.select(Audit.seq, Audit.hash).order_by(Audit.seq.desc()).limit(1)).one_or_none()
    if newest is None or session.get(AuditCheckpoint, newest.seq) is not None:
        return False
    at = now(session)
    signature = signer.sign(CHECKPOINT, _signed(newest.seq, newest.hash, at))
    session.add(AuditCheckpoint(seq=newest.seq, hash=newest.hash, at=at, key=signer.text, signature=signature))
    return True


def lines(session: Session, after: int = 0, until: int | None = None) -> Iterator[str]:
    """The trail as lines: the rows after row `after`, up to row `until`, each checkpoint after its row."""
    signed = {row.seq: row for row in session.scalars(sa.select(AuditCheckpoint).where(AuditCheckpoint.seq > after))}
    for entry in audit.entries(session, after):
        if until is not None and entry.seq > until:
            return
        yield line(entry)
        if made := signed.get(entry.seq):
            yield audit.canonical({"checkpoint": _plain(made)})


def line(entry: Entry) -> str:
    """One row as a line."""
    return audit.canonical({**asdict(entry), "at": entry.at.astimezone(UTC).strftime(TIME)})


def verify_lines(given: Iterable[str], verifier: Verifier | None = None) -> Checked:
    """Check an export or a copy. With `verifier` every checkpoint must be of that key; else of the key it names itself."""
    checked = Checked()

    def rows() -> Iterator[Entry]:
        for place, text in enumerate(given, 1):
            try:
                found = json.loads(text)
                if "checkpoint" in found:
                    # Reached when the row before it has been looked at: `head` is that row's, or the row was not the right one.
                    _check_signature(checked, last, found["checkpoint"], verifier)
                    continue
                last.seq, last.hash = int(found["seq"]), str(found["hash"])
                yield _entry(found)
            except (ValueError, KeyError, TypeError) as error:
                raise TrailBroken(f"line {place} is no line of an audit trail") from error
            if checked.problem:
                return

    last = Last()
    try:
        verified = audit.verify_entries(rows())
    except TrailBroken as error:
        checked.problem = checked.problem or str(error)
        return checked
    checked.entries, checked.head = verified.entries, verified.head
    checked.problem = verified.problem or checked.problem
    return checked


def verify_database(session: Session, verifier: Verifier) -> Checked:
    """Check the chain in the database and its checkpoints, and that no signed row is gone."""
    checked = verify_lines(lines(session), verifier)
    if checked.problem:
        return checked
    newest = session.scalar(sa.select(sa.func.max(AuditCheckpoint.seq))) or 0
    if newest > checked.entries:
        checked.problem = f"row {checked.entries + 1} and those up to {newest}, which were signed, are missing"
    elif wrong := (session.scalar(sa.select(sa.func.count()).select_from(AuditCheckpoint)) or 0) - checked.checkpoints:
        checked.problem = f"{wrong} checkpoints belong to no row"
    elif (row := _misplaced(session)) is not None:
        checked.problem = f"row {row} was changed: its agency is not that of its detail"
    return checked


def _check_signature(checked: Checked, last: Last, made: dict[str, Any], verifier: Verifier | None) -> None:
    key = verifier or Verifier.of(made["key"])
    content = audit.canonical({"seq": made["seq"], "hash": made["hash"], "at": made["at"]}).encode()
    if (made["seq"], made["hash"]) != (last.seq, last.hash):
        checked.problem = f"row {made['seq']} is not the one that was signed"
    elif not key.verifies(CHECKPOINT, content, made["signature"]):
        checked.problem = f"the signature over row {made['seq']} is not of the key {key.key_id}"
    else:
        checked.checkpoints += 1
        checked.signed_until = last.seq
        checked.keys.add(key.key_id)


def _plain(made: AuditCheckpoint) -> dict[str, Any]:
    at = made.at.astimezone(UTC).strftime(TIME)
    return {"seq": made.seq, "hash": made.hash, "at": at, "key": made.key, "signature": made.signature}


def _signed(seq: int, hashed: str, at: datetime) -> bytes:
    return audit.canonical({"seq": seq, "hash": hashed, "at": at.astimezone(UTC).strftime(TIME)}).encode()


def _entry(found: dict[str, Any]) -> Entry:
    at = datetime.strptime(found["at"], TIME).replace(tzinfo=UTC)
    return Entry(found["seq"], at, *(found[name] for name in ("actor", "action", "object", "detail", "prev_hash", "hash")))


def _misplaced(session: Session) -> int | None:
    """The first row whose agency is not that of its detail."""
    query = sa.select(Audit.seq, Audit.agency, Audit.detail).order_by(Audit.seq).execution_options(yield_per=1000)
    with session.execute(query) as found:
        return next((seq for seq, agency, detail in found if str(json.loads(detail).get("agency", "")) != agency), None)
