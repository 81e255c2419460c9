"""The settings of drills (docs/drills.md). A section of `core.config`, in a module of its own for its length."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class DrillSettings(BaseModel):
    """Drills: training against cyber-attacks (docs/drills.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scenarios_folder: Path | None = Field(
        default=None,
        description="Your own scenarios (YAML), loaded beside ours; one of the same id takes the place of ours; empty: none",
    )
    target_host: str = Field(default="127.0.0.1", description="Where the lines of a drill are sent by TCP: a listener of this centre")
    target_port: int = Field(
        default=0, ge=0, le=65535, description="Its port; 0: that of the first listener of kind tcp in `intake.listeners`"
    )
    target_ca: Path | None = Field(
        default=None, description="Connect with TLS, the listener's certificate being signed by this one (PEM); empty: plain TCP"
    )
    resume_minutes: float = Field(
        default=10, gt=0, le=240, description="A drill whose sending was interrupted for longer is not taken up again [ours]"
    )
