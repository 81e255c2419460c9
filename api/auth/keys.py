"""Identities of machines: a key `bongsu_<id>_<secret>`, or a client certificate that was shown in the TLS handshake.

The secret is shown once, when the key is made; the database has its SHA-256. A certificate is known by its SHA-256, and holds no longer
than it says itself. Machines of a linked centre (`respond.centres`) reach the agencies it watches at that moment, while it is active.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.auth import certificates
from api.auth.tables import ApiKey
from core.crypto import digest, same, token
from core.database import Database, now
from core.errors import Conflict, Forbidden, Invalid, NotFound, StoreUnavailable
from core.permissions import MACHINE_ACTIONS, OF_CENTRES, Action, Agencies, MachineRole, Principal, Reach, parse_actions
from core.versions import check_seen
from respond import audit
from respond.centres import delegations, links
from respond.centres.machine import ACTIVE
from respond.centres.machine import MACHINE as CENTRE
from respond.centres.models import LinkedCentre

LONGEST_LIFE: Final = timedelta(days=3 * 366)
_FORM: Final = re.compile(r"bongsu_([0-9a-f]{12})_([0-9a-f]{64})")
_USE_NOTED_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a new key is to be. `agency` '' reaches every agency; `source` is the log source it writes as.

    `role` (a MachineRole) stands for its actions; `centre` is the linked centre it is of, whose agency it then has; with `certificate`
    (PEM) it is shown by that instead of a secret.
    """

    name: str
    actions: Iterable[str]
    agency: str
    source: str
    lifetime: timedelta
    role: str = ""
    centre: str = ""
    certificate: str = ""


def create_key(session: Session, wish: KeyWish, *, actor: str) -> tuple[ApiKey, str]:
    """Make a key; the text is the whole key, to be shown now and never again ('' for a certificate). Invalid when it cannot be granted.

    Conflict when the certificate is registered already, ended identities included.
    """
    actions = parse_actions(wish.actions, wish.role)
    agency, source = _place(session, wish, actions)
    if Action.LOGS_WRITE in actions and not (agency and source):
        raise Invalid("a key that writes logs needs an agency and a source: its lines are theirs")
    if source and Action.LOGS_WRITE not in actions:
        raise Invalid("only a key that writes logs has a source")
    if not wish.name.strip():
        raise Invalid("a key needs a name that says whose it is")
    if not timedelta(0) < wish.lifetime <= LONGEST_LIFE:
        raise Invalid(f"a key lives for at most {LONGEST_LIFE.days} days")
    at = now(session)
    shown = certificates.read(wish.certificate) if wish.certificate else None
    secret = "" if shown else token()
    row = ApiKey(
        id=secrets.token_hex(6),
        name=wish.name.strip(),
        secret_hash=digest(secret) if secret else "",
        agency=agency,
        source=source,
        actions=",".join(sorted(actions)),
        created_at=at,
        created_by=actor,
        expires_at=_end(session, shown, at, wish.lifetime),
        revoked_at=None,
        last_used_at=None,
        centre=wish.centre,
        subject=shown.subject if shown else "",
        certificate=shown.sha256 if shown else None,
    )
    session.add(row)
    session.flush()
    audit.record(session, actor, "key.created", f"key/{row.id}", _told(row))
    return row, f"bongsu_{row.id}_{secret}" if secret else ""


def rotate_key(
    session: Session, key_id: str, overlap: timedelta, *, actor: str, certificate: str = "", seen: int | None = None
) -> tuple[ApiKey, str]:
    """Make a key that may do the same for as long again, as `create_key` gives it; the old one ends after `overlap`, or before by itself.

    NotFound when there is none; Stale unless of version `seen`; Conflict when it has ended. One shown by a certificate is rotated to
    another certificate, and only such.
    """
    old = _seen(session, key_id, seen)
    at = now(session)
    if old.revoked_at is not None or old.expires_at <= at:
        raise Conflict("this key has ended: make a new one")
    if bool(old.certificate) != bool(certificate):
        raise Invalid("a key is rotated to a key, and a certificate to the PEM of another certificate")
    lifetime = min(old.expires_at - old.created_at, LONGEST_LIFE)
    agency = "" if old.centre else old.agency
    wish = KeyWish(old.name, old.actions.split(","), agency, old.source, lifetime, centre=old.centre, certificate=certificate)
    made = create_key(session, wish, actor=actor)
    old.expires_at, old.version = min(old.expires_at, at + overlap), old.version + 1
    audit.record(session, actor, "key.rotated", f"key/{old.id}", {"to": made[0].id, "expires_at": old.expires_at.isoformat()})
    return made


def find_key(session: Session, agencies: Agencies, key_id: str) -> ApiKey:
    """One key of `agencies`, ended or not. NotFound when there is none."""
    row = session.get(ApiKey, key_id)
    if row is None or not (agencies is None or row.agency in agencies):
        raise NotFound("there is no such key")
    return row


def list_keys(
    session: Session, agencies: Agencies = None, *, after: tuple[datetime, str] | None = None, limit: int = 100
) -> Sequence[ApiKey]:
    """Keys of `agencies`, newest first, those that ended included; `after` is the (created_at, id) of the last one already seen."""
    query = sa.select(ApiKey).order_by(ApiKey.created_at.desc(), ApiKey.id.desc()).limit(limit)
    if agencies is not None:
        query = query.where(ApiKey.agency.in_(agencies))
    if after is not None:
        query = query.where(sa.tuple_(ApiKey.created_at, ApiKey.id) < sa.tuple_(sa.literal(after[0], ApiKey.created_at.type), after[1]))
    return session.scalars(query).all()


