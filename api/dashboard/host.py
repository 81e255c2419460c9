"""NiceGUI keeps one application per process; this is the one place that knows it.

The pages know nothing of a particular centre: each request brings its own (`request.state`), so several applications of one process,
one after another, can share them.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from nicegui import app as nicegui
from nicegui import ui
from starlette.routing import Match, Mount
from starlette.types import Scope

from api import sections
from api.dashboard import account_page, admin, compliance_page, hunt, incidents, lost_pages, mayor, response, rules, sources
from api.dashboard.audit import page as audit_page
from api.dashboard.beacons import MARK
from api.dashboard.overview import page as overview_page
from api.dashboard.steps.document import document
from api.problems import TAXII


def mount(app: FastAPI) -> None:
    """Let NiceGUI answer on every path `app` has no route for, and start and stop with it."""
    pages = _pages()
    app.router.routes.append(_Rest("", app=pages))
    own = app.router.lifespan_context

    @asynccontextmanager
    async def both(outer: FastAPI) -> AsyncIterator[Any]:
        async with own(outer) as state, pages.router.lifespan_context(pages):
            await asyncio.to_thread(sections.work_out, app)
            read = asyncio.create_task(document())  # seconds of work that the first form would wait for
            yield state
            await read

    app.router.lifespan_context = both


class _Rest(Mount):
    """Everything but the API's own paths: what is missing there is a problem document, not a page."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["path"].startswith(("/v1/", TAXII)):
            return Match.NONE, {}
        return super().matches(scope)


@functools.cache
def _pages() -> FastAPI:
    pages = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    overview_page.register()
    incidents.register()
    hunt.register()
    response.register()
    compliance_page.register()
    mayor.register()
    audit_page.register()
    rules.register()
    sources.register()
    account_page.register()
    admin.register()
    nicegui.on_page_exception(lost_pages.failed)
    nicegui.config.quasar_config["loadingBar"]["skipHijack"] = True  # Quasar's bar at the top has no name for those who cannot see it
    ui.run_with(
        pages,
        root=lost_pages.missing,
        title="Bongsu",
        favicon=MARK,
        language=None,
        tailwind=False,
        binding_refresh_interval=None,
        show_welcome_message=False,
        reconnect_timeout=10.0,
    )
    return pages
