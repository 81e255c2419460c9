"""One's own account: password, second factor, sessions. Identity alone opens it, and nobody else's account is reached here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import segno
from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from api.auth import lockout, passwords, second_factor, user_sessions
from api.auth.dependencies import Caller, TheCentre
from api.auth.sessions import Rules
from api.auth.tables import LoginSession, User
from api.auth.user_sessions import Sessions
from api.auth.users import end_sessions, set_password
from api.centre import Centre
from core.config import Settings
from core.crypto import verify_password
from core.errors import Conflict, Forbidden, Invalid
from core.permissions import Principal
from core.sealing import Sealer, load_sealer
from respond import audit

router = APIRouter(prefix="/v1/account", tags=["identity"])


def person(caller: Caller) -> Principal:
    """The caller, who is a person with a session; Forbidden for a machine."""
    if not caller.session:
        raise Forbidden("a key has no account: this is for people")
    return caller


Person = Annotated[Principal, Depends(person)]


class Account(BaseModel):
    """One's own account."""

    name: str
    roles: list[str]
    agency: str
    has_password: bool = Field(description="False for who comes by the city's log-in alone")
    password_changed_at: datetime
    password_length: int = Field(description="What a new password has at least")
    second_factor_since: datetime | None
    second_factor_required: bool = Field(description="One of the roles must have it")
    recovery_codes_left: int
    due: str


class NewPassword(BaseModel):
    """A new password, and the present one."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"present": "correct horse battery", "new": "seven quiet herons at dawn"}]}
    )

    present: SecretStr = Field(max_length=1024)
    new: SecretStr = Field(max_length=1024)


class Proof(BaseModel):
    """The present password, that it is really you; empty for who has none."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"password": "correct horse battery"}]})

    password: SecretStr = Field(default=SecretStr(""), max_length=1024)


class CodeProof(Proof):
    """The present password, and a code of the second factor or a recovery code."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"password": "correct horse battery", "code": "492039"}]})

    code: SecretStr = Field(min_length=1, max_length=64)


class Confirmation(BaseModel):
    """The first code of the app."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"code": "492039"}]})

    code: SecretStr = Field(min_length=1, max_length=64)


class Enrolment(BaseModel):
    """What the app is given, shown this once. `qr` is an SVG picture of `uri`."""

    secret: str
    uri: str
    qr: str


class RecoveryCodes(BaseModel):
    """Codes that stand in once each for the second factor, shown this once."""

    codes: list[str]


class EndedSessions(BaseModel):
    """How many sessions were ended."""

    ended: int


@router.get("", summary="Read one's own account")
def read_account(caller: Person, centre: TheCentre) -> Account:
    """How one logs in, and what is due."""
    identity = centre.settings.api.identity
    with centre.database.session(readonly=True) as session:
        user = session.get_one(User, caller.id)
        left = second_factor.codes_left(session, user)
    return Account(
        name=user.name,
        roles=user.roles.split(","),
        agency=user.agency,
        has_password=bool(user.password_hash),
        password_changed_at=user.password_changed_at,
        password_length=identity.password_length,
        second_factor_since=user.totp_confirmed_at,
        second_factor_required=bool(set(identity.second_factor_roles) & set(caller.roles)),
        recovery_codes_left=left,
        due=caller.due,
    )


@router.post("/password", status_code=204, summary="Change one's own password")
def change_password(wish: NewPassword, caller: Person, centre: TheCentre) -> None:
    """Needs the present one, and ends one's other sessions. The new one is long and no common one (SP 800-63B-4)."""
    new = wish.new.get_secret_value()
    _prove(centre, caller, wish.present)
    with centre.database.session() as session:
        user = session.get_one(User, caller.id, with_for_update=True)
        if not user.password_hash:
            raise Conflict("this account has no password: it comes by the city's log-in")
        if verify_password(user.password_hash, new):
            raise Invalid("the new password is the present one")
        passwords.check(new, user.name, centre.settings.api.identity.password_length)
        set_password(session, user, new, keep=caller.session)
        user.version += 1
        audit.record(session, caller.actor, "password.changed", f"user/{user.name}", {})


@router.post("/second-factor", status_code=201, summary="Begin to set up a second factor")
def begin_second_factor(proof: Proof, caller: Person, centre: TheCentre) -> Enrolment:
    """Give the app its secret. It counts once POST /v1/account/second-factor/confirm was sent a code of it."""
    _prove(centre, caller, proof.password)
    with centre.database.session() as session:
        user = session.get_one(User, caller.id, with_for_update=True)
        made = second_factor.begin(user, _sealer(centre.settings))
    picture = segno.make(made.uri, error="m").svg_inline(scale=4, border=4, light="#fff", dark="#000", omitsize=True)
    return Enrolment(secret=made.secret, uri=made.uri, qr=picture)


