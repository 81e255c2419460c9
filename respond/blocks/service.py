"""Proposing a block, approving it by another person, undoing it, and the list that firewalls pull.

The list of an agency holds what is approved for it or for the whole city and has not expired. Exercises are never on it. Its text is of
its entries alone, so that a firewall that asks again is told that nothing changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.config import Settings
from core.database import now
from core.errors import Conflict, Forbidden, Invalid
from core.permissions import Agencies
from respond import outbox
from respond.blocks import values
from respond.blocks.machine import MACHINE
from respond.blocks.models import Block
from respond.blocks.values import Network
from respond.cases import records
from respond.incidents import subject
from respond.incidents.sight import Sight

LONGEST: Final = timedelta(days=366)
SIGNED: Final = "block list"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is to be blocked where, why, and until when; see `models.Block`."""

    kind: str
    value: str
    agency: str
    about: str
    why: str
    expires_at: datetime
    exercise: bool = False


def never_blocked(settings: Settings) -> Sequence[Network]:
    """The networks no block may touch: those of the settings, and what the agencies' logs come from."""
    sources = (network for agency in settings.agencies for source in agency.sources for network in source.addresses)
    return (*settings.respond.never_block, *sources)


def propose(session: Session, scope: Agencies, actor: str, wanted: Proposal, never: Sequence[Network]) -> Block:
    """Write a proposal down. Invalid when it cannot or must not be blocked; Conflict when that is blocked or proposed already.

    One about an incident is an exercise when the incident is; NotFound when there is none.
    """
    if scope is not None and wanted.agency not in scope:
        raise Forbidden("this identity may not propose blocks there")
    _check_end(wanted.expires_at, now(session))
    exercise = subject.exercise(session, Sight(scope, actor), wanted.about, wanted.exercise)
    value = values.spelled(wanted.kind, wanted.value, never)
    same = sa.select(Block.number).where(
        Block.value == value, Block.agency == wanted.agency, Block.exercise == exercise, _open(now(session))
    )
    if known := session.scalar(same):
        raise Conflict(f"{value} is in {known} already")
    row = Block(
        agency=wanted.agency,
        exercise=exercise,
        kind=wanted.kind,
        value=value,
        about=wanted.about,
        why=wanted.why,
        expires_at=wanted.expires_at,
        approved_by="",
    )
    told = {"value": value, "about": wanted.about, "why": wanted.why, "expires_at": _text(wanted.expires_at)}
    made = records.open_case(session, MACHINE, row, actor, told)
    _tell(session, made, "propose")
    return made


def take(
    session: Session,
    scope: Agencies,
    actor: str,
    number: str,
    action: str,
    if_version: int,
    *,
    reason: str = "",
    expires_at: datetime | None = None,
) -> Block:
    """Take a step. Forbidden when somebody approves what he proposed; Invalid when a block would end before it begins."""
    step = records.begin(session, MACHINE, Block, scope, number, action, actor=actor, if_version=if_version, reason=reason)
    case = step.case
    told: dict[str, str] = {"value": case.value}
    if action == "approve":
        if actor == case.created_by:
            raise Forbidden("a second person approves a block")
        _check_end(case.expires_at, step.at)
        case.approved_by = actor
    elif action == "extend":
        if expires_at is None:
            raise Invalid("say until when: expires_at")
        _check_end(expires_at, step.at)
        told |= {"from": _text(case.expires_at), "until": _text(expires_at)}
        case.expires_at = expires_at
    done = step.done(told)
    _tell(session, done, action)
    return done


def published(session: Session, agency: str, at: datetime) -> Sequence[Block]:
    """What the firewalls of `agency` are to block at a moment, in the order of the list."""
    query = sa.select(Block).where(
        Block.state == "approved", Block.expires_at > at, Block.exercise.is_(False), Block.agency.in_(("", agency))
    )
    return session.scalars(query.order_by(Block.kind, Block.value, Block.id)).all()


def list_text(blocks: Sequence[Block]) -> str:
    """The list as firewalls read it: one address, network or domain a line, each once; comments begin with #."""
    values_once = dict.fromkeys(block.value for block in blocks)
    return "".join(f"{value}\n" for value in ("# bongsu block list", *values_once))


def _open(at: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(Block.state.in_(("proposed", "approved")), Block.expires_at > at)


def _check_end(expires_at: datetime, at: datetime) -> None:
    if not at < expires_at <= at + LONGEST:
        raise Invalid("a block ends in the future, within 366 days")


def _tell(session: Session, block: Block, action: str) -> None:
    name = records.named(MACHINE, block.number)
    outbox.tell(session, f"block.{action}", name, agency=block.agency, exercise=block.exercise, data={"title": block.value})


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