def revoke_key(session: Session, key_id: str, *, actor: str, seen: int | None = None) -> ApiKey:
    """End a key at once; ending it twice changes nothing. NotFound when there is none; Stale unless of version `seen`."""
    row = _seen(session, key_id, seen)
    if row.revoked_at is None:
        row.revoked_at, row.version = now(session), row.version + 1
        audit.record(session, actor, "key.revoked", f"key/{row.id}", {"name": row.name})
    return row


def by_text(database: Database, text: str) -> Principal | None:
    """Whose key `text` is; None when it is none, wrong, expired or revoked. Forbidden when its linked centre is not active."""
    form = _FORM.fullmatch(text)
    if form is None:
        return None
    key_id, secret = form.groups()
    return _identified(database, ApiKey.id == key_id, lambda row: same(row.secret_hash, digest(secret)))


def by_certificate(database: Database, sha256: str) -> Principal | None:
    """Whose certificate this is, that was verified in the handshake; otherwise as `by_text`."""
    return _identified(database, ApiKey.certificate == sha256, lambda _: True)


def _seen(session: Session, key_id: str, seen: int | None) -> ApiKey:
    row = session.get(ApiKey, key_id, with_for_update=True)
    if row is None:
        raise NotFound("there is no such key")
    check_seen(f"the key {key_id}", row.version, seen)
    return row


def _identified(database: Database, which: sa.ColumnElement[bool], shown: Callable[[ApiKey], bool]) -> Principal | None:
    with database.session(readonly=True) as session:
        row = session.scalar(sa.select(ApiKey).where(which))
        at = now(session)
        if row is None or not shown(row) or row.revoked_at is not None or row.expires_at <= at:
            return None
        centre = _centre_of(session, row)
        principal = _principal(row, delegations.watched_by(session, row.centre, at) if centre else frozenset())
    with suppress(StoreUnavailable):  # the key is good even where its use cannot be noted
        _note_use(database, row, centre, at)
    return principal


def _centre_of(session: Session, row: ApiKey) -> LinkedCentre | None:
    if not row.centre:
        return None
    centre = session.scalar(sa.select(LinkedCentre).where(LinkedCentre.number == row.centre))
    if centre is None or centre.state != ACTIVE:
        raise Forbidden(f"the linked centre {row.centre} is not active: its machines are not let in")
    return centre


def _note_use(database: Database, row: ApiKey, centre: LinkedCentre | None, at: datetime) -> None:
    """Write down that the key was used, and that its centre called: any call is a heartbeat."""
    used = row.last_used_at is None or row.last_used_at < at - _USE_NOTED_EVERY
    called = centre is not None and links.due_to_note(centre.last_seen_at, at)
    if not used and not called:
        return
    with database.session() as session:
        if used:
            session.execute(sa.update(ApiKey).where(ApiKey.id == row.id).values(last_used_at=at))
        if called:
            links.seen(session, row.centre)


def _place(session: Session, wish: KeyWish, actions: frozenset[Action]) -> tuple[str, str]:
    """The agency and source of a new key; those of a linked centre's machine are the centre's."""
    if not wish.centre:
        if wrong := actions & OF_CENTRES:
            raise Invalid(f"only a linked centre's machine has {', '.join(sorted(wrong))}: name the centre")
        return wish.agency, wish.source
    centre = session.scalar(sa.select(LinkedCentre).where(LinkedCentre.number == wish.centre))
    if centre is None or centre.state in CENTRE.ended:
        raise Invalid(f"there is no linked centre {wish.centre}, or it has ended")
    if wish.agency not in ("", centre.agency):
        raise Invalid(f"{wish.centre} is a centre of {centre.agency}, and so are its machines")
    if wrong := actions - MACHINE_ACTIONS[MachineRole.LINKED_CENTRE]:
        raise Invalid(f"a linked centre's machine has no {', '.join(sorted(wrong))}")
    return centre.agency, wish.source or (centre.name if Action.LOGS_WRITE in actions else "")


def _end(session: Session, shown: certificates.Certificate | None, at: datetime, lifetime: timedelta) -> datetime:
    if shown is None:
        return at + lifetime
    if shown.not_after <= at:
        raise Invalid("this certificate has expired")
    if session.scalar(sa.select(ApiKey.id).where(ApiKey.certificate == shown.sha256)):
        raise Conflict("this certificate is registered already, or was: issue another")
    return min(at + lifetime, shown.not_after)


def _told(row: ApiKey) -> dict[str, str]:
    told = {"name": row.name, "agency": row.agency, "source": row.source, "actions": row.actions, "expires_at": row.expires_at.isoformat()}
    more = {"centre": row.centre, "certificate": row.certificate or "", "subject": row.subject}
    return told | {name: value for name, value in more.items() if value}


def _principal(row: ApiKey, watched: frozenset[str]) -> Principal:
    actions = [Action(word) for word in row.actions.split(",")]
    if row.centre:
        reaches = {action: Reach.OWN if action is Action.LOGS_WRITE else Reach.WATCHED for action in actions}
    else:
        reaches = dict.fromkeys(actions, Reach.OWN if row.agency else Reach.ALL)
    name = f"{row.id} ({row.name})"
    return Principal("key", row.id, name, row.agency, MappingProxyType(reaches), source=row.source, centre=row.centre, watched=watched)
