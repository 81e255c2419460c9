"""One rule as it stands: in force, and what is changed about it at agencies."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from core.errors import NotFound
from detect import published

RuleId = Annotated[str, Path(max_length=128, examples=["0d894093-71bc-43c3-8c4d-ecfc28dcf5d9"])]


class RuleTuning(BaseModel):
    """What is changed about a rule at an agency (empty: every agency that has nothing of its own)."""

    model_config = ConfigDict(from_attributes=True)

    rule_id: str
    agency: str
    enabled: bool
    level: str
    condition: dict[str, float] | None
    suppress: dict[str, Any] | None
    owner: str
    reason: str
    at: datetime
    version: int = Field(description="The ETag")


def state_of(session: Session, rule_id: str) -> published.State:
    """The rule as the process that loaded last has it. NotFound when it does not run."""
    found = published.in_force(session)
    state = published.rule(session, found.process.name, rule_id) if found else None
    if state is None:
        raise NotFound(f"no rule {rule_id} runs; GET /v1/rules tells which are set aside")
    return state
