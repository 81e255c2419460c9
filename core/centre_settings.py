"""Settings of linked centres (docs/linked-centres.md): how long a link may be silent."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class CentreSettings(BaseModel):
    """Security control centres of agencies that are linked to this one (docs/linked-centres.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    heartbeat_seconds: int = Field(default=60, ge=10, le=3600, description="How often a linked centre is asked to call [ours]")
    late_seconds: int = Field(default=180, ge=20, le=86_400, description="Silent so long, its link is late [ours]")
    down_seconds: int = Field(default=600, ge=30, le=604_800, description="Silent so long, its link is down, which is news [ours]")

    @model_validator(mode="after")
    def _in_order(self) -> CentreSettings:
        if not self.heartbeat_seconds < self.late_seconds < self.down_seconds:
            raise ValueError("heartbeat_seconds, late_seconds and down_seconds grow in this order")
        return self
