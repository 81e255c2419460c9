"""What this installation is made of and how it is doing, and the settings in force, for those who answer for it."""

from __future__ import annotations

import asyncio
import platform
from importlib.metadata import version
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from api.auth.dependencies import Allowed, TheCentre
from api.centre import Centre, StageState
from api.routes.health import part_states
from core.permissions import Action, Principal
from core.settings_values import values
from ingest import parser

router = APIRouter(prefix="/v1/system", tags=["operation"])

Reader = Annotated[Principal, Depends(Allowed(Action.SYSTEM_READ))]
_SYSTEM: Final[dict[str, Any]] = {
    "version": "0.1.0",
    "python": "3.11.2",
    "store": "ClickHouse 26.5.1 (embedded)",
    "database": "sqlite 3.40.1",
    "database_revision": "0021",
    "rules": 160,
    "correlations": 53,
    "rules_set_aside": 0,
    "parsers": 139,
    "own_parsers": 0,
    "parts": [{"name": "bus", "ready": True, "problem": "", "lag": None}],
    "stages": [{"name": "normalise", "ready": True, "problem": "", "lag": 0}],
}


class Working(BaseModel):
    """How a part or stage is doing. `lag` is in messages not yet handled, null for what handles none."""

    name: str
    ready: bool
    problem: str
    lag: int | None


class System(BaseModel):
    """Versions of what runs here, and how it is doing."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SYSTEM]})

    version: str
    python: str
    store: str = Field(description="Engine of the columnar store, empty while it does not answer")
    database: str = Field(description="Engine of the records, empty while it does not answer")
    database_revision: str
    rules: int
    correlations: int
    rules_set_aside: int
    parsers: int = Field(description="That came with the product")
    own_parsers: int
    parts: list[Working]
    stages: list[Working]


class Setting(BaseModel):
    """A setting in force. Secrets are masked; a list of sections is given whole, as far as it was set."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"key": "api.session_hours", "value": 8, "source": "file", "meaning": "How long a login lasts"}],
        }
    )

    key: str
    value: Any
    source: Literal["default", "file", "environment"]
    meaning: str


class SettingsInForce(BaseModel):
    """Every setting by its key."""

    items: list[Setting]


@router.get("", summary="Versions, and how the parts are doing")
async def read_system(caller: Reader, centre: TheCentre) -> System:  # noqa: ARG001 - the same for whoever may
    """Asks every part; what does not answer is told, and the rest is given."""
    parts, store = await asyncio.gather(part_states(centre), centre.store.health())
    return await asyncio.to_thread(_system, centre, parts, store.engine)


@router.get("/settings", summary="The settings in force")
def read_settings(_caller: Reader, centre: TheCentre) -> SettingsInForce:
    """Each with where it comes from. They are changed in the file or the environment of the installation, and hold after a restart."""
    found = values(centre.settings)
    return SettingsInForce(items=[Setting(key=one.key, value=one.value, source=one.source, meaning=one.meaning) for one in found])


def _system(centre: Centre, parts: list[StageState], store: str) -> System:
    health, book = centre.database.health(), centre.rules.current()
    own = centre.settings.intake.parsers_folder
    return System(
        version=version("bongsu"),
        python=platform.python_version(),
        store=store,
        database=health.engine,
        database_revision=health.revision,
        rules=len(book.rules),
        correlations=len(book.correlations),
        rules_set_aside=len(book.set_aside),
        parsers=len(parser.files(parser.FOLDER)),
        own_parsers=len(parser.files(own)) if own and own.is_dir() else 0,
        parts=[_working(one) for one in parts],
        stages=[_working(one) for one in centre.stages()],
    )


def _working(state: StageState) -> Working:
    return Working(name=state.name, ready=not state.problem, problem=state.problem, lag=state.lag)
