"""Accounts: who there is, what is proposed for whom, and what is done to help somebody in or shut them out."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import Any

from fastapi import Request
from nicegui import ui

from api.dashboard.admin.account_dialog import manage
from api.dashboard.admin.proposing import propose, roles
from api.dashboard.admin.tabs import READY_SECONDS, administration
from api.dashboard.client import Refused
from api.dashboard.elements import empty, panel, text, time_html
from api.dashboard.forms import dialog, field, press
from api.dashboard.telling import done, telling, why
from api.dashboard.visitor import Visitor
from core.permissions import Action


def register() -> None:
    """Make the page known to NiceGUI."""

    @ui.page("/admin", response_timeout=READY_SECONDS)
    async def accounts(request: Request) -> None:
        visitor = await Visitor.of(request)
        with administration(visitor, Action.USERS_READ) as allowed:
            if allowed:
                await _Accounts(visitor).show()


class _Accounts:
    """The two lists, drawn anew after each change."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        t = visitor.t
        note = t("An account and its roles are proposed by the SOC lead or an administrator, and approved by the mayor's office.")
        with panel(t("Proposed changes"), note):
            self._changes = ui.element("div").classes("scroll").props("tabindex=0")
            if visitor.principal.may(Action.USERS_PROPOSE):
                with ui.element("div").classes("actions"):
                    press(t("Propose an account"), partial(propose, visitor, self.show), kind="primary")
        with panel(t("Accounts")):
            self._users = ui.element("div").classes("scroll").props("tabindex=0")

    async def show(self) -> None:
        """Draw what there is now."""
        t = self._visitor.t
        try:
            waiting = (await self._visitor.api.get("/v1/account-changes", state="proposed", limit=200)).body["items"]
            users = await _every_user(self._visitor)
        except Refused as refused:
            self._users.clear()
            with self._users:
                empty(t("This cannot be shown right now."), why(self._visitor, refused))
            return
        self._changes.clear()
        with self._changes:
            if waiting:
                self._waiting(waiting)
            else:
                text("p", t("Nothing waits for a decision."), "soft slip")
        self._users.clear()
        with self._users:
            self._list(users)

    def _waiting(self, changes: list[dict[str, Any]]) -> None:
        t = self._visitor.t
        with ui.element("table").classes("list"):
            _head(t("User"), t("What"), t("Roles"), t("Reason"), t("Proposed by"), "")
            with ui.element("tbody"):
                for one in changes:
                    with ui.element("tr").props(f"data-change={one['id']}"):
                        by = f"{escape(one['proposed_by'].removeprefix('user:'))}<br>{time_html(one['proposed_at'])}"
                        kind = escape(t.word("account_change", one["kind"]))
                        _cells(f"<b>{escape(one['user'])}</b>", kind, escape(roles(self._visitor, one)), escape(one["reason"]), by)
                        with ui.element("td").classes("right"), ui.element("div").classes("actions"):
                            self._decisions(one)

    def _decisions(self, one: dict[str, Any]) -> None:
        t, me = self._visitor.t, self._visitor.principal
        if one["proposed_by"] == me.actor:
            press(t("Withdraw"), partial(self._decide, one, "withdraw"))
        elif me.may(Action.USERS_APPROVE):
            press(t("Approve"), partial(self._decide, one, "approve"), kind="primary")
            press(t("Reject"), partial(self._reject, one), kind="danger")

    async def _decide(self, one: dict[str, Any], step: str, reason: str = "") -> None:
        t = self._visitor.t
        with telling(self._visitor):
            body = {"reason": reason} if step == "reject" else None
            await self._visitor.api.post(f"/v1/account-changes/{one['id']}/{step}", body, etag=f'"{one["version"]}"')
            done(t("Approved. An administrator gives the first password.") if step == "approve" else t("It is done."))
            await self.show()

    def _reject(self, one: dict[str, Any]) -> None:
        t = self._visitor.t
        with dialog(t("Reject")) as opened:
            reason = field(t("Reason"))

            async def send() -> None:
                opened.close()
                await self._decide(one, "reject", reason.value)

            with ui.element("div").classes("actions"):
                press(t("Reject"), send, kind="danger")
                press(t("Close"), opened.close)

    def _list(self, users: list[dict[str, Any]]) -> None:
        t = self._visitor.t
        with ui.element("table").classes("list"):
            _head(t("User"), t("Roles"), t("Comes by"), t("Second factor"), t("Last log-in"), t("State"), "")
            with ui.element("tbody"):
                for one in users:
                    with ui.element("tr").props(f'data-user="{escape(one["name"], quote=True)}"'):
                        second = t("set up") if one["second_factor_since"] else t("none")
                        state = (
                            t("disabled")
                            if one["disabled_at"]
                            else t("must set a password")
                            if one["must_change_password"]
                            else t("enabled")
                        )
                        comes = escape(t.word("comes_by", one["comes_by"]))
                        seen = time_html(one["last_login_at"])
                        _cells(
                            f"<b>{escape(one['name'])}</b>", escape(roles(self._visitor, one)), comes, escape(second), seen, escape(state)
                        )
                        with ui.element("td").classes("right"):
                            button = press(t("Manage"), partial(manage, self._visitor, one["name"], self.show))
                            button.props(f'aria-label="{t("Manage {name}", name=escape(one["name"], quote=True))}"')


async def _every_user(visitor: Visitor) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = (await visitor.api.get("/v1/users", limit=500, cursor=cursor)).body
        found += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            return found


def _head(*names: str) -> None:
    cells = "".join(f'<th scope="col">{escape(one)}</th>' if one else "<td></td>" for one in names)
    ui.html(f"<tr>{cells}</tr>", tag="thead", sanitize=False)


def _cells(*contents: str) -> None:
    for one in contents:
        ui.html(one, tag="td", sanitize=False)
