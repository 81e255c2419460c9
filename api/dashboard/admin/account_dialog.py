"""One account in a dialog: what it is, its sessions, and what the visitor's role may do for it."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import Any

from nicegui import ui

from api.dashboard.account_page import sessions_table
from api.dashboard.admin.proposing import After, propose
from api.dashboard.elements import facts, text, time_html
from api.dashboard.forms import dialog, press, shown_once
from api.dashboard.telling import done, telling
from api.dashboard.visitor import Visitor
from core.permissions import Action


async def manage(visitor: Visitor, name: str, after: After) -> None:
    """Show the account as it is now; `after` draws the lists anew when something was changed."""
    with telling(visitor):
        answer = await visitor.api.get(f"/v1/users/{name}")
        operates = visitor.principal.may(Action.USERS_OPERATE)
        sessions = (await visitor.api.get(f"/v1/users/{name}/sessions")).body["items"] if operates else []
        _Managed(visitor, answer.body, answer.etag, sessions, after)


class _Managed:
    def __init__(self, visitor: Visitor, user: dict[str, Any], etag: str, sessions: list[dict[str, Any]], after: After) -> None:
        self._visitor, self._user, self._etag, self._after = visitor, user, etag, after
        t = visitor.t
        with dialog(user["name"]) as self._dialog:
            words = ", ".join(t.word("user", role) for role in user["roles"])
            facts(
                [
                    (t("Roles"), escape(words)),
                    (t("Agency"), escape(visitor.agency_name(user["agency"]) if user["agency"] else t("The centre itself"))),
                    (t("Comes by"), escape(t.word("comes_by", user["comes_by"]))),
                    (t("Second factor"), time_html(user["second_factor_since"])),
                    (t("Made"), time_html(user["created_at"])),
                    (t("Last log-in"), time_html(user["last_login_at"])),
                ]
            )
            if sessions:
                text("h3", t("Sessions"))
                with ui.element("div").classes("scroll").props("tabindex=0"):
                    sessions_table(visitor, sessions, self._end_session)
            with ui.element("div").classes("actions"):
                self._buttons()
                press(t("Close"), self._dialog.close)

    def _buttons(self) -> None:
        t, me, user = self._visitor.t, self._visitor.principal, self._user
        if user["name"] == me.name:
            text("p", t("Your own account is changed on its own page, or by somebody else."), "soft")
            return
        ended = bool(user["disabled_at"])
        if me.may(Action.USERS_OPERATE):
            if not ended and user["comes_by"] != "oidc":
                press(t("Give a password for one log-in"), self._password, kind="primary")
            if user["second_factor_since"]:
                press(t("Take the second factor away"), partial(self._do, "second-factor/reset"), kind="danger")
            press(t("Let try again"), partial(self._do, "unlock"))
        if me.may(Action.USERS_PROPOSE) and ended:
            press(t("Propose to enable it"), self._enable)
        elif me.may(Action.USERS_PROPOSE) and user["comes_by"] != "oidc":
            press(t("Propose other roles"), partial(propose, self._visitor, self._after, user))
        if not ended and (me.may(Action.USERS_OPERATE) or me.may(Action.USERS_APPROVE)):
            press(t("Shut out now"), partial(self._do, "disable"), kind="danger")

    async def _do(self, step: str) -> None:
        with telling(self._visitor):
            await self._visitor.api.post(f"/v1/users/{self._user['name']}/{step}", etag=self._etag)
            await self._finished(self._visitor.t("It is done."))

    async def _enable(self) -> None:
        with telling(self._visitor):
            await self._visitor.api.post("/v1/account-changes", {"user": self._user["name"], "kind": "enable"})
            await self._finished(self._visitor.t("Proposed. The mayor's office decides."))

    async def _password(self) -> None:
        t = self._visitor.t
        with telling(self._visitor):
            made = (await self._visitor.api.post(f"/v1/users/{self._user['name']}/password", etag=self._etag)).body
            note = t(
                "Give it to {name} in person. It holds for {days} days and one log-in: there they set their own.",
                name=self._user["name"],
                days=made["holds_days"],
            )
            await self._finished(t("Their sessions have ended."))
            shown_once(self._visitor, t("A password for one log-in"), note, [made["password"]])

    async def _end_session(self, one: dict[str, Any]) -> None:
        with telling(self._visitor):
            await self._visitor.api.delete(f"/v1/users/{self._user['name']}/sessions/{one['id']}")
            await self._finished(self._visitor.t("The session has ended."))

    async def _finished(self, told: str) -> None:
        self._dialog.close()
        done(told)
        await self._after()
