"""What people and agencies are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "user": {
        "mayors_office": "Mayor's office",
        "analyst": "Analyst",
        "soc_lead": "SOC lead",
        "agency_officer": "Agency officer",
        "auditor": "Auditor",
        "privacy_officer": "Privacy officer",
        "admin": "Administrator",
    },
    "agency": {
        "_unknown": "Unknown source",
    },
}
