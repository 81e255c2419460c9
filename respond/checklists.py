"""Lists of measures that are ticked off with proof.

A list is copied from its policy into the case it belongs to, so that a later edit of the policy changes no list under way. A measure that
does not apply is ticked off too, with the reason as its proof. Proof is words and, for a file kept elsewhere, its SHA-256.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import Field

from core.errors import Invalid
from respond.policies import Part

LONGEST_PROOF: Final = 4000
Checklist = list[dict[str, Any]]
"""As stored: `id`, `ko`, `en`, `outcome` ('' open, done, not_applicable), `proof`, `sha256`, `by`, `at` (ISO 8601, UTC).

`earlier` holds what stood in these five before the measure was ticked off anew, oldest first.
"""
_TOLD: Final = ("outcome", "proof", "sha256", "by", "at")


class Measure(Part):
    """One thing to be done, in both languages."""

    id: str = Field(pattern=r"^[a-z0-9_]{1,60}$")
    ko: str = Field(min_length=1)
    en: str = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of the measure `measure`, and what shows it."""

    measure: str
    text: str
    applies: bool = True
    sha256: str = ""


def copied(measures: Iterable[Measure]) -> Checklist:
    """A list nothing of which is done."""
    return [one.model_dump() | dict.fromkeys(_TOLD, "") | {"earlier": []} for one in measures]


def ticked(listed: Sequence[dict[str, Any]], proof: Proof, by: str, at: datetime) -> Checklist:
    """The list with one measure ticked off, or ticked off anew. Invalid when it has no such measure, or nothing shows it."""
    text = proof.text.strip()
    if not text:
        raise Invalid("a measure is ticked off with proof: what was done, where it can be seen, or why it does not apply")
    if len(text) > LONGEST_PROOF:
        raise Invalid(f"a proof has at most {LONGEST_PROOF} characters")
    if all(one["id"] != proof.measure for one in listed):
        raise Invalid(f"there is no measure {proof.measure!r} here: there are {', '.join(one['id'] for one in listed) or 'none'}")
    outcome = "done" if proof.applies else "not_applicable"
    news = {"outcome": outcome, "proof": text, "sha256": proof.sha256, "by": by, "at": at.isoformat()}
    return [{**one, **news, "earlier": _earlier(one)} if one["id"] == proof.measure else one for one in listed]


def _earlier(one: dict[str, Any]) -> Checklist:
    told = {name: one[name] for name in _TOLD}
    return [*one["earlier"], told] if one["outcome"] else one["earlier"]


def left(listed: Iterable[dict[str, Any]]) -> list[str]:
    """The ids of measures not ticked off yet."""
    return [one["id"] for one in listed if not one["outcome"]]


def unique(measures: Sequence[Measure]) -> Sequence[Measure]:
    """`measures`; ValueError when two have the same id."""
    ids = [one.id for one in measures]
    if len(set(ids)) != len(ids):
        raise ValueError("two measures of one list have the same id")
    return measures
