"""The page of the mayor's office: few numbers to be read from afar, what waits for a signature, and reports to take away."""

from __future__ import annotations

from api.dashboard.mayor import mayor_page


def register() -> None:
    """Make the page known to NiceGUI."""
    mayor_page.register()
