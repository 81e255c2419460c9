"""What people add to an incident: tasks, comments and files. What somebody is typing stays while others add theirs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.elements import panel, text, time_html
from api.dashboard.file_button import file_button
from api.dashboard.incidents.dialogs import Ask
from api.dashboard.incidents.people import or_nobody
from api.dashboard.incidents.rows import person
from api.dashboard.telling import done, telling
from api.dashboard.visitor import Visitor
from core.permissions import Action

_UNITS: Final = ("B", "KiB", "MiB")


class WorkPanels:
    """The three panels; `show` brings them up to date."""

    def __init__(self, visitor: Visitor, number: str, changed: Callable[[], Awaitable[None]]) -> None:
        self._visitor, self._changed = visitor, changed
        self._path = f"/v1/incidents/{number}"
        self._writes = visitor.principal.may(Action.INCIDENTS_WRITE)
        self._reads_files = visitor.principal.may(Action.LOGS_READ)
        self._shown_tasks: object = None
        t = visitor.t
        with panel(t("Tasks")):
            self._tasks = ui.element("ul").classes("tasks")
            self._no_tasks = text("p", t("Nothing is to be done."), "notice")
            if self._writes:
                self._task = self._line(t("New task"), 500, self._add_task, t("Add"))
        with panel(t("Comments")):
            self._comments = ui.html("", tag="ol", sanitize=False).classes("comments")
            self._no_comments = text("p", t("Nobody has said anything yet."), "notice")
            if self._writes:
                self._comment = self._line(t("Comment"), 8000, self._say, t("Send"), long=True)
        with panel(t("Files")):
            self._files = ui.html("", tag="ul", sanitize=False).classes("files")
            self._no_files = text("p", t("No file is attached."), "notice")
            if self._writes:
                most = visitor.centre.settings.respond.incidents.attachment_mb
                file_button(visitor, t("Attach a file"), f"{self._path}/attachments", most, self._attached)

    def _line(self, label: str, most: int, send: Callable[[], Awaitable[None]], button: str, *, long: bool = False) -> Any:
        with ui.element("div").classes("say"):
            made = ui.textarea(label) if long else ui.input(label)
            made.props(f"outlined dense maxlength={most}{' autogrow' if long else ''}").on(
                "keydown.ctrl.enter" if long else "keydown.enter", send
            )
            ui.button(button, color=None, on_click=send).props("unelevated no-caps").classes("primary")
        return made

    def show(self, detail: Mapping[str, Any]) -> None:
        """Show what there is now."""
        self._show_tasks(detail["tasks"])
        self._comments.set_content("".join(_comment_html(one) for one in detail["comments"]))
        self._files.set_content("".join(self._file_html(one) for one in detail["attachments"]))
        for element, there in (
            (self._no_tasks, detail["tasks"]),
            (self._no_comments, detail["comments"]),
            (self._no_files, detail["attachments"]),
        ):
            element.set_visibility(not there)

    def _show_tasks(self, tasks: list[dict[str, Any]]) -> None:
        if tasks == self._shown_tasks:
            return
        self._shown_tasks = tasks
        self._tasks.clear()
        with self._tasks:
            for one in tasks:
                self._task_line(one)

    def _task_line(self, one: Mapping[str, Any]) -> None:
        t, is_done = self._visitor.t, one["done_at"] is not None
        with ui.element("li").classes("done" if is_done else ""):
            box = ui.checkbox(one["title"], value=is_done, on_change=lambda event: self._do_task(one, bool(event.value)))
            if not self._writes:
                box.disable()
            whose = escape(person(one["assignee"])) if one["assignee"] else escape(t("nobody's"))
            due = f" · {escape(t('Due'))} {time_html(one['due_at'])}" if one["due_at"] else ""
            by = f" · {escape(t('done by {name}', name=person(one['done_by'])))}" if is_done else ""
            ui.html(f"{whose}{due}{by}", tag="span", sanitize=False).classes("soft")
            if self._writes and not is_done:
                ui.button(t("Assign"), color=None, on_click=lambda: self._assign_task(one)).props("flat dense no-caps")

    async def _add_task(self) -> None:
        title = (self._task.value or "").strip()
        if title:
            with telling(self._visitor):
                await self._visitor.api.post(f"{self._path}/tasks", {"title": title})
                self._task.value = ""
                await self._changed()

    async def _do_task(self, one: Mapping[str, Any], is_done: bool) -> None:
        with telling(self._visitor):
            await self._visitor.api.patch(f"{self._path}/tasks/{one['id']}", {"done": is_done}, etag=f'"{one["version"]}"')
            await self._changed()

    async def _assign_task(self, one: Mapping[str, Any]) -> None:
        t = self._visitor.t

        async def go(typed: Mapping[str, Any]) -> None:
            with telling(self._visitor):
                await self._visitor.api.patch(f"{self._path}/tasks/{one['id']}", {"assignee": typed["name"]}, etag=f'"{one["version"]}"')
                await self._changed()

        with telling(self._visitor):
            known = await or_nobody(self._visitor)
            ask = Ask(self._visitor, t("Whose task is it?"), t("Assign"), go, one["title"])
            ask.choice("name", t("Assignee"), known, person(one["assignee"]) if person(one["assignee"]) in known else "")

    async def _say(self) -> None:
        said = (self._comment.value or "").strip()
        if said:
            with telling(self._visitor):
                await self._visitor.api.post(f"{self._path}/comments", {"text": said})
                self._comment.value = ""
                await self._changed()

    async def _attached(self) -> None:
        done(self._visitor.t("The file is attached."))
        await self._changed()

    def _file_html(self, one: Mapping[str, Any]) -> str:
        name = escape(one["name"])
        if self._reads_files:
            name = f'<a href="{escape(self._path, quote=True)}/attachments/{one["id"]}" download>{name}</a>'
        about = f"{_size(one['size'])} · {escape(person(one['author']))} · {time_html(one['at'])}"
        return f'<li><b>{name}</b> <span class="soft">{about}</span><div class="mono soft">sha256 {escape(one["sha256"])}</div></li>'


def _comment_html(one: Mapping[str, Any]) -> str:
    by = f'<div class="soft"><b>{escape(person(one["author"]))}</b> · {time_html(one["at"])}</div>'
    return f'<li>{by}<p class="words">{escape(one["text"])}</p></li>'


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"
