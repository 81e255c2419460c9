"""Who is asked about a proposal, and who next."""

from __future__ import annotations

from collections.abc import Sequence


def ask(people: Sequence[str], passed_on: int) -> str:
    """The user to ask after `passed_on` who did not answer, round and round; '' (every SOC lead) when nobody is named."""
    return people[passed_on % len(people)] if people else ""
