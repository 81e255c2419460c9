"""Settings of annual duties (docs/duties.md), part of `core.config`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class DutySettings(BaseModel):
    """Annual duties of articles 15, 21 and 25, reviews of access rights and inspections of video access (docs/duties.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subjects_file: Path | None = Field(default=None, description="The city's own subjects of every kind of duty (YAML); empty: ours")
    file_mb: int = Field(default=20, ge=1, le=200, description="The largest file that is kept as evidence of a duty")
