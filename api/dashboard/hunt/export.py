"""The present search as a file: which kind, which columns, and what the limits are, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from html import escape
from typing import Final
from urllib.parse import urlencode

from nicegui import ui

from api import exports
from api.dashboard.elements import text
from api.dashboard.hunt.asked import Asked
from api.dashboard.hunt.buttons import tool
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor
from core.storage.event_search import MOST_EXPORTED

_NAMES: Final = {"ndjson": "NDJSON", "csv": "CSV", "parquet": "Parquet"}


class ExportDialog:
    """The dialog of a page. `present` gives what was searched, its time and how many events it found."""

    def __init__(self, visitor: Visitor, present: Callable[[], tuple[Asked, datetime, datetime, int]]) -> None:
        self._visitor, self._present = visitor, present
        t = visitor.t
        with ui.dialog() as self._dialog, ui.element("div").classes("panel hunt-dialog"):
            text("h2", t("Export events"))
            self._about = ui.html("", sanitize=False)
            with ui.element("div").classes("hunt-choices"):
                kinds = {form: _NAMES[form] for form in exports.FORMATS}
                self._form = ui.select(kinds, value="ndjson", label=t("Format"), on_change=lambda _: self._offer()).props("outlined dense")
                which = {"shown": t("Columns of the table"), "all": t("All columns")}
                self._which = ui.select(which, value="shown", label=t("Columns"), on_change=lambda _: self._offer()).props("outlined dense")
            self._link = ui.html("", sanitize=False)
            tool(t("Close"), self._dialog.close)

    def open(self) -> None:
        """Offer the present search."""
        self._offer()
        self._dialog.open()

    def _offer(self) -> None:
        t = self._visitor.t
        asked, since, until, events = self._present()
        limit = t("At most {most} events go into one file. The audit trail tells that you took it.", most=number(MOST_EXPORTED))
        counted = t.n("{count} event", "{count} events", events)
        self._about.set_content(f'<p><b>{escape(counted)}</b></p><p class="soft">{escape(limit)}</p>')
        if events > MOST_EXPORTED:
            self._link.set_content(
                f'<p class="notice" role="alert">{escape(t("These are too many. Ask for a shorter time or more exactly."))}</p>'
            )
            return
        query = {"format": str(self._form.value), "q": asked.q, "since": since.isoformat(), "until": until.isoformat()}
        if self._which.value == "shown":
            query["columns"] = ",".join(asked.columns)
        url = escape(f"/v1/events/export?{urlencode(query)}", quote=True)
        self._link.set_content(f'<a class="tool go" href="{url}" download>{escape(t("Download"))}</a>')
