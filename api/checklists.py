"""What the routes of every kind of checklist share: the measure as shown, and the body that ticks one off."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from api.cases import Wish
from respond.checklists import LONGEST_PROOF, Proof


class Outcome(BaseModel):
    """What became of a measure. `outcome` is empty while it is open; `proof` then says what was done, or why it does not apply."""

    outcome: Literal["", "done", "not_applicable"]
    proof: str
    sha256: str
    by: str
    at: str


class Measure(Outcome):
    """One measure of a list. `earlier` is what was said of it before it was ticked off anew, oldest first."""

    id: str
    ko: str
    en: str
    earlier: list[Outcome]


class ProofWish(Wish):
    """A measure ticked off."""

    measure: str = Field(max_length=60, description="Its id in the list")
    proof: str = Field(
        min_length=1, max_length=LONGEST_PROOF, description="What was done and where it can be seen, or why it does not apply"
    )
    applies: bool = Field(default=True, description="False: the measure does not apply")
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$", description="Of a file that shows it, kept elsewhere")


def proof(wish: ProofWish) -> Proof:
    """The proof in a body."""
    return Proof(wish.measure, wish.proof, wish.applies, wish.sha256)
