"""A city for tests that tell a story: a centre in a process of its own on a clock that can be moved, and its people at their browsers.

Everybody works over HTTP with an account of the own role, reads a case before taking a step, and sends back the ETag that was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from typer.testing import CliRunner

from runtime.commands.accounts import users
from tests.servers.centre import PASSWORD, RunningCentre
from tests.servers.other_time import MovedClock


class Person:
    """Somebody with an account, who logs in when there is no session. `see`, `make` and `step` give the JSON of what is not refused."""

    def __init__(self, client: httpx.Client, name: str) -> None:
        self.name = name
        self._client = client

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, **wanted: Any) -> httpx.Response:
        return self._ask("GET", path, params=wanted)

    def post(self, path: str, body: Mapping[str, Any], **headers: str) -> httpx.Response:
        return self._ask("POST", path, json=body, headers=headers)

    def see(self, path: str, **wanted: Any) -> Any:
        """Read something."""
        return told(self.get(path, **wanted), 200)

    def make(self, path: str, **body: Any) -> Any:
        """Open something."""
        return told(self.post(path, body), 201)

    def step(self, case: str, action: str, **body: Any) -> Any:
        """Take a step of `case`, such as requests/REQ-2026-000001, as it stands now."""
        return told(self.try_step(case, action, **body), 200)

    def try_step(self, case: str, action: str, **body: Any) -> httpx.Response:
        """The same, whatever comes of it."""
        return self.post(f"{case}/{action}", body, **{"If-Match": self._etag(case)})

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        if "X-CSRF-Token" not in self._client.headers or self._client.get("/v1/me").status_code == 401:
            session = told(self._client.post("/v1/login", json={"name": self.name, "password": PASSWORD}), 200)
            self._client.headers["X-CSRF-Token"] = session["csrf_token"]
        return self._client.request(method, f"/v1/{path}", **options)

    def _etag(self, case: str) -> str:
        whole, _, track = case.partition("/tracks/")
        answer = self.get(whole)
        assert answer.status_code == 200, answer.text
        if not track:
            return answer.headers["ETag"]
        (version,) = (one["version"] for one in answer.json()["tracks"] if one["track"] == track)
        return f'"{version}"'


class City:
    """A running centre, its clock and its people by name."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], at: datetime, people: Mapping[str, tuple[str, str]]) -> None:
        self.clock = MovedClock(folder / "clock", at)
        self.centre = RunningCentre(folder, settings, ("-m", "tests.servers.other_time", str(self.clock.file)))
        self._wanted = people
        self._people: dict[str, Person] = {}

    def start(self) -> None:
        self.centre.start()
        for name, (role, agency) in self._wanted.items():
            words = ["set", name, "--role", role, *(["--agency", agency] if agency else []), "--config", str(self.centre.config)]
            made = CliRunner().invoke(users, words, env={"BONGSU_PASSWORD": PASSWORD})  # in this process: a new one takes seconds
            assert made.exit_code == 0, made.output
            client = httpx.Client(base_url=self.centre.url, timeout=60)
            self._people[name] = Person(client, name)

    def close(self) -> None:
        """End it, however far it came."""
        for person in self._people.values():
            person.close()
        self.centre.close()

    def __getattr__(self, name: str) -> Person:
        """The person called `name`."""
        if name.startswith("_") or name not in self._people:
            raise AttributeError(name)
        return self._people[name]

    def wait(self, **delta: float) -> None:
        """Let time pass."""
        self.clock.advance(timedelta(**delta))


def told(answer: httpx.Response, status: int) -> Any:
    """The JSON of an answer that must have `status`."""
    assert answer.status_code == status, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    return answer.json()


def refused(answer: httpx.Response, status: int) -> str:
    """Why something was refused, which it must have been with `status`."""
    detail: str = told(answer, status)["detail"]
    return detail


def clocks_of(case: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The clocks of a case that was read, by name."""
    return {one["name"]: one for one in case["progress"]["clocks"]}
