"""The dashboard: NiceGUI pages on the API's own application, behind the same gate, with the same scope."""

from __future__ import annotations

from fastapi import FastAPI

from api.dashboard import host, login_page
from api.dashboard.steps.document import keep


def install(app: FastAPI) -> None:
    """Put the log-in page and the dashboard on `app`; the dashboard takes every path that is left, so call this last."""
    app.include_router(login_page.router)
    keep(app)
    host.mount(app)
