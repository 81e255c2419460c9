"""Views of the queue: those everybody has, and those the visitor keeps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from html import escape
from typing import Any

from nicegui import ui

from api.dashboard.elements import text
from api.dashboard.incidents.wanted import OPEN, Wanted
from api.dashboard.telling import done, telling
from api.dashboard.texts import Texts
from api.dashboard.visitor import Visitor

PATH = "/v1/views"


def built_in(t: Texts) -> Sequence[tuple[str, Wanted]]:
    """The views everybody has, by name; the first is the queue itself."""
    return (
        (t("Open"), _view(state=OPEN)),
        (t("Untriaged"), _view(state=("new", "reopened"), sort="oldest")),
        (t("Mine"), _view(state=OPEN, assignee="me", sort="severity")),
        (t("Unassigned and grave"), _view(state=OPEN, severity=("high", "critical"), assignee="nobody", sort="severity")),
        (
            t("Confirmed without report"),
            _view(state=("confirmed", "contained", "eradicated", "recovering"), reported="false", exercise="false", sort="oldest"),
        ),
        (t("All"), Wanted()),
    )


def _view(**given: str | Sequence[str]) -> Wanted:
    return Wanted({name: (values,) if isinstance(values, str) else tuple(values) for name, values in given.items()})


def links_html(t: Texts, wanted: Wanted, kept: Sequence[dict[str, Any]]) -> str:
    """The views as links; the one that is shown is marked."""
    named = [*built_in(t), *((one["name"], Wanted.of(one["query"])) for one in kept)]
    own = len(named) - len(kept)
    links = []
    for place, (name, view) in enumerate(named):
        current = ' aria-current="true"' if view.text == wanted.text else ""
        mark = ' class="own"' if place >= own else ""
        query = view.text or "all"
        links.append(f'<a href="/incidents?{escape(query, quote=True)}"{mark}{current}>{escape(name)}</a>')
    return "".join(links)


class ViewsDialog:
    """Where the visitor keeps the present view, and renames, replaces or removes others."""

    def __init__(self, visitor: Visitor, wanted: Wanted, kept: Sequence[dict[str, Any]], changed: Callable[[], Awaitable[None]]) -> None:
        self._visitor, self._wanted, self._changed = visitor, wanted, changed
        t = visitor.t
        with ui.dialog(value=True).props("transition-duration=0") as self._dialog, ui.element("div").classes("sheet"):
            self._dialog.props["aria-label"] = t("Views")
            text("h2", t("Keep this view"))
            with ui.element("div").classes("keep"):
                self._name = ui.input(t("Name of the view")).props("outlined dense autofocus maxlength=80").on("keydown.enter", self._keep)
                ui.button(t("Keep"), color=None, on_click=self._keep).props("unelevated no-caps").classes("primary")
            if kept:
                text("h2", t("My views"))
            for one in kept:
                self._line(one)
            with ui.element("div").classes("sheet-end"):
                ui.button(t("Close"), color=None, on_click=self._dialog.close).props("flat no-caps")
        self._dialog.on("hide", self._dialog.delete)

    def _line(self, one: dict[str, Any]) -> None:
        t = self._visitor.t
        with ui.element("div").classes("keep"):
            name = ui.input(t("Name of the view"), value=one["name"]).props("outlined dense maxlength=80")
            ui.button(t("Rename"), color=None, on_click=lambda: self._replace(one, name.value, one["query"])).props("flat no-caps")
            ui.button(t("Replace by this view"), color=None, on_click=lambda: self._replace(one, name.value, self._wanted.text)).props(
                "flat no-caps"
            )
            ui.button(t("Remove"), color=None, on_click=lambda: self._remove(one)).props("flat no-caps").classes("danger")

    async def _keep(self) -> None:
        with telling(self._visitor):
            await self._visitor.api.post(PATH, {"name": (self._name.value or "").strip(), "query": self._wanted.text})
            await self._end(self._visitor.t("The view is kept."))

    async def _replace(self, one: dict[str, Any], name: str, query: str) -> None:
        with telling(self._visitor):
            await self._visitor.api.put(f"{PATH}/{one['id']}", {"name": name.strip(), "query": query}, etag=f'"{one["version"]}"')
            await self._end(self._visitor.t("The view is kept."))

    async def _remove(self, one: dict[str, Any]) -> None:
        with telling(self._visitor):
            await self._visitor.api.delete(f"{PATH}/{one['id']}", etag=f'"{one["version"]}"')
            await self._end(self._visitor.t("The view is removed."))

    async def _end(self, message: str) -> None:
        self._dialog.close()
        done(message)
        await self._changed()
