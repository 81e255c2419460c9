"""Fields and buttons of forms, labelled, in the look of the dashboard; and a secret that is shown once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from html import escape
from inspect import iscoroutine

from nicegui import ui

from api.dashboard.elements import text
from api.dashboard.visitor import Visitor


def field(label: str, *, password: bool = False, autocomplete: str = "off", hint: str = "") -> ui.input:
    """A line to type in. `autocomplete` tells password managers what it is (WCAG 1.3.5)."""
    made = ui.input(label, password=password).props(f'outlined dense autocomplete="{autocomplete}"').classes("field")
    if hint:
        made.props(f'hint="{hint}"')
    return made


def press(label: str, handler: Callable[[], object], *, kind: str = "") -> ui.element:
    """A button. `kind` is primary for what a form is for, danger for what takes something away.

    `handler` works in the page and not where the button stands, which it may draw anew.
    """
    place = ui.context.client.content

    async def pressed() -> None:
        with place:
            working = handler()
            if iscoroutine(working):  # a dialog that closes gives itself, and awaiting one opens it
                await working

    with ui.element("button").classes(f"tool {kind}").props("type=button").on("click", pressed) as made:
        text("span", label)
    return made


def dialog(title: str) -> AbstractContextManager[ui.dialog]:
    """A dialog with a heading; its content is built inside the block, and it opens when that ends."""
    return _Dialog(title)


class _Dialog(AbstractContextManager[ui.dialog]):
    def __init__(self, title: str) -> None:
        with ui.context.client.content:
            self._dialog = ui.dialog().props(f'aria-label="{escape(title, quote=True)}"')
        with self._dialog:
            self._card = ui.element("div").classes("dialog")
        with self._card:
            text("h2", title)

    def __enter__(self) -> ui.dialog:
        self._card.__enter__()
        return self._dialog

    def __exit__(self, *error: object) -> None:
        self._card.__exit__(*error)
        if error[0] is None:
            self._dialog.open()


def shown_once(visitor: Visitor, title: str, note: str, secrets: Sequence[str]) -> None:
    """Secrets that nobody can show again, until the dialog is closed by hand."""
    t = visitor.t
    with dialog(title) as opened:
        opened.props("persistent")
        text("p", note, "soft")
        with ui.element("ul").classes("secrets"):
            for one in secrets:
                text("li", one, "mono")
        with ui.element("div").classes("actions"):
            press(t("I have kept it"), opened.close, kind="primary")
