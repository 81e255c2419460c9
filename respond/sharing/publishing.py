"""What recipients can fetch: every version of every object, as it was signed.

- An object that says the same as before is not published again; one that says something else is a new version with a later `modified`;
  one that is no longer said, or whose share is revoked, is published once more with `revoked` set.
- Whoever publishes holds the lock `sharing` (the service takes it before anything else), so that `added_at` rises in the order of
  commits, and a reader who goes on after the last one it saw misses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import now
from core.signing import Signer
from respond.cases.canonical import canonical
from respond.sharing import signed
from respond.sharing.models import Published, Share
from respond.sharing.stix import GLOBAL, UNVERSIONED, Object, stamp

_OF_VERSIONS: Final = frozenset({"created", "modified", "revoked"})
_TICK: Final = timedelta(microseconds=1)
_STEP: Final = timedelta(milliseconds=1)
_AT_A_TIME: Final = 500


def publish(session: Session, share: Share, recipient: str, objects: Sequence[Object], at: datetime, signer: Signer) -> None:
    """Let `recipient` have `objects` as what `share` says from now on; what it said before and says no more is revoked."""
    before = _newest(session, recipient, share.tlp, [one["id"] for one in objects])
    batch = _Batch(share, recipient, at, signer)
    for one in objects:
        batch.add(one, before.get(one["id"]))
    wanted = {one["id"] for one in objects}
    for row in _of_root(session, share.root, recipient):
        if row.object_id not in wanted:
            batch.revoke(row)
    batch.write(session)


def revoke(session: Session, share: Share, recipient: str, at: datetime, signer: Signer) -> None:
    """Publish every object `recipient` has of the share as revoked."""
    batch = _Batch(share, recipient, at, signer)
    for row in _of_root(session, share.root, recipient):
        batch.revoke(row)
    batch.write(session)


def signed_now(objects: Sequence[Object], at: datetime, signer: Signer) -> list[Object]:
    """Objects as they would be published first, at `at`: for a look before a release."""
    return [_complete(one, None, at, signer) for one in objects]


def of_share(session: Session, share: Share, recipient: str) -> list[Object]:
    """The newest version of every object the recipient has of the share, with what those name."""
    rows = _of_root(session, share.root, recipient)
    found = {row.object_id: json.loads(row.content) for row in rows}
    named = {ref for one in found.values() for ref in _refs(one)} - found.keys()
    beside = _newest(session, recipient, share.tlp, sorted(named))
    extension = _newest(session, recipient, share.tlp, [signed.EXTENSION])
    return [json.loads(row.content) for row in [*beside.values(), *extension.values()]] + list(found.values())


def bundle(objects: Sequence[Object], share: Share) -> bytes:
    """A STIX bundle; the same objects give the same bytes."""
    told = {"type": "bundle", "id": f"bundle--{share.seed}", "objects": sorted(objects, key=lambda one: str(one["id"]))}
    return canonical(told).encode()


class _Batch:
    """Versions for one recipient, written together."""

    def __init__(self, share: Share, recipient: str, at: datetime, signer: Signer) -> None:
        self._share = share
        self._recipient = recipient
        self._at = at
        self._signer = signer
        self._rows: list[dict[str, Any]] = []
        self._former: list[int] = []

    def add(self, one: Object, before: Published | None) -> None:
        """A version of the object, unless it says what `before` said."""
        if before is not None and (one["type"] in UNVERSIONED or (not before.revoked and _said(json.loads(before.content)) == _said(one))):
            return
        self._put(_complete(one, before, self._at, self._signer), before, "" if one["type"] in GLOBAL else self._share.root)

    def revoke(self, before: Published) -> None:
        """A version that revokes the object, unless it is revoked."""
        if not before.revoked:
            told = {**json.loads(before.content), "revoked": True, "modified": stamp(max(self._at, before.version + _STEP))}
            self._put(signed.sign(told, self._signer), before, before.root)

    def _put(self, content: Object, before: Published | None, root: str) -> None:
        if before is not None:
            self._former.append(before.id)
        version = content.get("modified") or content.get("created")
        self._rows.append(
            {
                **{"recipient": self._recipient, "tlp": self._share.tlp, "share": self._share.number, "root": root},
                **{"object_id": content["id"], "object_type": content["type"], "content": canonical(content)},
                "version": datetime.fromisoformat(version).astimezone(UTC) if version else self._at,
                **{"newest": True, "oldest": before is None, "revoked": content.get("revoked") is True},
            }
        )

    def write(self, session: Session) -> None:
        """Put it all down, a microsecond apart, after everything that is there."""
        if not self._rows:
            return
        last = session.scalar(sa.select(sa.func.max(Published.added_at, type_=Published.added_at.type)))
        first = max(now(session), last + _TICK) if last is not None else now(session)
        for start in range(0, len(self._former), _AT_A_TIME):
            some = Published.id.in_(self._former[start : start + _AT_A_TIME])
            session.execute(sa.update(Published).where(some).values(newest=False))
        session.execute(sa.insert(Published), [{**row, "added_at": first + place * _TICK} for place, row in enumerate(self._rows)])


def _complete(one: Object, before: Published | None, at: datetime, signer: Signer) -> Object:
    """The object with its times and signature."""
    if one["type"] in ("marking-definition", "extension-definition"):
        return one
    if one["type"] in UNVERSIONED:
        return signed.sign(one, signer)
    if before is None:
        first = one.get("created", stamp(at))
        return signed.sign({**one, "created": first, "modified": first}, signer)
    created = json.loads(before.content)["created"]
    return signed.sign({**one, "created": created, "modified": stamp(max(at, before.version + _STEP))}, signer)


def _newest(session: Session, recipient: str, tlp: str, ids: Sequence[str]) -> dict[str, Published]:
    """The newest version of each of `ids` that the recipient has."""
    found: dict[str, Published] = {}
    for start in range(0, len(ids), _AT_A_TIME):
        some = Published.object_id.in_(ids[start : start + _AT_A_TIME])
        query = sa.select(Published).where(Published.recipient == recipient, Published.tlp == tlp, Published.newest.is_(True), some)
        found |= {row.object_id: row for row in session.scalars(query)}
    return found


def _of_root(session: Session, root: str, recipient: str) -> Sequence[Published]:
    query = sa.select(Published).where(Published.root == root, Published.recipient == recipient, Published.newest.is_(True))
    return session.scalars(query.order_by(Published.id)).all()


def _said(one: Mapping[str, Any]) -> Object:
    """An object without what only tells versions apart."""
    extensions = {name: value for name, value in one.get("extensions", {}).items() if name != signed.EXTENSION}
    said = {name: value for name, value in one.items() if name not in _OF_VERSIONS and name != "extensions"}
    return said | ({"extensions": extensions} if extensions else {})


def _refs(one: Mapping[str, Any]) -> list[str]:
    single = [value for name, value in one.items() if name.endswith("_ref")]
    return single + [ref for name, value in one.items() if name.endswith("_refs") for ref in value]
