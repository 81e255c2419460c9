"""The queue of incidents and the page of one: where analysts are all day."""

from __future__ import annotations

from api.dashboard.incidents import page, queue


def register() -> None:
    """Make the pages known to NiceGUI."""
    queue.register()
    page.register()