@router.post("/second-factor/confirm", summary="Confirm the second factor")
def confirm_second_factor(given: Confirmation, caller: Person, centre: TheCentre) -> RecoveryCodes:
    """Let it count from now on, for this session, too; the other sessions end. Gives the recovery codes, this once."""
    proof = lockout.of_proof(caller.id)
    with centre.database.session() as session:
        lockout.count_attempt(session, (proof,))
    with centre.database.session() as session:
        user = session.get_one(User, caller.id, with_for_update=True)
        codes = second_factor.confirm(session, user, given.code.get_secret_value(), _sealer(centre.settings))
        if codes is None:
            raise Invalid("this code is wrong: see that the clock of the phone is right, and take the next one")
        lockout.forget(session, proof)
        end_sessions(session, user, keep=caller.session)
        session.get_one(LoginSession, caller.session).second_factor = True
    return RecoveryCodes(codes=list(codes))


@router.post("/second-factor/remove", status_code=204, summary="Remove one's second factor")
def remove_second_factor(proof: CodeProof, caller: Person, centre: TheCentre) -> None:
    """Needs the password and a code. Conflict where one's role must have it."""
    if set(centre.settings.api.identity.second_factor_roles) & set(caller.roles):
        raise Conflict("your role must have a second factor")
    _prove(centre, caller, proof.password, proof.code)
    with centre.database.session() as session:
        second_factor.remove(session, session.get_one(User, caller.id, with_for_update=True), caller.actor)


@router.post("/recovery-codes", status_code=201, summary="Make new recovery codes")
def renew_recovery_codes(proof: CodeProof, caller: Person, centre: TheCentre) -> RecoveryCodes:
    """Ten new ones in place of those before. Needs the password and a code."""
    _prove(centre, caller, proof.password, proof.code)
    with centre.database.session() as session:
        user = session.get_one(User, caller.id, with_for_update=True)
        return RecoveryCodes(codes=list(second_factor.new_recovery_codes(session, user)))


@router.get("/sessions", summary="List one's own sessions")
def list_sessions(caller: Person, centre: TheCentre) -> Sessions:
    """Those that hold now, the last used first."""
    with centre.database.session(readonly=True) as session:
        return Sessions(items=user_sessions.listed(session, caller.id, Rules.of(centre.settings.api), current=caller.session))


@router.delete("/sessions/{session_id}", status_code=204, summary="End one of one's own sessions")
def end_session(session_id: Annotated[str, Path(max_length=64)], caller: Person, centre: TheCentre) -> None:
    """At once, on that device."""
    with centre.database.session() as session:
        user_sessions.end(session, session.get_one(User, caller.id), session_id, actor=caller.actor)


@router.post("/sessions/end-others", summary="End all of one's other sessions")
def end_other_sessions(caller: Person, centre: TheCentre) -> EndedSessions:
    """Every session but this one."""
    with centre.database.session() as session:
        ended = end_sessions(session, session.get_one(User, caller.id), keep=caller.session)
        audit.record(session, caller.actor, "sessions.ended", f"user/{caller.name}", {"ended": ended})
    return EndedSessions(ended=ended)


def _prove(centre: Centre, caller: Principal, password: SecretStr, code: SecretStr | None = None) -> None:
    """See that the caller knows the present password, if there is one, and with `code` has the second factor; wrong ones make one wait."""
    proof = lockout.of_proof(caller.id)
    with centre.database.session() as session:
        lockout.count_attempt(session, (proof,))
    with centre.database.session() as session:
        user = session.get_one(User, caller.id, with_for_update=True)
        if user.password_hash and not verify_password(user.password_hash, password.get_secret_value()[: passwords.LONGEST_PASSWORD]):
            raise Forbidden("the present password is wrong")
        if code is not None:
            if user.totp_confirmed_at is None:
                raise Conflict("there is no second factor")
            if not second_factor.takes(session, user, code.get_secret_value(), _sealer(centre.settings)):
                raise Forbidden("this code is wrong, or was used before")
        lockout.forget(session, proof)


def _sealer(settings: Settings) -> Sealer:
    return load_sealer(settings.secrets_key)
