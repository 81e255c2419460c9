"""Incidents, and what their lines name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "severity": {
        "critical": "Critical",
        "high": "High",
        "medium": "Medium",
        "low": "Low",
        "informational": "Info",
    },
    "state": {
        "new": "New",
        "triaged": "Triaged",
        "false_positive": "False positive",
        "confirmed": "Confirmed",
        "contained": "Contained",
        "eradicated": "Eradicated",
        "recovering": "Recovering",
        "closed": "Closed",
        "reopened": "Reopened",
    },
    "entity": {
        "ip": "IP address",
        "user": "User",
        "device": "Device",
        "domain": "Domain",
        "url": "URL",
    },
    "role": {
        "source": "source",
        "target": "target",
        "named": "named",
        "requested": "requested",
        "queried": "queried",
        "reporter": "reporter",
    },
}
