"""Settings of sharing threat information (docs/sharing.md): who we are to others, the policy in force, and the peers we read from."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,40}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PeerSettings(_Section):
    """Another party's TAXII 2.1 server whose indicators are taken into the library."""

    name: _Name = Field(description="Its name; its indicators are the feed `peer-<name>`")
    root: str = Field(pattern=r"^https?://[^/]+/.*$", description="URL of its API root, such as https://peer.example/taxii2/root/")
    collections: tuple[str, ...] = Field(min_length=1, max_length=50, description="Ids of the collections to read")
    user: str = Field(default="", description="User of HTTP Basic; empty: the secret is sent as a Bearer token")
    secret: SecretStr = Field(default=SecretStr(""), description="The key or password it gave us; empty: no identity is sent")
    ca_file: Path | None = Field(default=None, description="Who signs its certificate (PEM); empty: the system's list")
    minutes: int = Field(default=15, ge=1, le=7 * 24 * 60, description="How often it is asked")
    max_mb: int = Field(default=64, ge=1, le=1024, description="The most that is taken in one turn; the rest follows in the next")
    tlp: Literal["clear", "green", "amber", "amber+strict", "red"] = Field(
        default="amber", description="Of indicators it did not mark; what came is shared on only where its marking allows"
    )
    confidence: int = Field(default=50, ge=0, le=100, description="Of indicators that tell none")
    expire_days: int = Field(default=90, ge=0, le=3650, description="Of indicators without an end of their own; 0: none")

    @field_validator("root")
    @classmethod
    def _protected(cls, root: str) -> str:
        parts = urlsplit(root)
        if parts.scheme != "https" and not _is_here(parts.hostname or ""):
            raise ValueError("a peer is reached over https; plain http only on this machine itself")
        return root if root.endswith("/") else f"{root}/"


class SharingSettings(_Section):
    """Sharing threat information, article 22 (docs/sharing.md)."""

    policy_file: Path | None = Field(default=None, description="The city's own kinds, TLP mapping and redaction (YAML); empty: ours")
    centre_name: str = Field(
        default="Security Control Center",
        min_length=1,
        max_length=200,
        description="The centre's name in what it shares, its STIX identity",
    )
    contact: str = Field(default="", max_length=200, description="Whom recipients ask, in the TAXII discovery")
    peers: tuple[PeerSettings, ...] = Field(default=(), description="TAXII servers whose indicators are taken in")

    @model_validator(mode="after")
    def _distinct(self) -> SharingSettings:
        if len({peer.name for peer in self.peers}) != len(self.peers):
            raise ValueError("two peers have the same name")
        return self


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
