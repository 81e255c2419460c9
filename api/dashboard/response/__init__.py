"""The Response pages: what waits for the visitor, and a list and a page for every kind of case.

A kind is described once, as data (`kinds`); pages render whatever the API answers by the words of its fields.
"""

from __future__ import annotations

from api.dashboard.response import case_page, delegations_page, hub_page, list_page, new_page, report_page


def register() -> None:
    """Make the pages known to NiceGUI; paths of words come before those of kinds and numbers."""
    hub_page.register()
    report_page.register()
    delegations_page.register()
    new_page.register()
    list_page.register()
    case_page.register()
