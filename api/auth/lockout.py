"""Slowing down guesses of passwords, by user name and by address.

An attempt is counted before the password is looked at and taken back when it was right, so that attempts made at the same time cannot
pass the limit. Past the limit every attempt waits; each further failure doubles the wait, up to a quarter of an hour. Names that no user
has are counted alike, so the answer tells nothing about who exists. Names are kept as digests: people type passwords into the wrong
field.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.auth.tables import FailedAttempts
from core.crypto import digest
from core.database import insert_into, now
from core.errors import TooMany

_FORGOTTEN_AFTER: Final = timedelta(minutes=30)
_FIRST_WAIT: Final = timedelta(seconds=30)
_LONGEST_WAIT: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """Whose attempts are counted, and how many may fail before the first wait."""

    key: str
    limit: int


def of_name(name: str) -> Subject:
    """The user name that was typed, whether a user has it or not."""
    return Subject(f"name:{digest(name)}", limit=5)


def of_proof(user_id: str) -> Subject:
    """Whoever has to show a code, or the password again: the wrong ones are counted apart, so that a right password forgives none."""
    return Subject(f"proof:{user_id}", limit=5)


def of_address(peer: str) -> Subject:
    """The address an attempt comes from; an IPv6 customer has a whole /64. Many people may share one address: the limit is wider."""
    try:
        address = ip_address(peer)
    except ValueError:
        return Subject("address:none", limit=25)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return Subject(f"address:{ip_network((address, 64), strict=False)}", limit=25)
    return Subject(f"address:{getattr(address, 'ipv4_mapped', None) or address}", limit=25)


def count_attempt(session: Session, subjects: Sequence[Subject]) -> None:
    """Count one attempt against every subject; TooMany, with nothing counted, when one of them must wait."""
    at = now(session)
    session.execute(sa.delete(FailedAttempts).where(FailedAttempts.last_at < at - _FORGOTTEN_AFTER))
    rows = [(subject, _row(session, subject, at)) for subject in sorted(subjects)]
    waits = [row.blocked_until - at for _, row in rows if row.blocked_until is not None and row.blocked_until > at]
    if waits:
        seconds = math.ceil(max(waits).total_seconds())
        raise TooMany(f"too many failed attempts: try again in {seconds} seconds", seconds)
    for subject, row in rows:
        row.failures += 1
        row.last_at = at
        row.blocked_until = at + _wait(row.failures, subject.limit) if row.failures >= subject.limit else None


def forgive(session: Session, name: Subject, address: Subject) -> None:
    """The attempt was right: the name starts afresh, the address gets this one attempt back."""
    row = session.get(FailedAttempts, address.key, with_for_update=True)  # addresses first, as in `count_attempt`
    if row is not None:
        row.failures = max(0, row.failures - 1)
        row.blocked_until = None if row.failures < address.limit else row.blocked_until
    forget(session, name)


def forget(session: Session, subject: Subject) -> None:
    """What was shown was right: the subject starts afresh."""
    session.execute(sa.delete(FailedAttempts).where(FailedAttempts.subject == subject.key))


def _row(session: Session, subject: Subject, at: datetime) -> FailedAttempts:
    new = insert_into(session, FailedAttempts).values(subject=subject.key, failures=0, last_at=at)
    session.execute(new.on_conflict_do_nothing())
    return session.get_one(FailedAttempts, subject.key, with_for_update=True)


def _wait(failures: int, limit: int) -> timedelta:
    doubled = 1 << min(failures - limit, 10)
    return min(_FIRST_WAIT * doubled, _LONGEST_WAIT)
