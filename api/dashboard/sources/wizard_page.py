"""Connecting a source: whose it is, how it sends, what its forwarder needs, and the wait that ends with the first line as it was read.

Sources are settings (`agencies[].sources[]`): the page gives what is to be put there and by whom lines are known until it is.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any, Final

from fastapi import Request
from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import empty, panel, text
from api.dashboard.frame import frame
from api.dashboard.sources import snippets
from api.dashboard.sources.first_line import FirstLine
from api.dashboard.telling import telling, why
from api.dashboard.visitor import Visitor
from core.permissions import Action

_LOOKS: Final = 3.0  # seconds
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/sources/new")
    async def wizard(request: Request) -> None:
        visitor = await Visitor.of(request)
        t = visitor.t
        try:
            found = (await visitor.api.get("/v1/sources")).body
        except Refused as error:
            with frame(visitor, t("Connect a source")), ui.element("section").classes("panel"):
                empty(t.word("problem", error.code), why(visitor, error).partition("\n")[2])
            return
        with frame(visitor, t("Connect a source")):
            if visitor.principal.may(Action.LOGS_READ):
                Wizard(visitor, found, request.url.hostname or "", str(request.base_url).rstrip("/"))
            else:
                with ui.element("section").classes("panel"):
                    empty(t("This role does not read logs."), t("Ask an analyst or the agency's officer to connect the source."))


class Wizard:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, found: dict[str, Any], host: str, origin: str) -> None:
        self._visitor = visitor
        self._host, self._origin = host, origin
        self._ports = {one["kind"]: one["port"] for one in reversed(found["listeners"]) if not one["agency"] and one["port"]}
        self._built = False
        t = visitor.t
        ui.html(f'<a class="back" href="/sources">← {escape(t("Back to the sources"))}</a>', sanitize=False)
        text("h1", t("Connect a source"), "plain-title")
        with panel(t("1. Whose logs, and from what")), ui.element("div").classes("choices"):
            self._ask()
        with panel(t("2. Tell the forwarder"), t("put your own values where CHANGE is written")):
            self._snippet = ui.html("", sanitize=False)
        with panel(t("3. Tell the centre"), t("by this it knows whose lines they are")):
            self._settings = ui.html("", sanitize=False)
        with panel(t("4. The first line")):
            self._first = FirstLine(visitor, self._claim)
        self._built = True
        self._show()
        ui.timer(_LOOKS, self._look)

    def _ask(self) -> None:
        visitor, t = self._visitor, self._visitor.t
        scope = visitor.principal.scope(Action.LOGS_READ)
        agencies = {one.id: visitor.agency_name(one.id) for one in visitor.centre.settings.agencies if scope is None or one.id in scope}
        words = {number: f"{one.name} · {t.word('source_transport', one.kind)}" for number, one in enumerate(snippets.SNIPPETS)}
        self._agency = ui.select(agencies, label=t("Agency"), value=next(iter(agencies), None), on_change=self._show).props(
            "outlined dense"
        )
        self._source = ui.input(t("Name of the source (such as fw-1)"), value="fw-1", on_change=self._show).props("outlined dense")
        heard = (number for number, one in enumerate(snippets.SNIPPETS) if one.kind in self._ports)
        self._sender = ui.select(words, label=t("What sends"), value=next(heard, 0), on_change=self._show).props("outlined dense")
        self._address = ui.input(t("Address or network it sends from"), on_change=self._show).props("outlined dense")
        self._certificate = ui.input(t("Name in its certificate (TLS)"), on_change=self._show).props("outlined dense")

    def _show(self) -> None:
        """Bring what depends on the answers up to date."""
        t = self._visitor.t
        if not self._built:
            return
        agency, source = self._agency.value or "", (self._source.value or "").strip()
        snippet = snippets.SNIPPETS[self._sender.value]
        self._address.set_visibility(snippet.kind != "https")
        self._certificate.set_visibility(snippet.kind == "tls")
        missing = snippet.kind != "https" and snippet.kind not in self._ports
        note = t("The centre has no listener for this: put one into `intake.listeners`.") if missing else ""
        self._snippet.set_content(
            (f'<p class="lead effect">{escape(note)}</p>' if note else "")
            + self._code(t("What to put into the forwarder"), snippets.text_of(snippet, self._host, self._origin, self._ports))
        )
        if not agency or not _NAME.fullmatch(source):
            told = t("Choose an agency and give the source a name of a-z, 0-9, _ . and -.")
            self._settings.set_content(f'<p class="lead">{escape(told)}</p>')
            return
        if snippet.kind == "https":
            told = t("An administrator makes a key for this source. It is shown once.")
            content = snippets.key_command(agency, source)
        else:
            told = t("An administrator puts this into the settings file and restarts the centre. Until then the lines are kept as unknown.")
            certificate = (self._certificate.value or "").strip() if snippet.kind == "tls" else ""
            content = snippets.settings_of(agency, source, (self._address.value or "").strip(), certificate)
        self._settings.set_content(f'<p class="lead">{escape(told)}</p>{self._code(t("What to tell the centre"), content)}')

    def _claim(self, address: str) -> None:
        self._address.set_value(address)

    async def _look(self) -> None:
        agency, source = self._agency.value or "", (self._source.value or "").strip()
        with telling(self._visitor):
            await self._first.look((agency, source) if agency and _NAME.fullmatch(source) else None)

    def _code(self, label: str, content: str) -> str:
        t = self._visitor.t
        return (
            f'<div class="copied-from"><button class="tool" type="button" data-copy="{escape(t("Copied."), quote=True)}">'
            f'{escape(t("Copy"))}</button><span role="status"></span></div>'
            f'<pre class="yaml" tabindex="0" role="region" aria-label="{escape(label, quote=True)}"><code>{escape(content)}</code></pre>'
        )
