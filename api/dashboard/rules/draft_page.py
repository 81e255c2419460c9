"""The desk on which a rule is written: the text with its errors where they are, lines to try it on, what it becomes, and its steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any, Final

from fastapi import Request
from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import empty, panel, severity_html, state_html, text, time_html
from api.dashboard.frame import frame
from api.dashboard.refusals import refusal
from api.dashboard.rules import rule_page, trial, views
from api.dashboard.telling import done, telling
from api.dashboard.visitor import Visitor

_TYPED: Final = 0.5  # seconds after the last key
_MOST_LINES: Final = 50


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/rules/drafts/{number}", response_timeout=views.READY_SECONDS)
    async def draft(request: Request, number: str) -> None:
        visitor = await Visitor.of(request)
        try:
            page = DraftPage(visitor, number)
            await page.build()
        except Refused as error:
            views.refused(visitor, visitor.t("Draft of a rule"), error)


class DraftPage:
    """The page of one visitor."""

    def __init__(self, visitor: Visitor, number: str) -> None:
        self._visitor = visitor
        self._path = f"/v1/rule-drafts/{number}"
        self._asked = 0
        self._pending: ui.timer | None = None
        self._shown_changed = False
        self._found: dict[str, Any] = {}

    async def build(self) -> None:
        """Read and show. Refused when there is no such draft, or the visitor may not."""
        visitor, t = self._visitor, self._visitor.t
        answer, parsers = await asyncio.gather(visitor.api.get(self._path), visitor.api.get("/v1/parsers"))
        self._draft, self._etag = answer.body, answer.etag
        with frame(visitor, self._draft["title"] or t("Draft of a rule")):
            ui.html(f'<a class="back" href="/rules?view=drafts">← {escape(t("Back to the drafts"))}</a>', sanitize=False)
            self._head = ui.element("div").classes("draft-head")
            self._waiting = ui.element("div").classes("hears")
            with ui.element("div").classes("desk"):
                with ui.element("div").classes("stack"):
                    self._build_editor()
                    self._build_history()
                with ui.element("div").classes("stack"):
                    self._build_trial(parsers.body["items"])
                    self._build_becomes()
        self._show_head()
        await self._show_history()
        ui.timer(0.1, self._check_all, once=True)

    # ---- the text ----

    def _build_editor(self) -> None:
        t = self._visitor.t
        with panel(t("The rule"), t("Sigma, as YAML")) as head:
            self._editor = ui.codemirror(
                self._draft["text"],
                on_change=self._typed,
                language="YAML",
                theme="githubDark" if self._visitor.theme == "dark" else "githubLight",
                line_wrapping=True,
            )
            self._editor.classes("editor").props(f'data-label="{t("The rule")}"')
            with head:
                self._verdict = ui.html("", tag="span", sanitize=False).classes("at-end").props("role=status")
            self._problems = ui.element("ul").classes("problems").props(f'aria-label="{t("What is wrong")}"')
        ui.on("rules_dark", lambda event: self._editor.set_theme("githubDark" if event.args else "githubLight"))

    def _may_write(self) -> bool:
        return "edit" in self._draft["progress"]["steps"]

    def _typed(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
        with self._waiting:
            self._pending = ui.timer(_TYPED, self._check, once=True)
        if self._shown_changed != (self._editor.value != self._draft["text"]):
            self._show_head()

    async def _check(self) -> None:
        await self._look(coverage=False)

    async def _check_all(self) -> None:
        await self._look(coverage=True)

    async def _look(self, *, coverage: bool) -> None:
        """Have the text looked at; an answer that comes after a later question is not shown."""
        self._asked += 1
        asked, lines = self._asked, self._lines_given()
        if lines and not self._results.content:
            self._fired.set_content(escape(self._visitor.t("Reading the lines ...")))
        body = {"text": self._editor.value, "lines": lines, "parser": self._parser.value or "", "coverage": coverage}
        with telling(self._visitor):
            found = (await self._visitor.api.post("/v1/rule-drafts/check", body)).body
            if asked == self._asked:
                self._found = found
                self._show_problems()
                self._show_lines(lines)
                self._show_becomes(with_agencies=coverage)

    def _show_problems(self) -> None:
        t, problems = self._visitor.t, self._found["problems"]
        errors = sum(one["error"] for one in problems)
        told = t.n("{count} error", "{count} errors", errors) if errors else t("It can run.")
        self._verdict.set_content(f'<span class="rule-verdict is-{"no" if errors else "yes"}">{escape(told)}</span>')
        last = len(self._editor.value.split("\n"))
        shown = [one for one in problems if one["line"] <= last]
        self._editor.decorations = [
            {"kind": "line", "line": one["line"], "class": "line-error" if one["error"] else "line-remark"} for one in reversed(shown)
        ]
        self._editor.line_tooltips = {one["line"]: refusal(t, one["reason"]) for one in reversed(shown)}
        self._problems.clear()
        with self._problems:
            for one in problems:
                self._problem(one)

    def _problem(self, one: dict[str, Any]) -> None:
        t = self._visitor.t
        where = t("line {line}, column {column}", line=one["line"], column=one["column"])
        word = t("Error") if one["error"] else t("Remark")
        with ui.element("li").classes("is-error" if one["error"] else "is-remark"):
            with ui.element("button").props("type=button") as button:
                ui.html(
                    f"<b>{escape(word)}</b> <span class='where-at'>{escape(where)}</span> {escape(refusal(t, one['reason']))}",
                    tag="span",
                    sanitize=False,
                )
            button.on("click", lambda: self._editor.reveal_line(one["line"]))

    # ---- lines to try it on ----

    def _build_trial(self, parsers: list[dict[str, str]]) -> None:
        t = self._visitor.t
        with panel(t("Test lines"), t("read by the centre's own parsers, kept nowhere")):
            with ui.element("div").classes("trial"):
                text("span", t("Raw log lines, one a line"), "label").props("aria-hidden=true")
                self._lines = ui.textarea().props(f'outlined dense rows=5 aria-label="{t("Raw log lines, one a line")}"').classes("raw")
                with ui.element("div").classes("pair"):
                    names = {one["name"]: f"{one['name']} · {one['vendor']} {one['product']}".strip(" ·") for one in parsers}
                    self._parser = ui.select(names, label=t("Format (empty: whichever knows the line)"), clearable=True, with_input=True)
                    self._parser.props("outlined dense options-dense").classes("wide")
                    ui.button(t("Try"), icon="play_arrow", on_click=self._check, color=None).props("unelevated no-caps").classes(
                        "main-button"
                    )
            self._results = ui.html("", tag="ol", sanitize=False).classes("tried")
            self._fired = ui.html("", sanitize=False).props("role=status").classes("lead")

    def _lines_given(self) -> list[str]:
        return [line for line in (self._lines.value or "").splitlines() if line.strip()][:_MOST_LINES]

    def _show_lines(self, lines: list[str]) -> None:
        self._results.set_content(trial.lines_html(self._visitor, lines, self._found) if lines else "")
        self._fired.set_content(trial.fired_html(self._visitor, self._found) if lines else "")

    # ---- what it becomes ----

    def _build_becomes(self) -> None:
        t = self._visitor.t
        with panel(t("What it becomes"), t("and where it can fire")):
            self._becomes = ui.element("div")
            self._where = ui.html("", tag="ul", sanitize=False).classes("where")

    def _show_becomes(self, *, with_agencies: bool) -> None:
        visitor, t = self._visitor, self._visitor.t
        self._becomes.clear()
        with self._becomes:
            if not self._found["rules"]:
                empty(t("Nothing that runs yet."), t("Mend the errors: then it shows what is checked on every event."))
            for one in self._found["rules"]:
                ui.html(f'<p class="lead">{severity_html(visitor, one["level"])} <b>{escape(one["title"])}</b></p>', sanitize=False)
                if one["replaces"]:
                    text(
                        "p",
                        t("It takes the place of the rule with the same id in {file}.", file=one["replaces"].rpartition("/")[2]),
                        "lead",
                    )
                rule_page.becomes(t, one)
        if with_agencies:
            self._where.set_content(rule_page.where_html(visitor, self._found["agencies"]) if self._found["rules"] else "")

    # ---- its steps ----

    def _show_head(self) -> None:
        visitor, t, draft = self._visitor, self._visitor.t, self._draft
        self._head.clear()
        authors = ", ".join(author.partition(":")[2] for author in draft["authors"])
        changed = self._shown_changed = self._editor.value != draft["text"]
        with self._head:
            ui.html(
                f'<div class="line"><span class="number">{escape(draft["number"])}</span>{state_html(visitor, "draft", draft["state"])}'
                f'<span class="soft">{escape(t("written by {names}", names=authors))}</span></div>'
                f"<h1>{escape(draft['title'] or t('Without a title'))}</h1>",
                sanitize=False,
            ).classes("incident-head")
            with ui.element("div").classes("tools"):
                if changed and self._may_write():
                    ui.button(t("Save"), icon="save", on_click=self._save, color=None).props("unelevated no-caps dense").classes(
                        "main-button"
                    )
                for action in draft["progress"]["steps"]:
                    self._button(action, changed=changed)
                if draft["state"] == "submitted" and not {"approve"} & set(draft["progress"]["steps"]):
                    text("span", t("It waits for a SOC lead who did not write it."), "soft")
                if draft["state"] == "in_force":
                    where = f"/rules/{escape(draft['rule_ids'][0], quote=True)}"
                    ui.html(f'<a class="tool" href="{where}">{escape(t("See how it does"))}</a>', sanitize=False)

    def _button(self, action: str, *, changed: bool) -> None:
        t = self._visitor.t
        words = {
            "submit": (t("Submit for approval"), "send", False),
            "take_back": (t("Take back"), "undo", False),
            "approve": (t("Approve"), "verified", False),
            "decline": (t("Decline"), "block", True),
            "discard": (t("Discard"), "delete", False),
            "retire": (t("Retire"), "archive", True),
        }
        if action not in words:
            return
        word, icon, needs_reason = words[action]
        dialog = self._ask(action, word) if needs_reason else None
        button = ui.button(word, icon=icon, on_click=dialog.open if dialog else self._taker(action), color=None).props("no-caps dense")
        button.props("unelevated" if action in ("approve", "submit") else "flat")
        if action in ("approve", "submit") and not changed:
            button.classes("main-button")
        button.set_enabled(not changed or action == "discard")

    def _taker(self, action: str) -> Callable[[], Awaitable[None]]:
        async def take() -> None:
            await self._take(action, {})

        return take

    def _ask(self, action: str, word: str) -> ui.dialog:
        t = self._visitor.t
        with ui.dialog() as dialog, ui.card().classes("dialog"):
            text("h2", word)
            reason = ui.textarea(t("Reason")).props("outlined dense autogrow")

            async def take() -> None:
                dialog.close()
                await self._take(action, {"reason": reason.value})

            with ui.element("div").classes("actions"):
                ui.button(t("Cancel"), on_click=dialog.close, color=None).props("flat no-caps")
                ui.button(word, on_click=take, color=None).props("unelevated no-caps").classes("main-button")
        return dialog

    async def _save(self) -> None:
        await self._take("edit", {"text": self._editor.value})

    async def _take(self, action: str, body: dict[str, Any]) -> None:
        t = self._visitor.t
        with telling(self._visitor):
            await self._visitor.api.post(f"{self._path}/{action}", body, etag=self._etag)
            answer = await self._visitor.api.get(self._path)
            self._draft, self._etag = answer.body, answer.etag
            done(t("Saved.") if action == "edit" else f"{t.word('draft_step', action)}: {self._draft['number']}")
            self._show_head()
            await self._show_history()

    # ---- how it came to be ----

    def _build_history(self) -> None:
        t = self._visitor.t
        with panel(t("History"), t("every version is kept")):
            self._history = ui.html("", tag="ol", sanitize=False).classes("history")

    async def _show_history(self) -> None:
        t = self._visitor.t
        said = {one["version"]: one["text"] for one in (await self._visitor.api.get(f"{self._path}/texts")).body["items"]}
        items = []
        for one in reversed(self._draft["progress"]["history"]):
            about = " · ".join(escape(part) for part in (one["actor"].partition(":")[2], one["reason"]) if part)
            kept = said.get(one["version"]) if one["action"] in ("open", "edit") else None
            more = rule_page.said_html(t, kept) if kept else ""
            word = escape(t.word("draft_step", one["action"]))
            items.append(f"<li><b>{word}</b> {time_html(one['at'])} <span class='soft'>{about}</span>{more}</li>")
        self._history.set_content("".join(items))
