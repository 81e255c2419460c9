"""The API as the visitor's own browser would call it: in this process, through the same gate, with the visitor's session.

So a page shows and does what the API allows this person, and no more: permissions, scope, If-Match, the trail of reads are its routes'.
Only the rate of requests is not counted again: the page that asks was counted itself, and refreshes by itself.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Request
from starlette.types import ASGIApp

from api.auth.gate import COOKIE, csrf_token
from api.dashboard import inside
from api.idempotency import HEADER, is_taken

NOTHING: Final = "nothing"
"""In place of an ETag: there was nothing when it was looked at."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered: the parsed body (None where there is none) and the ETag, as it is sent back with a change."""

    body: Any
    etag: str


@dataclass
class Refused(Exception):
    """The API did not do it: its problem document (RFC 9457)."""

    status: int
    code: str
    detail: str
    errors: list[dict[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        return self.detail


class Api:
    """One visitor's calls. `csrf` is what the visitor's browser sends with a change of its own."""

    def __init__(self, request: Request) -> None:
        cookie = request.cookies.get(COOKIE, "")
        self._peer = (request.client.host, request.client.port) if request.client else ("127.0.0.1", 0)
        self.csrf = csrf_token(cookie)
        self._headers = {"Cookie": f"{COOKIE}={cookie}", "X-CSRF-Token": self.csrf}
        self._app: ASGIApp = request.state.application

    async def get(self, path: str, **query: Any) -> Answer:
        """Read. Values that are None or '' are not asked for; lists are given several times. Raises Refused."""
        return await self._call("GET", path, query=query)

    async def post(self, path: str, body: object = None, *, etag: str = "", **query: Any) -> Answer:
        """Do something once; `etag` is that of the record as it was seen. Raises Refused."""
        return await self._call("POST", path, body, etag, query)

    async def put(self, path: str, body: object = None, *, etag: str = "", **query: Any) -> Answer:
        """Make it so; `etag` as for `post`, or NOTHING. Raises Refused."""
        return await self._call("PUT", path, body, etag, query)

    async def patch(self, path: str, body: object = None, *, etag: str = "") -> Answer:
        """Change a part. Raises Refused."""
        return await self._call("PATCH", path, body, etag)

    async def delete(self, path: str, *, etag: str = "", **query: Any) -> Answer:
        """Take away. Raises Refused."""
        return await self._call("DELETE", path, None, etag, query)

    async def _call(self, method: str, path: str, body: object = None, etag: str = "", query: Mapping[str, Any] | None = None) -> Answer:
        headers = dict(self._headers)
        if etag == NOTHING:
            headers["If-None-Match"] = "*"
        elif etag:
            headers["If-Match"] = etag
        if method == "POST" and is_taken(path):
            headers[HEADER] = uuid.uuid4().hex
        asked = {name: value for name, value in (query or {}).items() if value is not None and value != ""}
        if body is not None and not isinstance(body, bytes):
            headers["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        answer = await inside.ask(self._app, self._peer, method, path, asked, headers, body or b"")
        is_json = answer.headers.get("content-type", "").partition(";")[0].endswith("json")
        content = json.loads(answer.body) if is_json and answer.body else answer.body or None
        if answer.status >= 400:
            raise refused_of(answer.status, content)
        return Answer(content, answer.headers.get("etag", ""))


def refused_of(status: int, content: object) -> Refused:
    """The refusal an answer tells of; `content` is its problem document, where it has one."""
    told = content if isinstance(content, dict) else {}
    return Refused(status, str(told.get("code", "")), str(told.get("detail", "")), list(told.get("errors") or []))
