"""The hunt pages: searching events, and running rules over history."""

from __future__ import annotations

from api.dashboard.hunt import history_page, search_page


def register() -> None:
    """Make the pages known to NiceGUI."""
    search_page.register()
    history_page.register()
