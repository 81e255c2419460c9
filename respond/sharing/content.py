"""What a share holds, in the words of article 22(1): means of attack and response, software, vulnerabilities, and indicators of them.

Texts are for people and are redacted; values (of indicators, of what was observed) are for machines and are kept or left out whole.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.instants import Instant
from respond.policies import Part
from respond.sharing.policy import Tlp

_Line = Annotated[str, Field(max_length=300)]
_Text = Annotated[str, Field(max_length=4000)]


class Indicator(Part):
    """Something known to be bad. `tlp` and `source` say under which level it came from whom; without a source it is our own."""

    type: Literal["address", "network", "domain", "url", "hash"]
    value: str = Field(min_length=1, max_length=2048)
    description: _Text = ""
    confidence: int | None = Field(default=None, ge=0, le=100)
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    tlp: Tlp | None = None
    source: _Line = ""

    @model_validator(mode="after")
    def _lasts(self) -> Indicator:
        if self.valid_from and self.valid_until and self.valid_until <= self.valid_from:
            raise ValueError("valid_until lies after valid_from")
        return self


class Malware(Part):
    """Software used in attacks, 22(1)2."""

    name: str = Field(min_length=1, max_length=300)
    description: _Text = ""
    family: bool = True
    types: tuple[str, ...] = Field(default=(), max_length=20)


class Vulnerability(Part):
    """A vulnerability, 22(1)3, by its CVE number or a name."""

    name: str = Field(min_length=1, max_length=300, examples=["CVE-2026-12345"])
    description: _Text = ""


class Technique(Part):
    """A means of attack, 22(1)1, by its ATT&CK id."""

    id: str = Field(pattern=r"^T\d{4}(\.\d{3})?$", examples=["T1110.001"])
    name: _Line = ""


class Measure(Part):
    """A response measure, 22(1)1."""

    name: str = Field(min_length=1, max_length=300)
    description: _Text = ""


class Observed(Part):
    """Something that was seen: an address, a domain or a URL."""

    type: Literal["address", "domain", "url"]
    value: str = Field(min_length=1, max_length=2048)


class Sighted(Part):
    """When it was seen, and how often."""

    first: Instant
    last: Instant
    count: int = Field(ge=1, le=999_999_999)

    @model_validator(mode="after")
    def _ordered(self) -> Sighted:
        if self.last < self.first:
            raise ValueError("last lies before first")
        return self


class Content(Part):
    """All a share holds."""

    title: str = Field(min_length=1, max_length=300)
    summary: str = Field(default="", max_length=8000)
    indicators: tuple[Indicator, ...] = Field(default=(), max_length=1000)
    malware: tuple[Malware, ...] = Field(default=(), max_length=100)
    vulnerabilities: tuple[Vulnerability, ...] = Field(default=(), max_length=100)
    techniques: tuple[Technique, ...] = Field(default=(), max_length=100)
    measures: tuple[Measure, ...] = Field(default=(), max_length=100)
    observed: tuple[Observed, ...] = Field(default=(), max_length=200)
    sighted: Sighted | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Content:
        if not (self.summary or any(getattr(self, name) for name in PARTS)):
            raise ValueError("a share says something beside its title")
        return self


PARTS = ("indicators", "malware", "vulnerabilities", "techniques", "measures", "observed")
"""The lists of a content."""
