"""How entries of the ledger follow one another: each carries the SHA-256 of itself and of the entry before it.

Entries are numbered from 1 without a gap. The newest entry's number and hash are told to the audit trail (ANCHOR) in the transaction that
adds them; the trail is signed and copied elsewhere, so a ledger that was cut off at its end, or made anew, is found too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import now
from ingest.ledger.models import LedgerEntry
from ingest.ledger.receiving import Key

ACTOR: Final = "system:ledger"
ANCHOR: Final = "ledger.closed"
OBJECT: Final = "ledger"
GENESIS: Final = "0" * 64

Record = Callable[[Session, str, str, str, Mapping[str, Any]], None]
"""Appends a row to the audit trail: session, actor, action, object, detail (`respond.audit.record`)."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The four numbers of an entry, in lines."""

    received: int = 0
    stored: int = 0
    quarantined: int = 0
    evaluated: int = 0

    @property
    def holds(self) -> bool:
        """Whether every line received is stored or quarantined, and every stored one evaluated."""
        return self.received == self.stored + self.quarantined and self.stored == self.evaluated


def figures_of(entry: LedgerEntry) -> Figures:
    """What an entry says."""
    return Figures(entry.received, entry.stored, entry.quarantined, entry.evaluated)


def key_of(entry: LedgerEntry) -> Key:
    """What an entry is about."""
    return Key(entry.hour, entry.agency, entry.source, entry.exercise)


def append(session: Session, said: Sequence[tuple[Key, int, Figures]], record: Record) -> None:
    """Add entries, each with its revision, and tell the trail. The caller holds the lock `receiving.LOCK`."""
    if not said:
        return
    last = session.execute(sa.select(LedgerEntry.seq, LedgerEntry.hash).order_by(LedgerEntry.seq.desc()).limit(1)).one_or_none()
    seq, head = last or (0, GENESIS)
    at = now(session)
    for key, revision, figures in said:
        seq += 1
        entry = LedgerEntry(
            seq=seq,
            at=at,
            hour=key.hour,
            agency=key.agency,
            source=key.source,
            exercise=key.exercise,
            revision=revision,
            received=figures.received,
            stored=figures.stored,
            quarantined=figures.quarantined,
            evaluated=figures.evaluated,
            holds=figures.holds,
            prev_hash=head,
        )
        entry.hash = head = digest(entry)
        session.add(entry)
    session.flush()
    hours = sorted({_instant(key.hour) for key, _, _ in said})
    wrong = sum(not figures.holds for _, _, figures in said)
    record(session, ACTOR, ANCHOR, OBJECT, {"seq": seq, "head": head, "entries": len(said), "differences": wrong, "hours": hours[:24]})


def digest(entry: LedgerEntry) -> str:
    """SHA-256 (hex) of the entry's columns but `holds` and `hash`, as a JSON array in the order of the table; times in UTC with `Z`."""
    said = [
        *(entry.seq, _instant(entry.at), _instant(entry.hour), entry.agency, entry.source, entry.exercise, entry.revision),
        *(entry.received, entry.stored, entry.quarantined, entry.evaluated, entry.prev_hash),
    ]
    return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()


def entries(session: Session, since: int = 1) -> Iterator[LedgerEntry]:
    """The entries from number `since` on, in order, in constant memory."""
    query = sa.select(LedgerEntry).where(LedgerEntry.seq >= since).order_by(LedgerEntry.seq)
    for entry in session.scalars(query.execution_options(yield_per=1000)):
        yield entry
        session.expunge(entry)


@dataclass(frozen=True, slots=True)
class Walked:
    """The outcome of a walk: the last good entry, and what is wrong behind it ('' when nothing is)."""

    seq: int
    head: str
    problem: str = ""


def walk(found: Iterable[LedgerEntry], anchors: Iterable[tuple[int, str]], before: Walked = Walked(0, GENESIS)) -> Walked:
    """Check entries that follow `before`, in order, against each other and against what the trail was told (number and hash, in order).

    Anchors of entries before are passed over.
    """
    told = {seq: head for seq, head in anchors if seq > before.seq}
    newest = max(told, default=before.seq)
    last = before
    for entry in found:
        if problem := _wrong(entry, last, told):
            return Walked(last.seq, last.head, problem)
        last = Walked(entry.seq, entry.hash)
    if last.seq < newest:
        return Walked(last.seq, last.head, f"entries {last.seq + 1} to {newest}, of which the audit trail tells, are missing")
    if last.seq > newest:
        return Walked(last.seq, last.head, f"of the entries after {newest} the audit trail knows nothing")
    return last


def _wrong(entry: LedgerEntry, last: Walked, told: Mapping[int, str]) -> str:
    """What is wrong with the entry after `last`."""
    where = f"entry {entry.seq} ({entry.agency}, {entry.source or '-'}, {_instant(entry.hour)})"
    if entry.seq != last.seq + 1:
        return f"entry {last.seq + 1} is missing: the next is {entry.seq}"
    if entry.prev_hash != last.head:
        return f"{where} does not follow entry {last.seq}: its previous hash is another"
    if entry.hash != digest(entry) or entry.holds != figures_of(entry).holds:
        return f"{where} was changed: its hash does not match its content"
    if told.get(entry.seq, entry.hash) != entry.hash:
        return f"{where} is not the one of which the audit trail tells"
    return ""


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
