"""Settings of people's identity (docs/identity.md), part of `core.config`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from core.permissions import Role

SHORTEST_PASSWORD: Final = 15
"""SP 800-63B-4, 3.1.1.2: of a password that may be the only factor, which each of ours may become when a second factor is reset."""


class OidcSettings(BaseModel):
    """The city's own log-in by OpenID Connect."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(pattern=r"^https?://[^\s?#]+$", description="The provider's address, as its discovery document names it")
    client_id: str = Field(min_length=1, description="What the provider calls this centre")
    client_secret: SecretStr = Field(default=SecretStr(""), description="Its secret; give it in the environment; empty: a public client")
    redirect_url: str = Field(
        default="",
        pattern=r"^(https?://.+/login/oidc/callback)?$",
        description="Where the provider sends people back to, as registered there: `https://<centre>/login/oidc/callback`; "
        "empty: made of the address the browser asked for",
    )
    ca_file: Path | None = Field(default=None, description="Who signs the provider's certificate (PEM); empty: the system's list")
    label_ko: str = Field(default="시 통합 로그인", description="What stands on its button, in Korean")
    label_en: str = Field(default="City log-in", description="What stands on its button, in English")
    scopes: tuple[str, ...] = Field(default=("openid", "profile"), description="What is asked for; `openid` always is")
    name_claim: str = Field(default="preferred_username", description="The claim that becomes the user name")
    roles_claim: str = Field(default="groups", description="The claim that holds a person's groups or roles: a text or a list of texts")
    roles: dict[str, tuple[Role, ...]] = Field(
        default={}, description="Which roles a value of that claim gives, such as `{soc-analysts: [analyst]}`; who has none stays out"
    )
    agency_claim: str = Field(default="", description="The claim that names a person's agency; empty: nobody has one")
    agencies: dict[str, str] = Field(default={}, description="Which agency of the settings a value of that claim is")
    second_factor_amr: tuple[str, ...] = Field(
        default=("mfa", "otp", "hwk", "sc"),
        description="Words of the claim `amr` (RFC 8176) that say the provider asked for a second factor, so that ours is not asked for",
    )
    password_users: tuple[str, ...] = Field(
        default=(), description="The only accounts that log in by password besides (break-glass); empty: every account that has one"
    )


class IdentitySettings(BaseModel):
    """Passwords, second factors, sessions (docs/identity.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    password_length: int = Field(
        default=SHORTEST_PASSWORD, ge=SHORTEST_PASSWORD, le=128, description="Characters a new password has at least"
    )
    second_factor_roles: tuple[Role, ...] = Field(
        default=(), description="Roles that must have a second factor: until they have, they reach their account and nothing else"
    )
    idle_minutes: int = Field(
        default=60, ge=5, le=10_080, description="A session that is not used for so long ends; an open page that refreshes itself uses it"
    )
    secrets_key: Path | None = Field(
        default=None,
        description="The key that seals the secrets of second factors, made when missing, the same for every process of the API; "
        "empty: `keys/secrets.key` in the data folder",
    )
    oidc: OidcSettings | None = Field(default=None, description="The city's own log-in; empty: accounts of this centre only")

    @model_validator(mode="after")
    def _oidc_complete(self) -> IdentitySettings:
        if self.oidc is not None and not self.oidc.roles:
            raise ValueError("oidc.roles says which groups get which roles: without it nobody could log in")
        return self
