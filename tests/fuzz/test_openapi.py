"""Every operation of the OpenAPI document, asked over real sockets with what its schema allows and what it does not (schemathesis).

No answer may be a server's error, have a status, type or header the document does not know, or a body that is not of its schema.
Some requests name things that are there (one case of each kind, an incident with its events), most are made at random.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.auth.gate import COOKIE
from core.clock import FixedClock
from tests.case_tables import KINDS
from tests.detections import Finding
from tests.integration.test_case_machines import put
from tests.linked_centres import linked, machine
from tests.servers.api import PEOPLE, TestCentre, running_centre, settings_for

NOW: Final = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
Operation = APIOperation[Any, Any, Any, Any]
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
LEFT_OUT: Final = {"/v1/stream", "/v1/logout"}
"""The one never ends, the other ends the session that asks; both have tests of their own."""
PATIENCE: Final = 60.0
"""Seconds to wait for an answer: some draw a PDF, beside every other test of the machine."""
EXAMPLES: Final = 4
FEW: Final = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
)
FIRST: Final = 100  # numbers from here on


@dataclass(frozen=True)
class Served:
    """A centre served over HTTP, with something of everything in it. `headers` are those each caller is known by."""

    url: str
    document: dict[str, Any]
    headers: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with in_a_thread(tmp_path_factory.mktemp("centre")) as found:
        yield found


@contextmanager
def in_a_thread(folder: Path) -> Iterator[Served]:
    """Serve from a thread of its own: the requests block this one."""
    ready, found = threading.Event(), list[Served]()
    server: list[uvicorn.Server] = []

    async def serve() -> None:
        async with running_centre(settings_for(folder, api={"requests_per_minute": 1_000_000}), FixedClock(NOW)) as centre:
            await _fill(centre)
            made = uvicorn.Server(uvicorn.Config(centre.app, host="127.0.0.1", port=0, log_level="error"))
            server.append(made)
            serving = asyncio.create_task(made.serve())
            while not made.started:
                assert not serving.done()
                await asyncio.sleep(0.02)
            port = made.servers[0].sockets[0].getsockname()[1]
            found.append(Served(f"http://127.0.0.1:{port}", centre.app.openapi(), _everybody(centre)))
            ready.set()
            await serving

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(150)
    yield found[0]
    server[0].should_exit = True
    thread.join(30)


def _everybody(centre: TestCentre) -> dict[str, dict[str, str]]:
    """People, and the two kinds of machines that do what no person does."""
    people = {name: centre.as_person(name) for name in PEOPLE}
    machines = {
        "forwarder": centre.as_machine("logs:write", agency="seogu", source="fw-1"),
        "linked centre": machine(centre, linked(centre, "parks")),
    }
    return {
        name: {"Cookie": f"{COOKIE}={one.cookies[COOKIE]}", "X-CSRF-Token": one.headers["X-CSRF-Token"]} for name, one in people.items()
    } | {name: {"Authorization": one.headers["Authorization"]} for name, one in machines.items()}


async def _fill(centre: TestCentre) -> None:
    at = NOW - timedelta(minutes=10)
    await centre.put_events("seogu", at, 5, src_ip="192.0.2.7", dst_port=22)
    await centre.put_detections([Finding(1, more=(("agency", "seogu"), ("detected_at", at)))])
    for place, kind in enumerate(KINDS.values(), start=FIRST):
        put(centre, kind, kind.machine.initial, place)


def _without_identities(document: dict[str, Any]) -> dict[str, Any]:
    """The document without its security schemes: requests are made as somebody, and not with invented cookies and keys."""
    paths = {
        path: {method: {name: part for name, part in operation.items() if name != "security"} for method, operation in operations.items()}
        for path, operations in document["paths"].items()
    }
    return document | {"paths": paths}


def _known(operation: Operation) -> dict[str, Any] | None:
    """Path parameters that name something that is there, for operations on one case."""
    for place, (path, kind) in enumerate(KINDS.items(), start=FIRST):
        below = kind.path(path)
        if operation.path == below or operation.path.startswith(f"{below}/"):
            return {"number": f"{kind.machine.prefix}-2026-{place:06d}"}
    return None


def _ask(operation: Operation, served: Served, name: str, mode: GenerationMode, known: dict[str, Any] | None) -> list[str]:
    """What was wrong with the answers to some requests."""
    wrong: list[str] = []

    @FEW
    @given(case=operation.as_strategy(generation_mode=mode, path_parameters=known))
    def ask(case: Case[Any]) -> None:
        if known is not None and "If-Match" not in case.headers:
            case.headers["If-Match"] = '"1"'
        try:
            case.call_and_validate(base_url=served.url, headers=served.headers[name], checks=CHECKS, timeout=PATIENCE)
        except FailureGroup as failures:
            wrong.extend(f"{operation.label} as {name}: {failure}\n{case.as_curl_command()}" for failure in failures.exceptions)

    try:
        ask()
    except Unsatisfiable:  # nothing about this operation can be wrong
        assert mode is GenerationMode.NEGATIVE, operation.label
    return wrong


def _may(operation: Operation, served: Served) -> list[str]:
    """Those whom the operation does not refuse for who they are."""
    url = served.url + operation.path.replace("{", "").replace("}", "")
    answers = {
        name: httpx.request(operation.method, url, headers=headers, timeout=PATIENCE).status_code
        for name, headers in served.headers.items()
    }
    return [name for name, status in answers.items() if status != 403]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["allowed", "not-allowed"])
def test_every_answer_is_as_the_document_says(served: Served, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(_without_identities(served.document))
    wrong: list[str] = []
    asked = 0
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        if operation.path in LEFT_OUT:
            continue
        asked += 1
        may = _may(operation, served)
        assert may, f"nobody here may ask {operation.label}"
        for name in may[:1] if mode is GenerationMode.POSITIVE else may[-1:]:
            for known in (None, found) if (found := _known(operation)) else (None,):
                wrong += _ask(operation, served, name, mode, known)
    assert not wrong, "\n\n".join(wrong[:40])
    assert asked > 300
