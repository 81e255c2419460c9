"""Writing an accident report, article 19(3): one screen for the agency's officer, from the first draft to the submission.

What the law asks is said as it is: "without delay", no number. The number shown is the centre's own target; being late asks for a reason
and is never a reason to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from fastapi import Request
from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import panel, text, time_html
from api.dashboard.frame import frame
from api.dashboard.response import lookups
from api.dashboard.response.kinds import BY_NAME, READY_SECONDS
from api.dashboard.response.list_page import back, told
from api.dashboard.response.new_page import forbidden
from api.dashboard.steps.dialog import etag_of
from api.dashboard.steps.document import Document, Operation, document
from api.dashboard.steps.form import Form
from api.dashboard.telling import done, why
from api.dashboard.texts import number
from api.dashboard.visitor import Visitor
from core.permissions import Action
from respond.reports.content import FIRST

AUTOSAVE_SECONDS: Final = 20.0
_KIND: Final = BY_NAME["reports"]
_ORDER: Final = (
    "learned_at",
    "system",
    "summary",
    "occurred_at",
    "type",
    "personal_data",
    "impact",
    "cause",
    "actions",
    "contact",
    "reason",
)


def register() -> None:
    """Make the pages known to NiceGUI."""

    @ui.page("/response/reports/new", response_timeout=READY_SECONDS)
    async def new(request: Request, incident: str = "") -> None:
        visitor = await Visitor.of(request)
        if not visitor.principal.may(Action.REPORTS_WRITE):
            forbidden(visitor, _KIND)
            return
        try:
            page = ReportPage(visitor, await document(), await lookups.incidents(visitor), incident, None)
        except Refused as refused:
            told(visitor, _KIND, refused)
        else:
            page.build()

    @ui.page("/response/reports/{number}/write", response_timeout=READY_SECONDS)
    async def write(request: Request, number: str) -> None:
        visitor = await Visitor.of(request)
        try:
            record = (await visitor.api.get(f"{_KIND.path}/{number}")).body
            if "edit" not in record["progress"]["steps"]:
                ui.navigate.to(f"/response/reports/{number}")
                return
            page = ReportPage(visitor, await document(), {}, "", record)
        except Refused as refused:
            told(visitor, _KIND, refused)
        else:
            page.build()


def _operation(known: Document) -> Operation:
    """The body of a submission, with what it needs marked as needed."""
    found = known.step("report", "submit")
    fields = {one.name: replace(one, required=one.name in FIRST) for one in found.fields}
    return replace(found, fields=tuple(fields[name] for name in _ORDER))


class ReportPage:
    """The page of one visitor. `record` is the draft; None before it is saved first."""

    def __init__(
        self, visitor: Visitor, known: Document, incidents: Mapping[Any, str], incident: str, record: Mapping[str, Any] | None
    ) -> None:
        self._visitor, self._record = visitor, record
        self._operation = _operation(known)
        self._incidents = dict(incidents) | ({incident: incidents.get(incident, incident)} if incident else {})
        self._incident = incident
        self._saved: Mapping[str, Any] = {}

    def build(self) -> None:
        """Build the page."""
        t = self._visitor.t
        title = t("Accident report")
        with frame(self._visitor, title):
            back(self._visitor, "/response/reports", t.word("kind", "reports"))
            with ui.element("div").classes("page-head"):
                text("h1", title)
                self._standing = text("span", "", "soft").props("role=status")
            with ui.element("div").classes("columns"):
                with ui.element("div").classes("stack"):
                    self._build_form()
                with ui.element("div").classes("stack"):
                    self._explain()
            self._show_standing()
            ui.timer(AUTOSAVE_SECONDS, self._autosave, immediate=False)

    def _build_form(self) -> None:
        t = self._visitor.t
        with panel(t("What happened")), ui.element("div").classes("panel-body"):
            if self._record is None and self._incidents:
                self._chosen = ui.select(self._incidents, label=t("About the incident"), value=self._incident or None, clearable=True)
                self._chosen.props("outlined dense options-dense hide-bottom-space behavior=menu")
                self._chosen.props["hint"] = t("What you leave empty is filled from it when you save.")
                self._chosen.classes("about-incident").on_value_change(self._choose)
            self._form = Form(self._visitor, "report", self._operation, initial=self._content())
            self._reason = self._form.entries["reason"]
            self._reason.element.props["hint"] = t("Needed because it is late. A late report is never refused.")
            self._form.entries["learned_at"].element.on_value_change(self._show_lateness)
            self._show_lateness()
            with ui.element("div").classes("sheet-end"):
                self._save_button = ui.button(t("Save the draft"), on_click=self._save, color=None).props("outline no-caps")
                self._submit_button = (
                    ui.button(t("Submit the report"), on_click=self._submit, color=None).props("unelevated no-caps").classes("primary")
                )

    def _explain(self) -> None:
        t = self._visitor.t
        with panel(t("What the law asks")), ui.element("ul").classes("plain"):
            for line in self._law():
                text("li", line)

    def _law(self) -> Sequence[str]:
        t, hours = self._visitor.t, self._visitor.centre.settings.respond.reports.target_hours
        target = (
            t("The centre's own target is {hours} hours after learning of it. That is no time limit of the law.", hours=number(hours))
            if hours
            else t("The centre has set no target of its own.")
        )
        return (
            t("Whoever learns of an accident reports it to the Mayor without delay (Cybersecurity Ordinance Art. 19(3))."),
            t('"Without delay" is all the law says; it names no number of hours.'),
            target,
            t("If it takes longer, say why. A late report is taken all the same."),
            t("Three things are enough to submit: when you learned of it, which system, and what happened. The rest may follow."),
            t("Every version you submit is kept unchanged. You can add to the report afterwards."),
        )

    def _content(self) -> Mapping[str, Any]:
        return self._record["content"] if self._record else {}

    def _choose(self) -> None:
        self._incident = self._chosen.value or ""

    # ---- saving ----

    async def _save(self) -> None:
        body = self._form.read(whole=False)
        if body is None:
            return
        if await self._write(body):
            done(self._visitor.t("The draft is saved."))

    async def _autosave(self) -> None:
        """Keep what was typed, once there is a draft."""
        body = self._form.read(whole=False) if self._record else None
        if body is not None and body != self._saved:
            await self._write(body, quietly=True)

    async def _write(self, body: Mapping[str, Any], *, quietly: bool = False) -> bool:
        content = {name: value for name, value in body.items() if name != "reason"}
        try:
            if self._record is None:
                self._record = (await self._visitor.api.post(_KIND.path, {**content, "incident": self._incident})).body
                if self._incidents:
                    self._chosen.set_visibility(False)
                ui.run_javascript(f"history.replaceState(null, '', '/response/reports/{self._record['number']}/write')")
            else:
                path = f"{_KIND.path}/{self._record['number']}/edit"
                self._record = (await self._visitor.api.post(path, content, etag=etag_of(self._record))).body
        except Refused as refused:
            self._refused(refused)
            return False
        if not quietly:
            self._form.show(self._content())
        self._saved = self._form.read(whole=False) or {}
        self._show_standing()
        return True

    async def _submit(self) -> None:
        body = self._form.read()
        if body is None:
            return
        self._submit_button.disable()
        try:
            if self._record is None and not await self._write(body, quietly=True):
                return
            assert self._record is not None  # noqa: S101 - it was written just now
            path = f"{_KIND.path}/{self._record['number']}/submit"
            await self._visitor.api.post(path, body, etag=etag_of(self._record))
        except Refused as refused:
            self._refused(refused)
        else:
            ui.navigate.to(f"/response/reports/{self._record['number']}")
        finally:
            self._submit_button.enable()

    def _refused(self, refused: Refused) -> None:
        if refused.status == 401:
            ui.navigate.to(self._visitor.login_url)
            return
        if refused.status == 422 and not refused.errors and self._is_late():
            self._form.say(self._visitor.t("This report is later than the centre's own target. Say why; it is taken all the same."))
            self._reason.focus()
        elif refused.errors:
            self._form.complain(refused)
        else:
            self._form.say(why(self._visitor, refused))

    # ---- standing ----

    def _due(self) -> datetime | None:
        """When the centre would like to have it, of what is typed; None without a target or before learned_at is there."""
        hours = self._visitor.centre.settings.respond.reports.target_hours
        learned = self._form.read_one("learned_at")
        return datetime.fromisoformat(learned) + timedelta(hours=hours) if hours and learned else None

    def _is_late(self) -> bool:
        due = self._due()
        return due is not None and due < self._visitor.centre.clock.now()

    def _show_lateness(self) -> None:
        self._reason.element.set_visibility(self._is_late())
        self._show_standing()

    def _show_standing(self) -> None:
        if not hasattr(self, "_form"):
            return
        t, parts = self._visitor.t, []
        if self._record is not None:
            saved = datetime.fromisoformat(self._record["updated_at"])
            parts.append(t("{number} · draft saved at {time} KST", number=self._record["number"], time=time_html(saved)))
        if due := self._due():
            parts.append(t("the centre's target: {time} KST", time=time_html(due)))
        self._standing.set_content(" · ".join(parts))
