"""The head all pages of administration share: title, and the way between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Final

from nicegui import ui

from api.dashboard.elements import empty, text
from api.dashboard.frame import CURRENT, frame
from api.dashboard.visitor import Visitor
from core.permissions import Action

READY_SECONDS: Final = 30.0
"""A page that reads the API before it is shown is given more time than the three seconds NiceGUI gives others."""


@contextmanager
def administration(visitor: Visitor, action: Action) -> Iterator[bool]:
    """The page around its content, which is built inside the block; False when `action`, which it needs, is not the visitor's."""
    t = visitor.t
    pages = (
        ("/admin", t("Accounts"), Action.USERS_READ),
        ("/admin/keys", t("API keys"), Action.KEYS_READ),
        ("/admin/settings", t("Settings"), Action.SYSTEM_READ),
        ("/admin/system", t("System"), Action.SYSTEM_READ),
    )
    with frame(visitor, t("Administration")):
        with ui.element("div").classes("page-head"):
            text("h1", t("Administration"))
        links = "".join(
            f'<a href="{path}"{CURRENT if path == visitor.path else ""}>{escape(name)}</a>'
            for path, name, needed in pages
            if visitor.principal.may(needed)
        )
        ui.html(links, tag="nav", sanitize=False).classes("tabs").props(f'aria-label="{t("Administration")}"')
        allowed = visitor.principal.may(action)
        if not allowed:
            with ui.element("section").classes("panel"):
                empty(t("Your role does not see this."), t("Ask an administrator if you need it."))
        yield allowed
