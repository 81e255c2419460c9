"""What the first page names: how agencies do, and which case something is awaited of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "health": {
        "live": "Live",
        "late": "Late",
        "silent": "Silent",
        "never": "Never heard",
    },
    "link": {
        "up": "Up",
        "late": "Late",
        "down": "Down",
        "off": "Switched off",
        "": "Never called",
    },
    "due": {
        "report": "accident report",
        "request": "request",
        "personal_case": "personal-information case",
        "warning": "national warning",
        "warning_notice": "warning at an agency",
        "readiness": "readiness",
        "team_member": "call to a team",
        "share_receipt": "shared threat information",
        "duty": "annual duty",
    },
    "set_by": {
        "target": "own target, not the law's",
        "pack": "time limit of the law",
        "set": "set by whoever asked",
    },
}
