"""Asking other parties' TAXII 2.1 servers for what they added since we last asked.

One turn reads whole pages of a collection into one STIX bundle and says where to go on; the state is moved on only when the bundle has been
taken in, so a turn that failed is done again. A peer is a stranger: its answers are bounded in size, pages and time, its certificate is
verified, redirections are not followed, and what it says of itself ends in a message for people, never in a crash.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import httpx
import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import insert_into
from core.errors import ConfigError, Invalid, StoreUnavailable
from core.sharing_settings import PeerSettings
from respond.sharing.models import PeerState
from respond.sharing.taxii import MEDIA

_PAGE: Final = 500
_MOST_PAGES: Final = 200
_SECONDS: Final = 30.0
_LAST: Final = "X-TAXII-Date-Added-Last"


@dataclass
class Turn:
    """What one turn brought: STIX objects, and the `added_after` to go on with ('' when there is none yet)."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    added_after: str = ""
    more: bool = False

    def bundle(self) -> bytes:
        """The objects as a STIX bundle."""
        return json.dumps({"type": "bundle", "id": "bundle--00000000-0000-4000-8000-000000000000", "objects": self.objects}).encode()


def client(peer: PeerSettings) -> httpx.Client:
    """A client with the peer's identity and certificate list. ConfigError when the list cannot be read."""
    try:
        verify = ssl.create_default_context(cafile=str(peer.ca_file) if peer.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError("respond.sharing.peers", f"{peer.name}: {peer.ca_file} cannot be read: {error}") from error
    secret = peer.secret.get_secret_value()
    headers = {"Accept": MEDIA, "User-Agent": "bongsu"}
    if secret and not peer.user:
        headers["Authorization"] = f"Bearer {secret}"
    auth = httpx.BasicAuth(peer.user, secret) if peer.user else None
    return httpx.Client(headers=headers, auth=auth, verify=verify, timeout=_SECONDS, follow_redirects=False, trust_env=False)


def ask(http: httpx.Client, peer: PeerSettings, collection: str, added_after: str) -> Turn:
    """Read what a collection got after `added_after`, up to the peer's limit of bytes.

    Invalid when the peer refuses or answers what is no TAXII; StoreUnavailable when it does not answer.
    """
    url = f"{peer.root}collections/{quote(collection, safe='')}/objects/"
    turn, room, following = Turn(added_after=added_after), peer.max_mb << 20, ""
    for _ in range(_MOST_PAGES):
        after = added_after if following else turn.added_after
        params = {"limit": str(_PAGE)} | ({"added_after": after} if after else {}) | ({"next": following} if following else {})
        envelope, last, size = _get(http, peer, url, params, room)
        objects = envelope.get("objects") or []
        if not isinstance(objects, list):
            raise Invalid(f"the peer {peer.name} answered what is no TAXII envelope")
        turn.objects += [one for one in objects if isinstance(one, dict)]
        turn.added_after, room = last or turn.added_after, room - size
        turn.more = envelope.get("more") is True and bool(objects)
        following = str(envelope.get("next") or "")
        if not turn.more or room <= 0:
            break
    return turn


def state_of(session: Session, peer: str, collection: str) -> str:
    """The `added_after` to go on with; '' when the collection was never read."""
    found = session.get(PeerState, (peer, collection))
    return found.added_after if found else ""


def keep(session: Session, peer: str, collection: str, at: datetime, turn: Turn, indicators: int, problem: str = "") -> None:
    """Write down how a turn went; the counts are added up."""
    own = {"added_after": turn.added_after, "asked_at": at, "problem": problem[:1000]}
    counts = {"objects": len(turn.objects), "indicators": indicators}
    insert = insert_into(session, PeerState).values(peer=peer, collection=collection, **own, **counts)
    added = {name: getattr(PeerState, name) + value for name, value in counts.items()}
    session.execute(insert.on_conflict_do_update(index_elements=["peer", "collection"], set_={**own, **added}))


def states(session: Session) -> Sequence[PeerState]:
    """How far every collection of every peer was read."""
    return session.scalars(sa.select(PeerState).order_by(PeerState.peer, PeerState.collection)).all()


def _get(http: httpx.Client, peer: PeerSettings, url: str, params: dict[str, str], room: int) -> tuple[dict[str, Any], str, int]:
    """One page: the envelope, when its last object was added, and its bytes."""
    try:
        with http.stream("GET", url, params=params) as answer:
            if answer.status_code != httpx.codes.OK:
                raise Invalid(f"the peer {peer.name} answered {answer.status_code} to {url}: {_reasons(answer.status_code)}")
            if not answer.headers.get("Content-Type", "").startswith("application/taxii+json"):
                told = answer.headers.get("Content-Type", "no type")
                raise Invalid(f"the peer {peer.name} answered with {told!r}, not TAXII 2.1: look at `root`")
            content = bytearray()
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > max(room, 1 << 20):
                    raise Invalid(f"the peer {peer.name} sends pages larger than max_mb allows")
            envelope = json.loads(content or b"{}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StoreUnavailable(f"the peer {peer.name} does not answer: {error}") from error
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the peer {peer.name} answered what is no JSON: {error}") from error
    if not isinstance(envelope, dict):
        raise Invalid(f"the peer {peer.name} answered what is no TAXII envelope")
    return envelope, answer.headers.get(_LAST, ""), len(content)


def _reasons(status: int) -> str:
    known = {401: "our secret is not accepted", 403: "we may not read it", 404: "there is no such collection for us"}
    return known.get(status, "ask whoever runs it")
