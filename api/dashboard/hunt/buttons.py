"""Buttons in the product's own look, for pages whose other tools look so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui

from api.dashboard.elements import text


def tool(label: str, pressed: Callable[[], Any], *, main: bool = False) -> ui.element:
    """A button; the `main` one of its place stands out."""
    with ui.element("button").classes("tool go" if main else "tool").props("type=button") as made:
        text("span", label)
    made.on("click", lambda _: pressed())
    return made
