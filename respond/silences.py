"""Silences: for a while, detections of a rule, an agency or an entity open and join no incident. They are stored and counted all the same.

A silence holds from the moment it is made until it expires or somebody ends it, for whatever is made into incidents in that time. It is
never deleted: what ended stays as history. Making and ending one leaves an audit row. Every call takes the caller's scope: silences of
other agencies, and those over several agencies for who does not see them all, do not exist for the caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_network
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from core import metrics
from core.database import AnyText, Base, Json, RowId, UtcDateTime, now
from core.errors import Conflict, Forbidden, Invalid, NotFound
from core.events import DETECTIONS, Kind
from core.rule_records import GROUPED
from core.versions import Versioned, check_seen
from respond import audit

Scope = frozenset[str] | None
Flags = npt.NDArray[np.bool_]

MOST_ACTIVE: Final = 1000
MOST_VALUES: Final = 8
LONGEST_VALUE: Final = 1000
LONGEST_REASON: Final = 4000
_SHORTEST: Final = timedelta(minutes=1)
_HIGHEST: Final = {Kind.UINT8: 2**8, Kind.UINT16: 2**16, Kind.UINT32: 2**32, Kind.UINT64: 2**64}


class SilenceRow(Versioned, Base):
    """One silence. '' of `rule_id` and `agency` means any; `match` is column to value, all of which must hold."""

    __tablename__ = "silences"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    rule_id: Mapped[str] = mapped_column(AnyText)
    agency: Mapped[str] = mapped_column(AnyText)
    match: Mapped[dict[str, str]] = mapped_column(Json)
    owner: Mapped[str] = mapped_column(AnyText)
    reason: Mapped[str] = mapped_column(AnyText)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(AnyText)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_by: Mapped[str] = mapped_column(AnyText)
    detections: Mapped[int] = mapped_column(sa.BigInteger)
    last_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


@dataclass(frozen=True, slots=True)
class Wish:
    """A silence somebody wants. `match` gives for a column an address or network (CIDR), a number, or text, compared without case."""

    reason: str
    owner: str
    expires_at: datetime
    rule_id: str = ""
    agency: str = ""
    match: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence as it stands. `detections` were held back by it, the newest at `last_at`; `ended_at` is None until somebody ends it."""

    id: int
    rule_id: str
    agency: str
    match: Mapping[str, str]
    owner: str
    reason: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    ended_at: datetime | None
    ended_by: str
    detections: int
    last_at: datetime | None
    active: bool
    version: int


def make(session: Session, scope: Scope, actor: str, wish: Wish, longest: timedelta) -> Silence:
    """Begin a silence. Invalid: it says nothing, lasts longer than `longest`, or a value is none of its column. Conflict: too many hold."""
    at = now(session)
    _check(wish, at, longest)
    if scope is not None and wish.agency not in scope:
        raise Forbidden("you may silence detections of your own agency only: name it")
    if (session.scalar(sa.select(sa.func.count()).select_from(SilenceRow).where(_active(at))) or 0) >= MOST_ACTIVE:
        raise Conflict(f"{MOST_ACTIVE} silences hold already: end some, or change the rules that need so many")
    row = SilenceRow(
        rule_id=wish.rule_id,
        agency=wish.agency,
        match=dict(wish.match),
        owner=wish.owner.strip(),
        reason=wish.reason.strip(),
        created_at=at,
        created_by=actor,
        expires_at=wish.expires_at,
        ended_at=None,
        ended_by="",
        detections=0,
        last_at=None,
    )
    session.add(row)
    session.flush()
    audit.record(session, actor, "silence.made", f"silence/{row.id}", _told(row))
    return _silence(row, at)


def end(session: Session, scope: Scope, actor: str, number: int, *, seen: int | None = None) -> Silence:
    """End a silence now; ending one that is over changes nothing. NotFound when there is none in scope; Stale unless of version `seen`."""
    at = now(session)
    row = session.scalar(_rows(scope).where(SilenceRow.id == number).with_for_update())
    if row is None:
        raise NotFound(f"there is no silence {number}")
    check_seen(f"the silence {number}", row.version, seen)
    if row.ended_at is None and row.expires_at > at:
        row.ended_at, row.ended_by, row.version = at, actor, row.version + 1
        session.flush()
        audit.record(session, actor, "silence.ended", f"silence/{row.id}", {"detections": row.detections})
    return _silence(row, at)


def find(session: Session, scope: Scope, number: int) -> Silence:
    """The silence of that number; NotFound when there is none in scope."""
    row = session.scalar(_rows(scope).where(SilenceRow.id == number))
    if row is None:
        raise NotFound(f"there is no silence {number}")
    return _silence(row, now(session))


def listed(
    session: Session, scope: Scope, *, active: bool | None = None, rule_id: str = "", before: int = 0, limit: int = 100
) -> list[Silence]:
    """Silences, newest first, those that ended among them unless `active` says which; `before` is the number to go on from."""
    at = now(session)
    query = _rows(scope)
    if active is not None:
        query = query.where(_active(at) if active else sa.not_(_active(at)))
    if rule_id:
        query = query.where(SilenceRow.rule_id == rule_id)
    if before:
        query = query.where(SilenceRow.id < before)
    return [_silence(row, at) for row in session.scalars(query.order_by(SilenceRow.id.desc()).limit(limit))]


