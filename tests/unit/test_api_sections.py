"""Sections of the API: a route is found as it would be without them, and others are not even asked."""

from __future__ import annotations

import httpx
from fastapi import APIRouter, FastAPI
from starlette.routing import Match

from api.sections import Section, work_out


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bongsu.test")


def router(prefix: str) -> APIRouter:
    made = APIRouter(prefix=prefix)
    made.add_api_route("", lambda: prefix, methods=["GET"])
    for method in ("GET", "DELETE"):
        made.add_api_route("/{name}", lambda name: f"{prefix}/{name}", methods=[method])
    return made


async def test_paths_parameters_and_methods_are_found_as_ever() -> None:
    app = FastAPI()
    for prefix in ("/v1/rules", "/v1/rule-drafts"):
        app.include_router(Section(router(prefix)))
    async with client_of(app) as client:
        assert (await client.get("/v1/rules")).json() == "/v1/rules"
        assert (await client.get("/v1/rules/7")).json() == "/v1/rules/7"
        assert (await client.delete("/v1/rule-drafts/x")).json() == "/v1/rule-drafts/x"
        assert (await client.post("/v1/rules/7")).status_code == 405
        assert (await client.get("/v1/rule")).status_code == 404
        assert (await client.get("/elsewhere")).status_code == 404
    assert set(app.openapi()["paths"]) == {f"/v1/{one}{rest}" for one in ("rules", "rule-drafts") for rest in ("", "/{name}")}


async def test_a_path_of_another_section_is_none_of_its_business() -> None:
    class Watched(APIRouter):
        asked = 0

        def matches(self, scope: object) -> tuple[Match, dict[str, object]]:
            Watched.asked += 1
            return Match.NONE, {}

    watched = Watched(prefix="/v1/rules")
    watched.add_api_route("/{name}", lambda name: name, methods=["GET"])
    app = FastAPI()
    app.include_router(Section(watched))
    async with client_of(app) as client:
        await client.get("/v1/events")
        assert Watched.asked == 0
        await client.get("/v1/rules/7")
        assert Watched.asked > 0


def test_the_routes_of_every_section_are_worked_out_at_once() -> None:
    class Watched(APIRouter):
        asked = 0

        def matches(self, scope: object) -> tuple[Match, dict[str, object]]:
            Watched.asked += 1
            return Match.NONE, {}

    app = FastAPI()
    for prefix in ("/v1/rules", "/v1/events"):
        watched = Watched(prefix=prefix)
        watched.add_api_route("/{name}", lambda name: name, methods=["GET"])
        app.include_router(Section(watched))
    work_out(app)
    assert Watched.asked == 2
