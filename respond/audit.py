"""The audit trail: who did what to what, one row for each change, chained by hashes.

- A row is written in the transaction of the change it tells of: both stay or neither does.
- `hash` is the SHA-256 of the row's other columns and the hash before it (`digest`), so no row can be changed, taken out, put in or
  moved without every later hash changing. A chain cut off at its end still verifies: compare `Verified.head` with one kept elsewhere.
- Rows are numbered from 1 without a gap. Writers wait for one another from `record` until their transaction ends; call it last.
- Secrets and personal data do not belong in `detail`: it is kept for ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import exclusive, now
from respond.models import Audit

GENESIS: Final = "0" * 64
LONGEST_OBJECT: Final = 200
_AT_A_TIME = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be recorded. `actor` is an identity or `system:...`; `object` names one thing, such as `incident/INC-2026-000001`."""

    actor: str
    action: str
    object: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the trail. `detail` is JSON text."""

    seq: int
    at: datetime
    actor: str
    action: str
    object: str
    detail: str
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Verified:
    """The outcome of a check. `problem` is '' when the chain is whole; `head` is the last good hash."""

    entries: int
    head: str
    problem: str


def record(session: Session, actor: str, action: str, object: str, detail: Mapping[str, Any]) -> None:  # noqa: A002 - the column's name
    """Append one row; see `record_all`."""
    record_all(session, [Change(actor, action, object, detail)])


def record_all(session: Session, changes: Sequence[Change]) -> None:
    """Append rows in the order given. ValueError when an object's name is longer than 200 characters."""
    if not changes:
        return
    exclusive(session, "audit")
    last = session.execute(sa.select(Audit.seq, Audit.hash).order_by(Audit.seq.desc()).limit(1)).one_or_none()
    seq, head = last or (0, GENESIS)
    at = now(session)
    rows = []
    for change in changes:
        if len(change.object) > LONGEST_OBJECT:
            raise ValueError(f"an audited object's name is at most {LONGEST_OBJECT} characters: {change.object[:40]!r}...")
        seq += 1
        detail = canonical(change.detail)
        hashed = digest(seq, at, change.actor, change.action, change.object, detail, head)
        rows.append(
            {
                "seq": seq,
                "at": at,
                "actor": change.actor,
                "action": change.action,
                "object": change.object,
                "detail": detail,
                "prev_hash": head,
                "hash": hashed,
                "agency": str(change.detail.get("agency", "")),
            }
        )
        head = hashed
    session.execute(sa.insert(Audit), rows)


def digest(seq: int, at: datetime, actor: str, action: str, object: str, detail: str, prev_hash: str) -> str:  # noqa: A002 - the row
    """SHA-256 (hex) of the JSON array [seq, at, actor, action, object, detail, prev_hash], `at` in UTC with six decimals and `Z`."""
    instant = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return hashlib.sha256(canonical([seq, instant, actor, action, object, detail, prev_hash]).encode()).hexdigest()


def entries(session: Session, after: int = 0) -> Iterator[Entry]:
    """The rows after row `after`, in order, in constant memory."""
    columns = (Audit.seq, Audit.at, Audit.actor, Audit.action, Audit.object, Audit.detail, Audit.prev_hash, Audit.hash)
    query = sa.select(*columns).where(Audit.seq > after).order_by(Audit.seq)
    with session.execute(query.execution_options(yield_per=_AT_A_TIME)) as found:
        for row in found:
            yield Entry(*row)


def verify(session: Session) -> Verified:
    """Walk the whole trail in constant memory and name the first row that is not as it was written."""
    return verify_entries(entries(session))


def verify_entries(rows: Iterable[Entry]) -> Verified:
    """The check itself, on rows from wherever they are kept, in their order."""
    count, head = 0, GENESIS
    for entry in rows:
        if entry.seq != count + 1:
            return Verified(count, head, f"row {count + 1} is missing: the next is {entry.seq}")
        if entry.prev_hash != head:
            return Verified(count, head, f"row {entry.seq} does not follow row {count}: its previous hash is another")
        if entry.hash != digest(entry.seq, entry.at, entry.actor, entry.action, entry.object, entry.detail, entry.prev_hash):
            return Verified(count, head, f"row {entry.seq} was changed: its hash does not match its content")
        count, head = entry.seq, entry.hash
    return Verified(count, head, "")


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces and only ASCII: the same value gives the same text everywhere."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
