"""The words that are stored in records (states, roles, severities, ...), by kind, as English readers are shown them.

Other languages have them in their catalogue, with the kind as context. A part of the dashboard keeps the words of its records in a module
of its own here; no kind stands in two of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from api.dashboard.words import (
    accounts,
    audit,
    cases,
    compliance,
    events,
    fields,
    incidents,
    overview,
    people,
    problems,
    rules,
    sources,
    values,
)

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    **accounts.WORDS,
    **audit.WORDS,
    **cases.WORDS,
    **compliance.WORDS,
    **events.WORDS,
    **fields.WORDS,
    **incidents.WORDS,
    **overview.WORDS,
    **people.WORDS,
    **problems.WORDS,
    **rules.WORDS,
    **sources.WORDS,
    **values.WORDS,
}
