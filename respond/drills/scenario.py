"""Scenarios of drills as YAML: which lines come from which source of which party when, and what must be found by when.

Article 21(5) leaves scope and substance of training to "the relevant rules": these files are them [ours]. A scenario has one part or
several. With one part every agency of a drill gets the same lines; with several, each part is played at one agency. A wrong file is
refused whole, with its line.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core import line_templates
from core.config import Zone
from core.errors import FileError, Invalid

OWN: Final = Path(__file__).parent / "scenarios"
MOST_LINES: Final = 50_000
LONGEST_SECONDS: Final = 12 * 3600

_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
_Text = Annotated[str, Field(min_length=1, max_length=2000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """A device that writes the lines. The zone is that of times without an offset (IANA name)."""

    name: _Name
    product: _Text
    timezone: Zone = "Asia/Seoul"


class Lines(_Part):
    """A line that comes `at` seconds after the start, `repeat` times, `every` so many seconds. Blanks: `core.line_templates`."""

    source: _Name
    at: float = Field(ge=0, le=LONGEST_SECONDS)
    repeat: int = Field(default=1, ge=1, le=MOST_LINES)
    every: float = Field(default=1.0, ge=0, le=3600)
    line: str = Field(min_length=1, max_length=16_000)

    @model_validator(mode="after")
    def _sendable(self) -> Lines:
        if "\n" in self.line:
            raise ValueError("a line has no line end in it")
        if wrong := line_templates.unknown(self.line):
            raise ValueError(f"{{{wrong[0]}}} is none of the blanks {', '.join(sorted(line_templates.WORDS))}")
        return self

    @property
    def last(self) -> float:
        """When its last repetition comes, seconds after the start."""
        return self.at + (self.repeat - 1) * self.every


class Expectation(_Part):
    """What must be found: an incident of one of `rules` (ids), or with one of `tags`, opened `within` seconds of the party's first line."""

    name: _Name
    ko: _Text
    en: _Text
    rules: tuple[str, ...] = Field(default=(), max_length=50)
    tags: tuple[Annotated[str, Field(pattern=r"^attack\.")], ...] = Field(default=(), max_length=50)
    within: float = Field(gt=0, le=2 * LONGEST_SECONDS)

    @model_validator(mode="after")
    def _something(self) -> Expectation:
        if not self.rules and not self.tags:
            raise ValueError(f"{self.name}: say which rules or tags find it")
        return self


class Role(_Part):
    """One part of the scenario, played at an agency."""

    name: _Name
    ko: _Text
    en: _Text
    sources: tuple[Source, ...] = Field(min_length=1, max_length=20)
    lines: tuple[Lines, ...] = Field(min_length=1, max_length=1000)
    expect: tuple[Expectation, ...] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _fits(self) -> Role:
        names = [one.name for one in self.sources]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: two sources have the same name")
        if unknown := sorted({one.source for one in self.lines} - set(names)):
            raise ValueError(f"{self.name}: there is no source {unknown[0]!r}: there are {', '.join(names)}")
        if len({one.name for one in self.expect}) != len(self.expect):
            raise ValueError(f"{self.name}: two expectations have the same name")
        return self

    @property
    def count(self) -> int:
        """How many lines it has."""
        return sum(one.repeat for one in self.lines)


class Scenario(_Part):
    """A whole file."""

    id: _Name
    version: _Text
    title_ko: _Text
    title_en: _Text
    about_ko: _Text
    about_en: _Text
    roles: tuple[Role, ...] = Field(min_length=1, max_length=20)

    @model_validator(mode="after")
    def _bearable(self) -> Scenario:
        if len({one.name for one in self.roles}) != len(self.roles):
            raise ValueError("two roles have the same name")
        if sum(one.count for one in self.roles) > MOST_LINES:
            raise ValueError(f"a scenario has at most {MOST_LINES} lines")
        if self.seconds > LONGEST_SECONDS:
            raise ValueError(f"a scenario lasts at most {LONGEST_SECONDS // 3600} hours")
        return self

    @property
    def seconds(self) -> float:
        """From the start to the last line."""
        return max(one.last for role in self.roles for one in role.lines)

    def role_of(self, place: int) -> Role:
        """The part that the agency at `place` plays."""
        return self.roles[place % len(self.roles)]

    def check_agencies(self, agencies: int) -> None:
        """Invalid when it cannot be played at so many agencies."""
        if len(self.roles) > 1 and agencies != len(self.roles):
            raise Invalid(f"the scenario {self.id} has {len(self.roles)} parts, each for one agency: name {len(self.roles)} agencies")


def load(file: Path) -> Scenario:
    """The scenario in `file`. FileError says in which line what is wrong."""
    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return Scenario.model_validate(yaml.safe_load(text))
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FileError(file, "is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise FileError(f"{file}:{line}", f"is not YAML: {error.problem}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "(whole file)"
        reason = first["msg"].removeprefix("Value error, ")
        raise FileError(f"{file}:{_line(node, first['loc'])}", f"{key}: {reason}") from None


def library(folder: Path | None = None) -> dict[str, Scenario]:
    """Our own scenarios and those of the city's folder, by id; one of the same id takes the place of ours. FileError as `load`."""
    files = [*sorted(OWN.glob("*.yaml")), *(sorted(folder.glob("*.yaml")) if folder else ())]
    if folder and not folder.is_dir():
        raise FileError(folder, "is no folder of scenarios")
    return {one.id: one for one in map(_kept, files)}


def _kept(file: Path) -> Scenario:
    """As `load`, read again only when the file was written since."""
    try:
        found = file.stat()
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error
    return _as_of(file, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=256)
def _as_of(file: Path, _written_at: int, _size: int) -> Scenario:
    return load(file)


def _line(node: yaml.Node | None, path: Sequence[str | int]) -> int:
    """The line, from 1, where `path` stands, or what is nearest above it."""
    for part in path:
        found = _inside(node, part)
        if found is None:
            break
        node = found
    return node.start_mark.line + 1 if node is not None else 1


def _inside(node: yaml.Node | None, part: str | int) -> yaml.Node | None:
    children: Any = node.value if node is not None else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in children if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(children):
        return children[part]  # type: ignore[no-any-return]
    return None
