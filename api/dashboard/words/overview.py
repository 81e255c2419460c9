"""What the first page names: how agencies do, and what is awaited of which case."""

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
    "awaited": {
        "report": "Report",
        "followup": "Follow-up",
        "answer": "Answer",
        "review": "Review",
        "acknowledge": "Acknowledgement",
        "measures": "Measures",
        "duty": "Annual duty",
        "reply": "Reply",
        "decide": "Decision",
        "further_report": "Further report",
        "stay_posted": "Days of posting",
        "explanation": "Explanation in writing",
        "retraction": "Retraction",
        "containment": "Containment",
        "first_notice": "Notice",
        "post": "Posting",
        "first_report": "First report",
        "possible_notice": "Notice of a possible leak",
    },
    "set_by": {
        "target": "own target, not the law's",
        "pack": "time limit of the law",
        "set": "set by whoever asked",
    },
}
