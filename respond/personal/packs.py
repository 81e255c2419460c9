"""Rule packs: what the law asks when personal information was divulged, as data, by the date of awareness.

The code holds the machines, packs hold the numbers: thresholds, hours, posting days, who is reported to. A pack is one YAML file; each
rule of it carries its article and whether it stands in the texts at hand ([law]) or comes from public sources ([found]).

- A pack applies to what was learned from its `applies_from` (a date in Seoul) until that of the next.
- A pack that contradicts itself is refused when it is loaded, by file and place; nothing starts with half a pack.
- A city's own folder may add packs, or take the place of one of ours by its id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.clock import KST
from core.errors import FileError, Invalid

OWN: Final = Path(__file__).parent / "packs"


class Track(StrEnum):
    """What is to be done in parallel once a leak is verified, or possible. The words are stored and stand in paths."""

    CONTAINMENT = "containment"
    NOTICE = "notice"
    POSTING = "posting"
    REPORT = "report"
    POSSIBLE_NOTICE = "possible_notice"


class Recipient(StrEnum):
    """Who is reported to: the Protection Commission, the Internet & Security Agency, the Minister of the Interior and Safety."""

    PIPC = "pipc"
    KISA = "kisa"
    INTERIOR_MINISTER = "interior_minister"


Item = Literal["items", "circumstances", "subject_measures", "countermeasures", "contact"]
ITEMS: Final[tuple[Item, ...]] = ("items", "circumstances", "subject_measures", "countermeasures", "contact")
"""The five matters of PIO 7(1), in its order; those of the decree (Act 34(1), named by DEC 40(2)) are the same."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Both(_Part):
    """A text in Korean and English."""

    ko: str = Field(min_length=1, max_length=2000)
    en: str = Field(min_length=1, max_length=2000)


class Source(Both):
    """Where a rule stands. `marking`: law (in the texts at hand), found (a public source), ours (our own decision)."""

    article: str = Field(min_length=1, max_length=200)
    marking: Literal["law", "found", "ours"]


class When(_Part):
    """What makes a rule apply: any one of them. Without any it always applies."""

    subjects_at_least: int | None = Field(default=None, ge=1)
    sensitive: Literal[True] | None = None
    unique_identifiers: Literal[True] | None = None
    outside_access: Literal[True] | None = None


class InLieu(_Part):
    """What may take the place of notices with good reason: posting for `days`, or `newspapers` national dailies (0: not offered)."""

    days: int = Field(ge=1, le=366)
    newspapers: int = Field(default=0, ge=0, le=20)
    explain_to: tuple[Recipient, ...] = ()


class Rule(_Part):
    """One duty. `hours` from awareness, None "without delay"; `days` of posting; `to_any`: one of them must be reported to."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    track: Track
    providers_only: bool = False
    when: When = When()
    hours: int | None = Field(default=None, ge=1, le=8784)
    days: int | None = Field(default=None, ge=1, le=366)
    to_any: tuple[Recipient, ...] = ()
    exemption: Both | None = None
    in_lieu: InLieu | None = None
    source: Source

    @model_validator(mode="after")
    def _whole(self) -> Rule:
        if self.track is Track.CONTAINMENT:
            raise ValueError(f"rule {self.id}: containment is always there, a pack has no rule for it")
        for name, value, track in (
            ("days", self.days, Track.POSTING),
            ("to_any", self.to_any, Track.REPORT),
        ):
            if bool(value) != (self.track is track):
                raise ValueError(f"rule {self.id}: {name} belongs to a rule of {track}, and each of these has it")
        if self.in_lieu is not None and self.track is not Track.NOTICE:
            raise ValueError(f"rule {self.id}: in_lieu belongs to a rule of notice")
        if self.exemption is not None and self.track is not Track.REPORT:
            raise ValueError(f"rule {self.id}: exemption belongs to a rule of report")
        if self.when != When() and self.track in (Track.NOTICE, Track.POSSIBLE_NOTICE):
            raise ValueError(f"rule {self.id}: whoever is concerned is told, whatever the count: `when` is for posting and report")
        return self


class Pack(_Part):
    """The rules in force from a date on. `digest` is the SHA-256 of its file (hex), so that a case tells what it was judged by."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    applies_from: date
    marking: Literal["law", "found", "ours"]
    name_ko: str = Field(min_length=1, max_length=200)
    name_en: str = Field(min_length=1, max_length=200)
    first_notice_may_lack: tuple[Item, ...] = ()
    rules: tuple[Rule, ...] = Field(min_length=1, max_length=100)
    digest: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Pack:
        ids = [rule.id for rule in self.rules]
        if len(set(ids)) != len(ids):
            raise ValueError("two rules have the same id")
        if not any(rule.track is Track.NOTICE and not rule.providers_only for rule in self.rules):
            raise ValueError("there is no rule of notice for every controller")
        return self

    def of(self, track: Track) -> tuple[Rule, ...]:
        """The rules of one track."""
        return tuple(rule for rule in self.rules if rule.track is track)


@dataclass(frozen=True, slots=True)
class PackBook:
    """Every pack, the earliest first."""

    packs: tuple[Pack, ...]

    def at(self, aware_at: datetime) -> Pack:
        """The pack for what was learned at `aware_at`, by the date in Seoul. Invalid when it was before the first pack."""
        day = aware_at.astimezone(KST).date()
        found = [pack for pack in self.packs if pack.applies_from <= day]
        if not found:
            raise Invalid(f"no rule pack reaches back to {day}: the first is {self.packs[0].id}, from {self.packs[0].applies_from}")
        return found[-1]

    def named(self, name: str) -> Pack:
        """The pack called `name`. Invalid when the city has removed it meanwhile."""
        for pack in self.packs:
            if pack.id == name:
                return pack
        raise Invalid(f"the rule pack {name} is no longer configured: put its file back")


def load(folder: Path | None = None) -> PackBook:
    """Our packs, with those of the city's `folder` over them. FileError names the file and what is wrong with it."""
    packs = _read_all(OWN)
    if folder is not None:
        if not folder.is_dir():
            raise FileError(folder, "is not a folder of rule packs")
        packs |= _read_all(folder)
    ordered = sorted(packs.values(), key=lambda pack: pack.applies_from)
    for one, next_one in pairwise(ordered):
        if one.applies_from == next_one.applies_from:
            raise FileError(folder or OWN, f"the packs {one.id} and {next_one.id} begin on the same day")
    return PackBook(tuple(ordered))


def _read_all(folder: Path) -> dict[str, Pack]:
    found: dict[str, Pack] = {}
    for file in sorted(folder.glob("*.yaml")):
        pack = _read(file)
        if pack.id in found:
            raise FileError(file, f"another file of the folder has the id {pack.id}")
        found[pack.id] = pack
    return found


def _read(file: Path) -> Pack:
    try:
        content = file.read_bytes()
        tree = yaml.safe_load(content)
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise FileError(file, f"is not YAML: {error}") from error
    if not isinstance(tree, Mapping):
        raise FileError(file, "must hold one rule pack")
    try:
        return Pack.model_validate({**tree, "digest": hashlib.sha256(content).hexdigest()})
    except ValidationError as error:
        raise FileError(file, _first(error.errors(include_url=False, include_input=False))) from None


def _first(errors: Sequence[Mapping[str, object]]) -> str:
    where = errors[0]["loc"]
    path = ".".join(str(part) for part in where) if isinstance(where, tuple) else ""
    reason = str(errors[0]["msg"]).removeprefix("Value error, ")
    return f"{path}: {reason}" if path else reason
