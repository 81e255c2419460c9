"""The drafts of rules: what is being written, what awaits a second person, what is in force, and what ended."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from nicegui import ui

from api.dashboard.elements import empty, panel, state_html, time_html
from api.dashboard.visitor import Visitor

_ORDER: Final = ("submitted", "draft", "declined", "in_force", "retired", "discarded")
_MOST: Final = 200


async def show(visitor: Visitor) -> None:
    """Build the view. Refused when the visitor may not."""
    t = visitor.t
    found = (await visitor.api.get("/v1/rule-drafts", limit=_MOST)).body["items"]
    with panel(t("Drafts of rules"), t("a second person approves what comes into force")):
        if not found:
            empty(t("No draft yet."), t("Write a rule, save a hunt as one, or change one from its page."))
            return
        rows = "".join(_row(visitor, one) for one in sorted(found, key=lambda one: _ORDER.index(one["state"])))
        columns = (t("Number"), t("Rule"), t("State"), t("Written by"), t("Changed"))
        head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
        with ui.element("div").classes("scroll").props("tabindex=0"):
            ui.html(f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>", tag="table", sanitize=False).classes("list drafts-table")


def _row(visitor: Visitor, one: dict[str, Any]) -> str:
    title = escape(one["title"] or visitor.t("Without a title"))
    authors = ", ".join(author.partition(":")[2] for author in one["authors"])
    return (
        f'<tr class="opens"><td class="num soft">{escape(one["number"])}</td>'
        f'<td><a href="/rules/drafts/{escape(one["number"], quote=True)}">{title}</a></td>'
        f"<td>{state_html(visitor, 'draft', one['state'])}</td><td>{escape(authors)}</td>"
        f"<td class='num soft'>{time_html(one['updated_at'], visitor.centre.clock.now())}</td></tr>"
    )
