"""What rows of the audit trail name, and what can be wrong with the intake ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "actor": {
        "user": "person",
        "key": "key",
        "certificate": "certificate",
        "system": "the system itself",
    },
    "detail": {
        "agency": "agency",
        "reason": "reason",
        "version": "version",
        "entries": "rows",
        "head": "head of the chain",
        "problem": "problem",
        "problems": "problems",
        "differences": "differences",
        "hours": "hours",
        "seq": "row",
        "number": "number",
        "title": "title",
        "severity": "severity",
        "state": "state",
        "level": "level",
        "name": "name",
        "roles": "roles",
        "actions": "permissions",
        "source": "source",
        "peer": "from",
        "due_at": "due",
        "members": "members",
        "from": "before",
        "to": "after",
        "file": "file",
        "sha256": "SHA-256",
    },
    "ledger_problem": {
        "chain": "The chain of entries is broken",
        "differs": "lines are missing",
        "changed": "what is there now is not what was entered",
        "open": "an hour not entered yet does not agree",
        "gone": "Messages were gone before they were counted",
        "offsets": "The count of messages does not fit the offsets",
    },
}
