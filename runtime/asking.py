"""Asking a running centre over its API: the options, the client and the errors that every command with `--to` and `--key` shares.

A failure is one CentreRefused whose message says which centre, what it answered, and what to do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Any, Final

import httpx
import typer

from core.errors import BongsuError, ConfigError

LOCAL: Final = "http://127.0.0.1:8514"
_MOST_SHOWN: Final = 200  # characters of an answer that is no problem document

To = Annotated[str, typer.Option("--to", help="The running centre.")]
ToOrStore = Annotated[str, typer.Option("--to", help=f"A running centre, such as {LOCAL}; without it, the store itself.")]


def key_option(action: str) -> Any:
    """The option `--key` of a command that needs `action`."""
    return typer.Option("--key", envvar="BONGSU_KEY", help=f"API key with {action}, for the running centre.")


class CentreRefused(BongsuError):
    """A running centre did not do what was asked. `retry_after` (seconds) is set when it may do so later."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Centre:
    """A running centre, asked with a key; `action` is what the key must be for. Calls block.

    ConfigError when the URL or the key is missing or none.
    """

    def __init__(self, url: str, key: str, action: str) -> None:
        self._make = f"`bongsu keys create NAME --action {action}`"
        if not key:
            raise ConfigError("--key", f"asking a running centre needs an API key with {action}: {self._make}")
        self._url = url.rstrip("/")
        try:
            headers = {"Authorization": f"Bearer {key}"}
            self._client = httpx.Client(base_url=self._url, headers=headers)
            if self._client.base_url.scheme not in ("http", "https") or not self._client.base_url.host:
                raise ConfigError("--to", f"{url!r} is no address of a centre, such as {LOCAL}")
        except httpx.InvalidURL as error:
            raise ConfigError("--to", f"{url!r} is no address of a centre, such as {LOCAL}: {error}") from error
        except UnicodeEncodeError as error:
            raise ConfigError("--key", "holds characters no key has") from error

    def ask(self, method: str, path: str, *, seconds: float = 150, **options: Any) -> Any:
        """The JSON the centre answers, None when it answers nothing; `options` are httpx's. CentreRefused when it does not do it."""
        answer = self._answer(method, path, seconds=seconds, **options)
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise CentreRefused(f"{self._url} answered {path} with something that is not JSON; is it a Bongsu centre?") from error

    def remove(self, path: str, *, seconds: float = 150) -> Any:
        """DELETE what is there now, as `ask` does; CentreRefused when somebody changes it at the same time, too."""
        etag = self._answer("GET", path, seconds=seconds).headers.get("ETag", "")
        return self.ask("DELETE", path, seconds=seconds, headers={"If-Match": etag})

    def _answer(self, method: str, path: str, *, seconds: float, **options: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, timeout=seconds, **options)
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise CentreRefused(f"{self._url} does not answer ({why}); does the centre run, and is --to its address?") from error
        if not answer.is_success:
            raise self._refused(answer)
        return answer

    def every(self, path: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The items of a list, page by page."""
        cursor = ""
        while True:
            page = self.ask("GET", path, params={**params, "cursor": cursor})
            yield from page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return

    def _refused(self, answer: httpx.Response) -> CentreRefused:
        said = f"{self._url} refused with {answer.status_code}: {_detail(answer)}"
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            said += f"; --key (BONGSU_KEY) is wrong, expired or revoked: {self._make}"
        elif answer.status_code == HTTPStatus.FORBIDDEN:
            said += f"; a key that may: {self._make}"
        retry_after = None
        if answer.status_code in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            told = answer.headers.get("Retry-After", "")
            retry_after = float(told) if told.isdecimal() else 1.0
            said += f"; try again in {math.ceil(retry_after)} s"
        return CentreRefused(said, retry_after)


def _detail(answer: httpx.Response) -> str:
    """The detail of a problem document (RFC 9457); otherwise the beginning of what was answered, or the status in words."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:_MOST_SHOWN].strip() or answer.reason_phrase