def hold_back(session: Session, findings: pa.Table, at: datetime) -> pa.Table:
    """The rows of DETECTIONS that no silence holds at `at`; those it holds are counted in it."""
    silenced = np.zeros(findings.num_rows, bool)
    for row in session.scalars(sa.select(SilenceRow).where(_active(at)).order_by(SilenceRow.id).with_for_update()):
        held = held_by(findings, row.rule_id, row.agency, row.match)
        if count := int(held.sum()):
            silenced |= held
            row.detections += count
            row.last_at = at
    if not silenced.any():
        return findings
    metrics.DETECTIONS_SILENCED.inc(int(silenced.sum()))
    return findings.filter(pa.array(~silenced))


def held_by(findings: pa.Table, rule_id: str, agency: str, match: Mapping[str, str]) -> Flags:
    """Which rows (of DETECTIONS) are of the rule and the agency, where these are not '', and have every value of `match`."""
    held = np.ones(findings.num_rows, bool)
    for name, word in (("rule_id", rule_id), ("agency", agency)):
        if word:
            held &= _flags(pc.equal(findings[name], word))
    for name, value in match.items():
        if not held.any():
            break
        kind = DETECTIONS.column(name).kind
        if kind is Kind.IP:
            held &= _within(findings[name], value)
        elif kind.is_text:
            held &= _flags(pc.equal(pc.utf8_lower(findings[name]), value.lower()))
        else:
            held &= _flags(pc.equal(findings[name], int(value)))
    return held


def _flags(column: pa.ChunkedArray) -> Flags:
    return np.asarray(pc.fill_null(column, False).to_numpy(), bool)


def _within(column: pa.ChunkedArray, cidr: str) -> Flags:
    """Whether each address of 16 bytes is within `cidr`; its two halves are compared as numbers."""
    network = ip_network(cidr, strict=False)
    first, last = network.network_address, network.broadcast_address
    low, high = (int(one if isinstance(one, IPv6Address) else IPv6Address(f"::ffff:{one}")) for one in (first, last))
    known = column.is_valid().to_numpy()
    filled = pc.fill_null(column, pa.scalar(bytes(16), column.type)).combine_chunks()
    halves = np.frombuffer(filled.buffers()[1], ">u8").reshape(-1, 2)[filled.offset : filled.offset + len(filled)]
    mask = ~(low ^ high) & ((1 << 128) - 1)
    wanted = [(mask >> 64, low >> 64), (mask & (2**64 - 1), low & (2**64 - 1))]
    fits = [(halves[:, place] & np.uint64(bits)) == np.uint64(value) for place, (bits, value) in enumerate(wanted)]
    return np.asarray(known & fits[0] & fits[1], bool)


def _check(wish: Wish, at: datetime, longest: timedelta) -> None:
    if not (wish.rule_id or wish.agency or wish.match):
        raise Invalid("a silence needs a rule, an agency or a value: without any it would silence everything")
    if not wish.reason.strip() or not wish.owner.strip():
        raise Invalid("a silence needs a reason and an owner, who answers for it")
    if len(wish.reason) > LONGEST_REASON:
        raise Invalid(f"a reason has at most {LONGEST_REASON} characters")
    if not _SHORTEST <= wish.expires_at - at <= longest:
        raise Invalid(f"a silence lasts a minute to {longest.days} days (respond.longest_silence_days); what lasts belongs into the rule")
    if len(wish.match) > MOST_VALUES:
        raise Invalid(f"a silence names at most {MOST_VALUES} values")
    for problem in _problems(wish.match):
        raise Invalid(problem)


def _problems(match: Mapping[str, str]) -> Iterator[str]:
    for name, value in match.items():
        if name not in GROUPED:
            yield f"{name!r} is no column a silence can be about"
            continue
        kind = DETECTIONS.column(name).kind
        if not value or len(value) > LONGEST_VALUE:
            yield f"{name}: a value has 1 to {LONGEST_VALUE} characters"
        elif kind is Kind.IP and not _is_network(value):
            yield f"{name}: {value!r} is neither an address nor a network"
        elif kind.is_number and not (value.isascii() and value.isdecimal() and int(value) < _HIGHEST[kind]):
            yield f"{name}: {value!r} is not a number below {_HIGHEST[kind]}"


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _active(at: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(SilenceRow.expires_at > at, SilenceRow.ended_at.is_(None))


def _rows(scope: Scope) -> sa.Select[SilenceRow]:
    query = sa.select(SilenceRow)
    return query if scope is None else query.where(SilenceRow.agency.in_(scope))


def _told(row: SilenceRow) -> dict[str, Any]:
    """For the audit trail, which is kept for ever: the columns of `match`, not their values, which may name people."""
    about = {"rule": row.rule_id, "agency": row.agency, "columns": sorted(row.match)}
    return about | {"owner": row.owner, "reason": row.reason, "until": row.expires_at.isoformat()}


def _silence(row: SilenceRow, at: datetime) -> Silence:
    columns: Sequence[str] = [column.key for column in sa.inspect(SilenceRow).column_attrs]
    values = {name: getattr(row, name) for name in columns}
    return Silence(**values, active=row.ended_at is None and row.expires_at > at)
