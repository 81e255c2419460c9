"""Keys and certificates of machines, for those who administer them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api import paging
from api.auth import keys
from api.auth.dependencies import Allowed, TheCentre
from api.auth.keys import KeyWish
from api.auth.tables import ApiKey
from api.etags import CONDITIONAL, SeenVersion, set_etag
from core.errors import Invalid
from core.permissions import Action, MachineRole, Principal

router = APIRouter(prefix="/v1/keys", tags=["keys"])

Reader = Annotated[Principal, Depends(Allowed(Action.KEYS_READ))]
Writer = Annotated[Principal, Depends(Allowed(Action.KEYS_WRITE))]
KeyId = Annotated[str, Path(max_length=64, examples=["3f2a9c0d1e4b"])]


class NewKey(BaseModel):
    """What a key is to be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "Seogu forwarder", "actions": ["logs:write"], "agency": "seogu", "source": "fw-1", "days": 365}]
        },
    )

    name: str = Field(min_length=1, max_length=128, description="Whose it is, for people")
    actions: list[str] = Field(default=[], max_length=16, description="What it may do; or give a role")
    role: MachineRole | None = Field(default=None, description="Stands for its actions")
    agency: str = Field(default="", max_length=63, description="Empty: every agency (not for logs:write), or that of the centre")
    source: str = Field(default="", max_length=63, pattern=r"^([a-z0-9][a-z0-9_.-]*)?$", description="The log source it writes as")
    centre: str = Field(
        default="", max_length=24, description="Number of the linked centre it is of; it reaches the agencies that one watches"
    )
    certificate: str = Field(default="", max_length=20_000, description="A certificate (PEM) that is shown instead of a secret")
    days: int = Field(default=365, ge=1, le=keys.LONGEST_LIFE.days)


class Rotation(BaseModel):
    """How a key is replaced."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"overlap_hours": 24}]})

    overlap_hours: int = Field(default=24, ge=0, le=24 * 90, description="The old one works so long beside the new one")
    certificate: str = Field(default="", max_length=20_000, description="The next certificate (PEM), where a certificate is replaced")


class Key(BaseModel):
    """A key, without its secret."""

    id: str
    name: str
    actions: list[str]
    agency: str
    source: str
    centre: str
    certificate: str | None = Field(description="SHA-256 of the certificate that shows it, null for a key")
    subject: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute")
    version: int = Field(description="The ETag")


class MadeKey(Key):
    """A new key. `key` is shown this once; it is empty for a certificate."""

    key: str


class KeyPage(BaseModel):
    """Keys, newest first. `next_cursor` is empty on the last page."""

    items: list[Key]
    next_cursor: str


@router.get("", summary="List keys")
def list_keys(caller: Reader, centre: TheCentre, cursor: paging.Cursor = "", limit: Annotated[int, Query(ge=1, le=500)] = 100) -> KeyPage:
    """All keys the caller may see, ended ones included."""
    after = paging.decode_instant(cursor)
    with centre.database.session(readonly=True) as session:
        rows = keys.list_keys(session, caller.scope(Action.KEYS_READ), after=after, limit=limit + 1)
    shown = rows[:limit]
    following = paging.encode_instant(shown[-1].created_at, shown[-1].id) if len(rows) > limit else ""
    return KeyPage(items=[_key(row) for row in shown], next_cursor=following)


@router.post("", status_code=201, summary="Make a key")
def make_key(wish: NewKey, caller: Writer, centre: TheCentre) -> MadeKey:
    """Make a key; it is shown in this answer and never again."""
    known = {agency.id for agency in centre.settings.agencies}
    if wish.agency and wish.agency not in known:
        raise Invalid(f"there is no agency {wish.agency!r}")
    with centre.database.session() as session:
        wanted = KeyWish(
            **wish.model_dump(exclude={"days", "role"}), lifetime=timedelta(days=wish.days), role=wish.role.value if wish.role else ""
        )
        row, text = keys.create_key(session, wanted, actor=caller.actor)
    return MadeKey(**_key(row).model_dump(), key=text)


@router.get("/{key_id}", summary="Read a key")
def read_key(key_id: KeyId, response: Response, caller: Reader, centre: TheCentre) -> Key:
    """One key, ended or not; never its secret."""
    with centre.database.session(readonly=True) as session:
        row = keys.find_key(session, caller.scope(Action.KEYS_READ), key_id)
    set_etag(response, row.version)
    return _key(row)


@router.post("/{key_id}/rotate", status_code=201, summary="Replace a key", responses={**CONDITIONAL, 409: {"description": "It has ended"}})
def rotate_key(key_id: KeyId, wish: Rotation, caller: Writer, centre: TheCentre, version: SeenVersion) -> MadeKey:
    """Make a key that may do the same for as long again; the old one works on for `overlap_hours`."""
    with centre.database.session() as session:
        overlap = timedelta(hours=wish.overlap_hours)
        row, text = keys.rotate_key(session, key_id, overlap, actor=caller.actor, certificate=wish.certificate, seen=version)
    return MadeKey(**_key(row).model_dump(), key=text)


@router.delete("/{key_id}", status_code=204, summary="Revoke a key", responses=CONDITIONAL)
def revoke_key(key_id: KeyId, caller: Writer, centre: TheCentre, version: SeenVersion) -> None:
    """End a key at once. Revoking it again changes nothing."""
    with centre.database.session() as session:
        keys.revoke_key(session, key_id, actor=caller.actor, seen=version)


def _key(row: ApiKey) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        actions=row.actions.split(","),
        agency=row.agency,
        source=row.source,
        centre=row.centre,
        certificate=row.certificate,
        subject=row.subject,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        version=row.version,
    )
