"""What the pages of rules share: the heading with its views, and how things that are missing are told."""

from __future__ import annotations

import uuid
from html import escape
from typing import Final

from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.elements import empty, text
from api.dashboard.frame import frame
from api.dashboard.telling import telling, why
from api.dashboard.visitor import Visitor
from core.permissions import Action

READY_SECONDS: Final = 30.0
"""These pages read much, and are given more time than the three seconds NiceGUI gives others."""
_TEMPLATE: Final = """title: What it finds, in few words
id: {id}
status: experimental
description: What happened, and why it matters.
tags:
  - attack.initial-access
logsource:
  category: firewall
detection:
  selection:
    disposition: allow
    dst_port: 23
  condition: selection
falsepositives:
  - What else looks like this
level: medium
"""


def head(visitor: Visitor, view: str) -> None:
    """The heading of the list, with the ways to look at rules."""
    t = visitor.t
    views = (
        ("list", t("All rules")),
        ("attack", t("ATT&CK")),
        ("coverage", t("Coverage")),
        ("silences", t("Silences")),
        ("drafts", t("Drafts")),
    )
    links = "".join(
        f'<a class="tool" href="/rules?view={name}"{" aria-current=page" if name == view else ""}>{escape(word)}</a>'
        for name, word in views
    )
    with ui.element("div").classes("page-head"):
        text("h1", t("Rules"))
        ui.html(links, tag="nav", sanitize=False).classes("views").props(f'aria-label="{t("Ways to look at rules")}"')
        if visitor.principal.may(Action.RULES_WRITE):

            async def new() -> None:
                await begin(visitor, _TEMPLATE.format(id=uuid.uuid4()), "")

            ui.button(t("New rule"), icon="add", on_click=new, color=None).props("unelevated no-caps dense").classes("main-button")


async def begin(visitor: Visitor, content: str, origin: str) -> None:
    """Begin a draft with a text and go to it."""
    with telling(visitor):
        made = await visitor.api.post("/v1/rule-drafts", {"text": content, "origin": origin})
        ui.navigate.to(f"/rules/drafts/{made.body['number']}")


def refused(visitor: Visitor, title: str, error: Refused) -> None:
    """The page where its first reading was refused."""
    t = visitor.t
    with frame(visitor, title):
        back(visitor)
        with ui.element("section").classes("panel"):
            empty(t.word("problem", error.code), why(visitor, error).partition("\n")[2] or t("Ask the SOC lead if you need it."))


def back(visitor: Visitor) -> None:
    """The way back to the list."""
    ui.html(f'<a class="back" href="/rules">← {escape(visitor.t("Back to the rules"))}</a>', sanitize=False)
