"""The centre's own rules that the ordinance leaves open, as YAML: ours come with the product, the city's own file takes the place of ours.

A file is read once, when the program starts; what was opened under it keeps its `version` and its measures.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import FileError


class Part(BaseModel):
    """A part of a policy: nothing unknown in it, nothing changed once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Policy(Part):
    """A whole file. `version` is written into every case opened under it."""

    version: str = Field(min_length=1, max_length=60)


Read = TypeVar("Read", bound=Policy)


def load(file: Path, model: type[Read]) -> Read:
    """The policy in `file`. FileError names the file, the key and what is wrong with it."""
    try:
        return model.model_validate(_content(file))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "(whole file)"
        raise FileError(file, f"{key}: {first['msg'].removeprefix('Value error, ')}") from None


@cache
def _content(file: Path) -> object:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FileError(file, f"is not YAML: {error}") from error
