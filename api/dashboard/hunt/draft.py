"""The present search as a rule: its Sigma text to look at, to copy, to run over history, and to go on with in the editor."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from typing import Final

from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import text
from api.dashboard.hunt.buttons import tool
from api.dashboard.hunt.mistakes import mistake
from api.dashboard.telling import telling
from api.dashboard.visitor import Visitor
from core.permissions import Action

_LEVELS: Final = ("informational", "low", "medium", "high", "critical")
_LONGEST_TITLE: Final = 256


class DraftDialog:
    """The dialog of a page. `search` gives the search as it was written."""

    def __init__(self, visitor: Visitor, search: Callable[[], str]) -> None:
        self._visitor, self._search, self._yaml = visitor, search, ""
        t = visitor.t
        with ui.dialog() as self._dialog, ui.element("div").classes("panel hunt-dialog"):
            text("h2", t("Save the search as a rule draft"))
            with ui.element("div").classes("hunt-choices"):
                self._title = ui.input(t("Title"), value=t("Made from a search")).props(f"outlined dense maxlength={_LONGEST_TITLE}")
                levels = {level: t.word("severity", level) for level in _LEVELS}
                self._level = ui.select(levels, value="medium", label=t("Level")).props("outlined dense")
                tool(t("Make the rule"), self._make)
            self._shown = ui.html("", sanitize=False)
            with ui.element("div").classes("hunt-choices") as self._ways:
                ui.html(f'<button type="button" class="tool" data-hunt-copy="draft-yaml">{escape(t("Copy"))}</button>', sanitize=False)
                if visitor.principal.may(Action.HUNTS_RUN):
                    tool(t("Run over history"), self._run)
                if visitor.principal.may(Action.RULES_WRITE):
                    tool(t("Open in the editor"), self._edit, main=True)
            self._ways.set_visibility(False)
            tool(t("Close"), self._dialog.close)

    async def open(self) -> None:
        """Offer the present search as a rule."""
        self._dialog.open()
        await self._make()

    async def _make(self) -> None:
        t = self._visitor.t
        title = str(self._title.value).strip() or t("Made from a search")
        try:
            answer = await self._visitor.api.get("/v1/events/rule", q=self._search() or " ", title=title, level=self._level.value)
        except Refused as refused:
            self._yaml = ""
            self._shown.set_content(f'<p class="notice" role="alert">{escape(mistake(self._visitor, refused).said)}</p>')
        else:
            self._yaml = answer.body["yaml"]
            self._shown.set_content(f'<pre id="draft-yaml" tabindex="0">{escape(self._yaml)}</pre>')
        self._ways.set_visibility(bool(self._yaml))

    def _run(self) -> None:
        ui.run_javascript(f"bongsuHunt.handOver({json.dumps(self._yaml)}, '/hunt/history')")

    async def _edit(self) -> None:
        with telling(self._visitor):
            made = await self._visitor.api.post("/v1/rule-drafts", {"text": self._yaml})
            ui.navigate.to(f"/rules/drafts/{made.body['number']}")
