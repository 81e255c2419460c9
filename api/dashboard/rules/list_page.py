"""The page of rules: the list with its filters, and the other ways to look at them (`?view=`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from fastapi import Request
from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import panel
from api.dashboard.frame import frame
from api.dashboard.rules import coverage_view, drafts_view, matrix_view, reading, silences_view, views
from api.dashboard.rules.rule_table import RuleTable
from api.dashboard.telling import telling
from api.dashboard.visitor import Visitor

REFRESH_SECONDS: Final = 15.0
_VIEWS: Final[Mapping[str, Callable[[Visitor], Awaitable[None]]]] = {
    "attack": matrix_view.show,
    "coverage": coverage_view.show,
    "silences": silences_view.show,
    "drafts": drafts_view.show,
}


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/rules", response_timeout=views.READY_SECONDS)
    async def rules(request: Request, view: str = "list", tactic: str = "", technique: str = "") -> None:
        visitor = await Visitor.of(request)
        try:
            if view in _VIEWS:
                with frame(visitor, visitor.t("Rules")):
                    views.head(visitor, view)
                    await _VIEWS[view](visitor)
            else:
                await _list(visitor, tactic, technique)
        except Refused as error:
            views.refused(visitor, visitor.t("Rules"), error)


async def _list(visitor: Visitor, tactic: str, technique: str) -> None:
    t = visitor.t
    found = await reading.library(visitor)
    with frame(visitor, t("Rules")):
        views.head(visitor, "list")
        with panel(t("Rules"), t("hits of 24 hours and 7 days, false alarms of 30 days")):
            table = RuleTable(visitor, found, tactic=tactic, technique=technique)

    async def refresh() -> None:
        with telling(visitor):
            table.take(await reading.library(visitor))

    ui.timer(REFRESH_SECONDS, refresh, immediate=False)
