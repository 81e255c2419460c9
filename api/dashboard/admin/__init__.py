"""The Administration pages: accounts, keys of machines, settings in force, versions and health."""

from __future__ import annotations

from api.dashboard.admin import keys, settings, system, users


def register() -> None:
    """Make the pages known to NiceGUI."""
    for page in (users, keys, settings, system):
        page.register()
