"""How a page says that something was done or was not: a line at the bottom that goes by itself, or stays when it went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nicegui import ui

from api.dashboard.client import Refused
from api.dashboard.refusals import refusal
from api.dashboard.visitor import Visitor


def done(message: str) -> None:
    """Say that it was done."""
    ui.notify(message, type="positive", position="bottom")


@contextmanager
def telling(visitor: Visitor) -> Iterator[None]:
    """What the API refuses inside the block is told, and the block ends; a session that ended leads to the log-in page.

    The block works in the page itself: the button or dialog that began it may be gone before it ends.
    """
    with ui.context.client.content:
        try:
            yield
        except Refused as refused:
            if refused.status == 401:
                ui.navigate.to(visitor.login_url)
            else:
                message = why(visitor, refused)
                ui.notify(message, type="negative", position="bottom", timeout=0, close_button=visitor.t("Close"), multi_line=True)


def why(visitor: Visitor, refused: Refused) -> str:
    """What happened and its particulars, in the visitor's language as far as it is known there."""
    return f"{visitor.t.word('problem', refused.code)}\n{refusal(visitor.t, refused.detail)}"
