"""Proposing an account, or other roles of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from api.dashboard.forms import dialog, field, press
from api.dashboard.telling import done, telling
from api.dashboard.visitor import Visitor
from core.permissions import Role

After = Callable[[], Awaitable[None]]
"""Draws the lists anew."""


async def propose(visitor: Visitor, after: After, user: dict[str, Any] | None = None) -> None:
    """Ask what account, or which other roles of `user`, is wanted, and propose it; `after` draws the lists anew."""
    t = visitor.t
    with dialog(t("Other roles for {name}", name=user["name"]) if user else t("Propose an account")) as opened:
        name = None if user else field(t("User name"))
        chosen = {role.value: t.word("user", role.value) for role in Role}
        granted = (
            ui.select(chosen, label=t("Roles"), multiple=True, value=user["roles"] if user else []).props("outlined dense").classes("field")
        )
        known = {"": t("The centre itself")} | {one.id: visitor.agency_name(one.id) for one in visitor.centre.settings.agencies}
        agency = ui.select(known, label=t("Agency"), value=user["agency"] if user else "").props("outlined dense").classes("field")
        reason = field(t("What it is for"))

        async def send() -> None:
            who = name.value if name else user["name"] if user else ""
            wish = {
                "user": who,
                "kind": "change" if user else "create",
                "roles": granted.value,
                "agency": agency.value,
                "reason": reason.value,
            }
            with telling(visitor):
                await visitor.api.post("/v1/account-changes", wish)
                opened.close()
                done(t("Proposed. The mayor's office decides."))
                await after()

        with ui.element("div").classes("actions"):
            press(t("Propose"), send, kind="primary")
            press(t("Close"), opened.close)


def roles(visitor: Visitor, one: dict[str, Any]) -> str:
    """The roles of an account or change in words, with the agency."""
    words = ", ".join(visitor.t.word("user", role) for role in one["roles"])
    return f"{words} · {visitor.agency_name(one['agency'])}" if one["agency"] else words
