"""Accounts of people who come by OpenID Connect: what the provider's claims make of them, at each log-in anew.

Somebody is known again by issuer and subject, never by a name, which a provider may give to another person. A name that an account of this
centre has already is refused: whoever administers the provider must not become our administrator by calling somebody `admin`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.auth import sessions
from api.auth.sessions import Device, Opened, Rules
from api.auth.steps import HalfOpen, NotLetIn
from api.auth.tables import User
from api.auth.users import checked_name, find_user, make_user
from core import metrics
from core.database import Database
from core.errors import Invalid
from core.identity_settings import OidcSettings
from core.permissions import parse_roles
from respond import audit

ACTOR = "system:oidc"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as the provider tells of them. `roles` are words joined by commas; `second_factor` whether it asked for one."""

    subject: str
    name: str
    roles: str
    agency: str
    second_factor: bool


def person_of(settings: OidcSettings, claims: Mapping[str, Any]) -> Person:
    """What the settings make of the claims. NotLetIn when they give no role, or a name that cannot be one."""
    agency = settings.agencies.get(str(claims.get(settings.agency_claim, "")), "") if settings.agency_claim else ""
    granted = {role for value in _texts(claims.get(settings.roles_claim)) for role in settings.roles.get(value, ())}
    try:
        name = checked_name(str(claims.get(settings.name_claim, "")))
        roles = ",".join(parse_roles(granted, agency))
    except Invalid as error:
        raise NotLetIn("unknown", f"the provider's claims make nobody of this centre: {error}") from error
    amr = set(_texts(claims.get("amr")))
    return Person(f"{claims['iss']} {claims['sub']}", name, roles, agency, bool(amr & set(settings.second_factor_amr)))


def log_in(database: Database, person: Person, device: Device, rules: Rules) -> Opened | HalfOpen:
    """Make or bring up to date the person's account, and let them in. NotLetIn when it is disabled, or its name is another's."""
    try:
        with database.session() as session:
            user = _account(session, person)
            return sessions.enter(session, user, device, rules, "oidc", second=person.second_factor)
    except NotLetIn as error:
        note_failure(database, error, device)
        raise


def note_failure(database: Database, error: NotLetIn, device: Device) -> None:
    """Write down that somebody came from the provider and was not let in, and why."""
    metrics.LOGINS.labels("failed").inc()
    with database.session() as session:
        audit.record(session, "anonymous", "login.oidc_failed", "user/?", {"peer": device.peer, "why": error.code, "told": str(error)})


def _account(session: Session, person: Person) -> User:
    user = session.scalar(sa.select(User).where(User.subject == person.subject).with_for_update())
    if user is None:
        if find_user(session, person.name) is not None:
            raise NotLetIn("taken", "another account has this name: an administrator must give one of the two another name")
        return make_user(session, person.name, person.roles, person.agency, ACTOR, subject=person.subject)
    if user.disabled_at is not None:
        raise NotLetIn("disabled", "this account is disabled")
    if (user.roles, user.agency) != (person.roles, person.agency):
        user.roles, user.agency, user.version = person.roles, person.agency, user.version + 1
        told = {"roles": person.roles, "agency": person.agency, "changed": ["roles"]}
        audit.record(session, ACTOR, "user.changed", f"user/{user.name}", told)
    return user


def _texts(value: object) -> list[str]:
    """A claim that is a text or a list of texts, as a list."""
    return [value] if isinstance(value, str) else [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
