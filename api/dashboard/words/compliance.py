"""How a paragraph of the law stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "standing": {
        "met": "Met",
        "partly": "Partly",
        "overdue": "Overdue",
        "nothing": "Nothing yet",
        "hidden": "Not shown",
        "outside": "Outside",
    },
}
