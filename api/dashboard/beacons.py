"""The beacon motif: the mark of the product, and severity shown as one to five fires, as the beacon chain told it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).parent / "static"
MARK: Final = (STATIC / "beacon.svg").read_text(encoding="utf-8")

FIRES: Final = {"informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
_FLAME: Final = (
    "M5 0c.4 2.2 3.5 3.5 3.5 6.7A3.5 3.5 0 0 1 5 10.2 3.5 3.5 0 0 1 1.5 6.7c0-1.3.6-2.2 1.3-3 .1 1 .5 1.5 1.1 1.7C3.6 3.5 4.1 1.5 5 0z"
)


def fires(severity: str) -> str:
    """Five small beacons, as many lit as `severity` is grave, as inline SVG; the colour is the text's."""
    lit = FIRES.get(severity, 1)
    flames = "".join(f'<path d="{_FLAME}" transform="translate({9 * place} 0)"{"" if place < lit else _OUT}/>' for place in range(5))
    return f'<svg class="fires" viewBox="0 0 46 11" width="46" height="11" fill="currentColor" aria-hidden="true">{flames}</svg>'


_OUT: Final = ' opacity=".18"'
