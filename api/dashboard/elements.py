"""The small things every page is made of. What is shown is escaped here; the functions that give HTML say so in their name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from html import escape

from nicegui import ui

from api.dashboard import beacons
from api.dashboard.texts import kst, kst_short, utc
from api.dashboard.visitor import Visitor


def text(tag: str, content: str, classes: str = "") -> ui.html:
    """An element that shows `content` as it is, whatever signs are in it; `.set_content(escape(...))` changes it."""
    return ui.html(escape(content), tag=tag, sanitize=False).classes(classes)


def empty(title: str, hint: str) -> None:
    """What stands where nothing is to be shown yet: what that means, and what to do."""
    with ui.element("div").classes("empty"):
        ui.html(beacons.MARK, tag="span", sanitize=False).classes("mark")
        text("b", title)
        text("span", hint)


@contextmanager
def panel(title: str, note: str = "") -> Iterator[ui.element]:
    """A part of a page with its heading; the content is built inside the block. Gives the heading's line, for tools at its end."""
    with ui.element("section").classes("panel"):
        with ui.element("header") as head:
            text("h2", title)
            if note:
                text("span", note, "note")
        yield head


def severity_html(visitor: Visitor, severity: str) -> str:
    """A severity as its fires and its word."""
    word = escape(visitor.t.word("severity", severity))
    return f'<span class="severity {escape(severity, quote=True)}">{beacons.fires(severity)}{word}</span>'


def state_html(visitor: Visitor, kind: str, state: str) -> str:
    """The state of a case of `kind` (the kind of its words), as a dot and its word."""
    return f'<span class="state {escape(state, quote=True)}">{escape(visitor.t.word(kind, state))}</span>'


def tag_html(word: str, classes: str = "") -> str:
    """A small mark beside a title."""
    return f'<span class="tag {escape(classes, quote=True)}">{escape(word)}</span>'


def time_html(at: datetime | str | None, now: datetime | None = None) -> str:
    """A time in KST with UTC on hover; with `now` short, as lists show it. Texts are those of the API (ISO 8601)."""
    if not at:
        return "–"
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    shown = kst(moment) if now is None else kst_short(moment, now)
    return f'<time datetime="{utc(moment)}" title="{utc(moment)}">{shown}</time>'


def facts(pairs: Sequence[tuple[str, str]]) -> ui.html:
    """Names and what they are; the values are HTML."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in pairs)
    return ui.html(items, tag="dl", sanitize=False).classes("facts")
