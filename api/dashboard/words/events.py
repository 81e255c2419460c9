"""The columns of events, what they mean, and the groups they are shown in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.events import EVENTS

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "column": {column.name: column.meaning for column in EVENTS.columns},
    "column_group": {
        "when": "When and what",
        "source": "Source",
        "target": "Destination",
        "network": "Network and decision",
        "request": "Web, DNS and files",
        "finding": "Findings and users",
        "volume": "Volume",
        "intake": "Intake and device",
    },
    "hunt": {
        "queued": "Waiting",
        "running": "Running",
        "done": "Done",
        "cancelled": "Cancelled",
        "failed": "Failed",
    },
}
