"""The two hunt pages, each leading to the other."""

from __future__ import annotations

from html import escape

from nicegui import ui

from api.dashboard.frame import CURRENT
from api.dashboard.visitor import Visitor
from core.permissions import Action


def tabs(visitor: Visitor, here: str) -> None:
    """Links to the pages the visitor finds something at."""
    t = visitor.t
    offered = (
        ("/hunt", t("Search events"), Action.LOGS_READ),
        ("/hunt/history", t("Run rules over history"), Action.HUNTS_RUN),
    )
    links = "".join(
        f'<a href="{path}"{CURRENT if path == here else ""}>{escape(label)}</a>'
        for path, label, action in offered
        if visitor.principal.may(action)
    )
    ui.html(links, tag="nav", sanitize=False).classes("hunt-tabs").props(f'aria-label="{t("Ways to hunt")}"')
