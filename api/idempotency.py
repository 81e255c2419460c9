"""The same POST sent again does nothing again: a request with an `Idempotency-Key` is done once, and its answer is kept for a day.

- A key belongs to its caller, and to one request: method, path, query and body. With another request it is refused (422).
- While the first request is under way, or when the centre died before it could keep the answer, nobody can tell whether it was done: 409.
- An answer that says "not now" or "not so" (412, 428, 429, 5xx) is not kept: the same key tries again.

Pure ASGI, inside the gate: the caller is known. Not for bodies with a limit of their own (log lines, feeds, files), and not where an
answer holds a secret, which is never stored.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from anyio.to_thread import run_sync
from sqlalchemy.orm import Mapped, Session, mapped_column
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.envelope import UNBOUNDED
from core.database import Base, Database, Json, UtcDateTime, insert_into, now
from core.permissions import Principal

KEPT: Final = timedelta(days=1)
LARGEST_ANSWER: Final = 256 << 10
HEADER: Final = "Idempotency-Key"
_SECRET: Final = re.compile(r"/v1/(login|logout|keys|account)(/|$)|/v1/users/[^/]+/password$")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_NOT_KEPT: Final = (412, 428, 429)
_KEPT_HEADERS: Final = ("content-type", "etag", "location")


class Answered(Base):
    """A request with a key: `status` is 0 until its answer is kept. `headers` are pairs; `body` is the answer's."""

    __tablename__ = "answered_requests"

    caller: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    key: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    request: Mapped[str] = mapped_column(sa.Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    status: Mapped[int] = mapped_column(sa.Integer)
    headers: Mapped[list[Any]] = mapped_column(Json)
    body: Mapped[bytes] = mapped_column(sa.LargeBinary)


class Idempotency:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, database: Database) -> None:
        self._app = app
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal: Principal | None = scope.get("state", {}).get("principal")
        if principal is None or not _is_post(scope) or (key := Headers(scope=scope).get(HEADER)) is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        wrong = "" if is_taken(scope["path"]) else f"this route takes no {HEADER}: its answer is not kept"
        wrong = wrong or ("" if _KEY.fullmatch(key) else f"{HEADER} has 1 to 255 visible ASCII characters")
        if wrong:
            await problems.answer(request, 422, "invalid", wrong)(scope, receive, send)
            return
        body = await request.body()
        digest = _digest(scope, body)
        before = await run_sync(self._begin, principal.actor, key, digest)
        if before is None:
            await self._do(scope, _once(body, receive), send, (principal.actor, key))
        else:
            await _again(request, before, digest)(scope, receive, send)

    def _begin(self, caller: str, key: str, request: str) -> Answered | None:
        """Take the key for this request; what it was taken for before, if it was."""
        with self._database.session() as session:
            row = {"caller": caller, "key": key, "request": request, "at": now(session), "status": 0, "headers": [], "body": b""}
            taken = insert_into(session, Answered).values(row).on_conflict_do_nothing().returning(Answered.key)
            if session.scalar(taken) is not None:
                return None
            found = session.get(Answered, (caller, key))
            if found is not None:
                session.expunge(found)
            return found

    async def _do(self, scope: Scope, receive: Receive, send: Send, name: tuple[str, str]) -> None:
        made = _Made(send)
        try:
            await self._app(scope, receive, made.send)
        finally:
            await run_sync(self._end, name, made)

    def _end(self, name: tuple[str, str], made: _Made) -> None:
        """Keep the answer; let the key go when there is none that would be the same again."""
        found = (Answered.caller == name[0], Answered.key == name[1])
        with self._database.session() as session:
            if made.is_final:
                kept = {"status": made.status, "headers": made.headers, "body": bytes(made.body)}
                session.execute(sa.update(Answered).where(*found).values(kept))
            elif made.status:
                session.execute(sa.delete(Answered).where(*found))


def forget(session: Session) -> None:
    """Delete what is older than a day."""
    session.execute(sa.delete(Answered).where(Answered.at < now(session) - KEPT))


@dataclass
class _Made:
    """The answer on its way out, and a copy of it."""

    _send: Send
    status: int = 0
    headers: Sequence[tuple[str, str]] = ()
    body: bytearray = field(default_factory=bytearray)
    _ended: bool = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = Headers(raw=message["headers"])
            self.headers = [(name, given[name]) for name in _KEPT_HEADERS if name in given]
        elif len(self.body) <= LARGEST_ANSWER:
            self.body += message.get("body", b"")
            self._ended = not message.get("more_body", False)
        await self._send(message)

    @property
    def is_final(self) -> bool:
        return self._ended and len(self.body) <= LARGEST_ANSWER and self.status < 500 and self.status not in _NOT_KEPT


def _again(request: Request, before: Answered, digest: str) -> Response:
    if before.request != digest:
        return problems.answer(
            request, 422, "idempotency_mismatch", f"this {HEADER} was sent with another request: take a new one for each"
        )
    if not before.status:
        detail = (
            f"a request with this {HEADER} is under way, or was when the centre stopped: look whether it was done before you send a new one"
        )
        return problems.answer(request, 409, "idempotency_unknown", detail, retry_after=5.0)
    return Response(before.body, before.status, {**dict(before.headers), "Idempotency-Replayed": "true"})


def is_taken(path: str) -> bool:
    """Whether a POST to `path` takes a key."""
    return path.startswith("/v1/") and not UNBOUNDED.match(path) and not _SECRET.match(path)


def _is_post(scope: Scope) -> bool:
    return bool(scope["type"] == "http" and scope["method"] == "POST")


def _digest(scope: Scope, body: bytes) -> str:
    digest = hashlib.sha256()
    for part in (scope["path"].encode(), scope["query_string"], body):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _once(body: bytes, receive: Receive) -> Receive:
    """`receive` that gives the body again, and then whatever else comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return messages.pop() if messages else await receive()

    return received
