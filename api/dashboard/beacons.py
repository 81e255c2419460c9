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


_OUT: Final = ' opacity=".18"'


def _symbol(severity: str, lit: int) -> str:
    flames = "".join(f'<use href="#flame" x="{9 * place}"{"" if place < lit else _OUT}/>' for place in range(5))
    return f'<symbol id="fires-{severity}" viewBox="0 0 46 11">{flames}</symbol>'


SPRITE: Final = (
    f'<svg class="sprite" width="0" height="0" fill="currentColor" aria-hidden="true"><defs><path id="flame" d="{_FLAME}"/></defs>'
    + "".join(_symbol(severity, lit) for severity, lit in FIRES.items())
    + "</svg>"
)
"""The fires of each severity, drawn once on a page; `fires` refers to them, for a list shows hundreds."""


def fires(severity: str) -> str:
    """Five small beacons, as many lit as `severity` is grave, on a page that holds SPRITE; the colour is the text's."""
    name = severity if severity in FIRES else "informational"
    return f'<svg class="fires" width="46" height="11" fill="currentColor" aria-hidden="true"><use href="#fires-{name}"/></svg>'
