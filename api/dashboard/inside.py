"""A request to an ASGI application of this process, without a network, connections or a client's own bookkeeping.

A page asks its API a dozen things; a client that could also reach other machines costs more than most of the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

from starlette.types import ASGIApp, Message

from api.auth.gate import INSIDE

_HOST: Final = "inside"
_SAFE: Final = "/%:@!$&'()*+,;=~"  # what a path may hold as it is, RFC 3986, 3.3; `%` begins what is quoted already


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def ask(
    app: ASGIApp, peer: tuple[str, int], method: str, path: str, query: Mapping[str, Any], headers: Mapping[str, str], body: bytes
) -> Reply:
    """Let `app` answer, told that this process itself asks for the person at `peer`: nobody outside can say so.

    Lists in `query` are given several times.
    """
    sent = {"host": _HOST, "accept-encoding": "identity", **headers, **({"content-length": str(len(body))} if body else {})}
    raw = quote(path, safe=_SAFE)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "query_string": urlencode({name: _words(value) for name, value in query.items()}, doseq=True).encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        "client": peer,
        "server": (_HOST, 80),
        "state": {INSIDE: True},
    }
    exchange = _Exchange(body)
    await app(scope, exchange.receive, exchange.send)
    return Reply(exchange.status, exchange.headers, b"".join(exchange.pieces))


class _Exchange:
    """The two ends the application holds."""

    def __init__(self, body: bytes) -> None:
        self.status = 500
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self._body: bytes | None = body
        self._ended = asyncio.Event()

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message.get("headers", ())}
        elif message["type"] == "http.response.body":
            self.pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                self._ended.set()


def _words(value: object) -> object:
    """A value as a query says it: truth in lower case."""
    if isinstance(value, bool):
        return str(value).lower()
    return [_words(one) for one in value] if isinstance(value, list | tuple) else value
