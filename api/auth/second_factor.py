"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for when it is lost.

- A secret counts once a code of it was shown (`confirm`). It is sealed at rest, bound to its user, and is told at enrolment alone.
- Codes are 6 digits of 30 seconds (SHA-1, what every app knows); the one before and the one after are taken, too, so a clock may be half a
  minute off. A code is taken once: the time step of the last one is kept, and none of it or before it is taken again (RFC 6238, 5.2).
- Ten recovery codes of 80 random bits stand in once each. Only their hashes are stored, so they are shown once.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyotp
import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.auth.tables import RecoveryCode, User
from core.crypto import derive, same
from core.database import now
from core.errors import Conflict, Invalid
from core.sealing import Sealer
from respond import audit

ISSUER: Final = "Bongsu"
STEP_SECONDS: Final = 30
DRIFT_STEPS: Final = 1
RECOVERY_CODES: Final = 10


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an app is given: the secret (base32), and the same as a URI for its QR code."""

    secret: str
    uri: str


def begin(user: User, sealer: Sealer) -> Enrolment:
    """Give the user a new secret, which counts from `confirm` on. Conflict when there is a second factor already."""
    if user.totp_confirmed_at is not None:
        raise Conflict("there is a second factor already: remove it first")
    secret = pyotp.random_base32()
    user.totp_secret = sealer.seal(_place(user), secret)
    return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=user.name, issuer_name=ISSUER))


def confirm(session: Session, user: User, code: str, sealer: Sealer) -> Sequence[str] | None:
    """Let the secret count, and give the recovery codes; None when `code` is not of it. Conflict when there is nothing to confirm."""
    if user.totp_confirmed_at is not None or user.totp_secret is None:
        raise Conflict("nothing is to be confirmed: begin anew")
    if not _takes_code(session, user, code, sealer):
        return None
    user.totp_confirmed_at = now(session)
    user.version += 1
    audit.record(session, f"user:{user.name}", "second_factor.enrolled", f"user/{user.name}", {})
    return new_recovery_codes(session, user)


def takes(session: Session, user: User, code: str, sealer: Sealer) -> str:
    """Take `code`, at most once: 'code' or 'recovery' for what it was, '' when it was none."""
    if user.totp_confirmed_at is None:
        return ""
    if _takes_code(session, user, code, sealer):
        return "code"
    return "recovery" if _takes_recovery(session, user, code) else ""


def remove(session: Session, user: User, actor: str) -> None:
    """Take the second factor and its recovery codes away."""
    enrolled = user.totp_confirmed_at is not None
    user.totp_secret, user.totp_confirmed_at = None, None
    session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    if enrolled:
        user.version += 1
        action = "second_factor.removed" if actor == f"user:{user.name}" else "second_factor.reset"
        audit.record(session, actor, action, f"user/{user.name}", {})


def new_recovery_codes(session: Session, user: User) -> Sequence[str]:
    """Ten new codes in place of those before, to be shown now and never again."""
    session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    codes = [base64.b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES)]
    session.add_all(RecoveryCode(user_id=user.id, code_hash=_hashed(user, code), used_at=None) for code in codes)
    audit.record(session, f"user:{user.name}", "recovery_codes.made", f"user/{user.name}", {})
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]


def codes_left(session: Session, user: User) -> int:
    """How many recovery codes were not used."""
    unused = sa.select(sa.func.count()).where(RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None))
    return session.scalar(unused) or 0


def _takes_code(session: Session, user: User, code: str, sealer: Sealer) -> bool:
    secret = sealer.open(_place(user), user.totp_secret or "")
    typed = "".join(code.split())
    if secret is None:
        raise Invalid("the second factor cannot be read with this installation's key for secrets: an administrator must reset it")
    if not (typed.isascii() and typed.isdigit()):
        return False
    totp, step = pyotp.TOTP(secret), int(now(session).timestamp()) // STEP_SECONDS
    shown = [one for one in range(step - DRIFT_STEPS, step + DRIFT_STEPS + 1) if same(totp.generate_otp(one), typed)]
    if not shown:
        return False
    used = sa.update(User).where(User.id == user.id, User.totp_last_step < shown[0]).values(totp_last_step=shown[0])
    return session.execute(used.returning(User.id)).one_or_none() is not None


def _takes_recovery(session: Session, user: User, code: str) -> bool:
    typed = "".join(sign for sign in code.lower() if sign.isalnum())
    unused = (RecoveryCode.user_id == user.id, RecoveryCode.code_hash == _hashed(user, typed), RecoveryCode.used_at.is_(None))
    used = sa.update(RecoveryCode).where(*unused).values(used_at=now(session))
    return session.execute(used.returning(RecoveryCode.user_id)).one_or_none() is not None


def _place(user: User) -> str:
    return f"totp {user.id}"


def _hashed(user: User, code: str) -> str:
    return derive(code, f"recovery {user.id}")
