"""The API's routers, each asked only about paths that begin as its own do.

There are hundreds of routes, and a request would be matched against every one up to its own, twice.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope


def work_out(app: FastAPI) -> None:
    """Have FastAPI work out the routes of every section of `app` now.

    It would do so at the first request for one, and does not bear that while another thread makes the OpenAPI document.
    """
    for route in app.routes:
        section = getattr(route, "original_router", None)
        if isinstance(section, Section):
            route.matches({"type": "http", "method": "GET", "path": section.beginnings[0], "root_path": "", "headers": []})


class Section(APIRouter):
    """The routes of `router`, found as they would be without it."""

    def __init__(self, router: APIRouter) -> None:
        super().__init__()
        self.include_router(router)
        self.beginnings = tuple({_beginning(route.path) for route in router.routes if isinstance(route, APIRoute)})

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As of any router; NONE at once for a path of another one."""
        if not scope["path"].startswith(self.beginnings):
            return Match.NONE, {}
        return super().matches(scope)


def _beginning(path: str) -> str:
    """What comes before the first parameter."""
    return path.partition("{")[0]
