"""Tickets of exercises: by them, and by nothing else, a line is known to belong to a drill (articles 17(2)5 and 21).

Whoever could call his own lines an exercise could hide in it. So a drill says on the wire who it is with a ticket signed by the centre's
key (`core.signing`): the receiver checks it before it tags a connection, and normalise checks it again before it tags a row. A ticket is
one line of text: `BONGSU-EXERCISE <content> <signature>`, the content JSON in base64url. Times are milliseconds since the epoch.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import asdict, dataclass
from typing import Final

from core.errors import Invalid
from core.signing import Signer, Verifier

MARK: Final = "BONGSU-EXERCISE "
LONGEST: Final = 2048
"""Characters of a ticket."""

SOURCE_PREFIX: Final = "exercise/"
"""Begins the names of the sources of exercises; no source of the settings can have such a name."""

_KIND: Final = "exercise"
_SKEW_MS: Final = 5_000  # between the clocks of the processes of one centre


@dataclass(frozen=True, slots=True)
class Ticket:
    """Lines of `source` of `agency`, received from `issued_at` until `until`, belong to `drill`. `timezone` is the source's, or ''."""

    drill: str
    agency: str
    source: str
    timezone: str
    issued_at: int
    until: int

    def holds_at(self, at: int) -> bool:
        """Whether it is good for what was received at `at`."""
        return self.issued_at - _SKEW_MS <= at <= self.until


def issue(signer: Signer, ticket: Ticket) -> str:
    """The signed text of `ticket`, without line end."""
    content = base64.urlsafe_b64encode(json.dumps(asdict(ticket), separators=(",", ":")).encode())
    return f"{MARK}{content.decode()} {signer.sign(_KIND, content)}"


def read(verifier: Verifier, text: str) -> Ticket:
    """The ticket whose text this is; Invalid when we did not sign it."""
    content, _, signature = text.removeprefix(MARK).partition(" ")
    if not text.startswith(MARK) or not verifier.verifies(_KIND, content.encode(), signature):
        raise Invalid("this ticket of an exercise was not signed by this centre")
    try:
        return Ticket(**json.loads(base64.urlsafe_b64decode(content)))
    except (ValueError, TypeError, binascii.Error) as error:
        raise Invalid("this ticket of an exercise was made by another version") from error
