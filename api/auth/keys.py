"""Keys of machines: `bongsu_<id>_<secret>`. The secret is shown once, when the key is made; the database has its SHA-256."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.auth.tables import ApiKey
from core.crypto import digest, same, token
from core.database import Database, now
from core.errors import Invalid, NotFound, StoreUnavailable
from core.permissions import Action, Agencies, Principal, Reach, parse_actions
from respond import audit

LONGEST_LIFE: Final = timedelta(days=3 * 366)
_FORM: Final = re.compile(r"bongsu_([0-9a-f]{12})_([0-9a-f]{64})")
_USE_NOTED_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a new key is to be. `agency` '' reaches every agency; `source` is the log source it writes as."""

    name: str
    actions: Iterable[str]
    agency: str
    source: str
    lifetime: timedelta


def create_key(session: Session, wish: KeyWish, *, actor: str) -> tuple[ApiKey, str]:
    """Make a key; the text is the whole key, to be shown now and never again. Invalid when the wish cannot be granted."""
    actions = parse_actions(wish.actions)
    if Action.LOGS_WRITE in actions and not (wish.agency and wish.source):
        raise Invalid("a key that writes logs needs an agency and a source: its lines are theirs")
    if wish.source and Action.LOGS_WRITE not in actions:
        raise Invalid("only a key that writes logs has a source")
    if not wish.name.strip():
        raise Invalid("a key needs a name that says whose it is")
    if not timedelta(0) < wish.lifetime <= LONGEST_LIFE:
        raise Invalid(f"a key lives for at most {LONGEST_LIFE.days} days")
    at = now(session)
    secret = token()
    row = ApiKey(
        id=secrets.token_hex(6),
        name=wish.name.strip(),
        secret_hash=digest(secret),
        agency=wish.agency,
        source=wish.source,
        actions=",".join(sorted(actions)),
        created_at=at,
        created_by=actor,
        expires_at=at + wish.lifetime,
        revoked_at=None,
        last_used_at=None,
    )
    session.add(row)
    session.flush()
    detail = {
        "name": row.name,
        "agency": row.agency,
        "source": row.source,
        "actions": row.actions,
        "expires_at": row.expires_at.isoformat(),
    }
    audit.record(session, actor, "key.created", f"key/{row.id}", detail)
    return row, f"bongsu_{row.id}_{secret}"


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


def revoke_key(session: Session, key_id: str, *, actor: str) -> ApiKey:
    """End a key at once; ending it twice changes nothing. NotFound when there is none."""
    row = session.get(ApiKey, key_id, with_for_update=True)
    if row is None:
        raise NotFound("there is no such key")
    if row.revoked_at is None:
        row.revoked_at = now(session)
        audit.record(session, actor, "key.revoked", f"key/{row.id}", {"name": row.name})
    return row


def by_text(database: Database, text: str) -> Principal | None:
    """Whose key `text` is; None when it is none, wrong, expired or revoked."""
    form = _FORM.fullmatch(text)
    if form is None:
        return None
    key_id, secret = form.groups()
    with database.session(readonly=True) as session:
        row = session.get(ApiKey, key_id)
        at = now(session)
    if row is None or not same(row.secret_hash, digest(secret)) or row.revoked_at is not None or row.expires_at <= at:
        return None
    if row.last_used_at is None or row.last_used_at < at - _USE_NOTED_EVERY:
        with suppress(StoreUnavailable), database.session() as session:  # the key is good even where its use cannot be noted
            session.execute(sa.update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=at))
    return _principal(row)


def _principal(row: ApiKey) -> Principal:
    reach = Reach.OWN if row.agency else Reach.ALL
    grants = MappingProxyType({Action(word): reach for word in row.actions.split(",")})
    return Principal("key", row.id, f"{row.id} ({row.name})", row.agency, grants, source=row.source)
