"""What a command says when the centre it asks does not do it: over real sockets, against a server that answers as it is told."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
import zstandard

from core.errors import ConfigError
from runtime.asking import Centre, CentreRefused
from runtime.push import PushFailed, push

KEY = "bongsu_a_key"
PROBLEM = "application/problem+json"


class _Told(BaseHTTPRequestHandler):
    """Gives the answers of `answers` in turn, and keeps what was asked."""

    answers: ClassVar[list[tuple[int, dict[str, str], bytes]]] = []
    asked: ClassVar[list[tuple[str, str, bytes]]] = []

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.asked.append((self.command, self.path, self.rfile.read(length)))
        status, headers, body = self.answers.pop(0)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the names the server calls

    def log_message(self, *words: Any) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def url() -> Iterator[str]:
    _Told.answers, _Told.asked = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Told)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def will(status: int, body: Any = None, **headers: str) -> None:
    """Let the server answer so, after what it was told before."""
    sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    _Told.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, sent))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, ["refused with 401: it is so", "BONGSU_KEY", "bongsu keys create NAME --action hunts:run"]),
        (403, ["refused with 403: it is so", "bongsu keys create NAME --action hunts:run"]),
        (404, ["refused with 404: it is so"]),
        (422, ["refused with 422: it is so"]),
        (500, ["refused with 500: it is so"]),
        (429, ["refused with 429: it is so", "try again in 7 s"]),
    ],
)
def test_a_refusal_says_what_the_centre_said_and_what_to_do(url: str, status: int, said: list[str]) -> None:
    will(status, {"detail": "it is so"}, Content_Type=PROBLEM, Retry_After="7")
    with pytest.raises(CentreRefused) as refused:
        Centre(url, KEY, "hunts:run").ask("GET", "/v1/hunts")
    for words in (url, *said):
        assert words in str(refused.value)
    assert KEY not in str(refused.value)
    assert refused.value.retry_after == (7.0 if status == 429 else None)


def test_what_is_no_centre_is_said_to_be_none(url: str) -> None:
    centre = Centre(url, KEY, "rules:read")
    will(200, b"<html>hello</html>")
    with pytest.raises(CentreRefused, match="is it a Bongsu centre"):
        centre.ask("GET", "/v1/rules")
    will(302, Location="/login")
    with pytest.raises(CentreRefused, match="refused with 302: Found"):
        centre.ask("GET", "/v1/rules")
    with pytest.raises(CentreRefused, match=r"127\.0\.0\.1:1 does not answer"):
        Centre("http://127.0.0.1:1", KEY, "rules:read").ask("GET", "/v1/rules")


@pytest.mark.parametrize("address", ["127.0.0.1:8514", "http://", "ftp://centre.example", "http://centre.example:port"])
def test_an_address_that_is_none_is_a_wrong_option(address: str) -> None:
    with pytest.raises(ConfigError, match="--to"):
        Centre(address, KEY, "rules:read")


@pytest.mark.parametrize(("key", "said"), [("", "needs an API key with rules:read"), ("열쇠", "no key has")])
def test_a_key_that_is_none_is_a_wrong_option(key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"--key.*{said}"):
        Centre("http://127.0.0.1:1", key, "rules:read")


def test_lists_are_read_page_by_page_as_far_as_they_are_wanted(url: str) -> None:
    for numbers, following in (((1, 2), "a"), ((3, 4), "b"), ((5,), "")):
        will(200, {"items": [{"n": number} for number in numbers], "next_cursor": following})
    found = Centre(url, KEY, "hunts:run").every("/v1/hunts", {"kind": "hunt"})
    assert [next(found)["n"] for _ in range(3)] == [1, 2, 3]
    assert [path for _, path, _ in _Told.asked] == ["/v1/hunts?kind=hunt&cursor=", "/v1/hunts?kind=hunt&cursor=a"]
    assert [one["n"] for one in found] == [4, 5]


def test_a_push_waits_when_it_is_asked_to_and_says_how_far_it_came(url: str) -> None:
    text = b"".join(b"line %d\n" % number for number in range(700_000))
    will(503, {"detail": "full"}, Retry_After="0")
    will(200, {"lines": 500_000})
    will(400, {"detail": "no more of this"})
    with pytest.raises(PushFailed, match=r"refused with 400: no more of this; it had taken 500,000 lines"):
        push(io.BufferedReader(io.BytesIO(text)), len(text), Centre(url, KEY, "logs:write"), lambda *_: None)
    first, again, second = (zstandard.ZstdDecompressor().decompress(body) for _, _, body in _Told.asked)
    assert first == again
    assert text.startswith(first + second)
    assert first.endswith(b"\n")
