"""Why something was not done: the codes of the API's problem documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "problem": {
        "bad_request": "This request cannot be understood.",
        "busy": "The centre takes nothing at the moment. Try again in a few seconds.",
        "conflict": "This step does not exist now. Look at it as it is.",
        "defect": "Something broke on our side.",
        "forbidden": "Your role may not do this.",
        "idempotency_mismatch": "This was sent before with other content.",
        "idempotency_unknown": "Nobody can tell whether this was done already. Look first.",
        "invalid": "This cannot be accepted as it is.",
        "malformed": "Something in the form is missing or wrong.",
        "method_not_allowed": "This cannot be done here.",
        "not_found": "There is no such thing, or it is not for you.",
        "precondition_required": "Look at it as it is, and try again.",
        "query_too_long": "The question is too long.",
        "stale": "Somebody else was faster. Look at it as it is, and try again.",
        "too_costly": "This search would take too much. Ask for a shorter time or more exactly.",
        "too_large": "This is too large.",
        "too_many": "That was too often. Wait a moment.",
        "unauthenticated": "You are not logged in any more.",
        "unavailable": "A part of the centre does not answer. Try again in a moment.",
        "unsupported": "This format is not supported.",
    },
}
