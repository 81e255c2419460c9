"""The pages of rules: what runs and how it does, one rule, and the desk on which rules are written."""

from __future__ import annotations

from api.dashboard.rules import draft_page, list_page, rule_page


def register() -> None:
    """Make the pages known to NiceGUI."""
    list_page.register()
    draft_page.register()
    rule_page.register()
