"""The pages of agencies and their sources: how each does, and the wizard that ends with the first line."""

from __future__ import annotations

from api.dashboard.sources import list_page, wizard_page


def register() -> None:
    """Make the pages known to NiceGUI."""
    wizard_page.register()
    list_page.register()
