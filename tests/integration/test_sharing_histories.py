"""Random histories of shares and their receipts: the tables hold, and what recipients can fetch is what the states say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from core.clock import FixedClock
from core.database import Database
from core.errors import Conflict, Invalid
from core.sharing_settings import SharingSettings
from core.signing import Signer
from respond.cases import clocks, records
from respond.cases.machine import Machine
from respond.cases.models import CaseColumns
from respond.sharing import receipts, service, signed
from respond.sharing.content import Content
from respond.sharing.machine import RECEIPT, SHARE
from respond.sharing.models import Published, Receipt, Share
from respond.sharing.policy import load
from respond.sharing.receipts import Done
from respond.sharing.service import Draft, Terms
from tests.case_tables import TABLES

START = datetime(2026, 5, 1, tzinfo=UTC)
TERMS = Terms(
    load(SharingSettings()),
    Signer(Ed25519PrivateKey.generate()),
    "Centre",
    {"seogu": ("서구청", ""), "parks": ("공원", "")},
    [],
    lambda _: [],
)
CONTENTS = [
    Content.model_validate({"title": "t", "indicators": [{"type": "domain", "value": f"{name}.example"} for name in names]})
    for names in ("a", "ab", "bc", "c")
]
SHARE_STEPS, RECEIPT_STEPS = sorted(TABLES["shares"]), sorted(TABLES["share-receipts"])
MOVES = st.lists(
    st.tuples(
        st.sampled_from([*SHARE_STEPS, *[f"receipt {one}" for one in RECEIPT_STEPS], "next", "next", "release", "chase"]),
        st.integers(0, len(CONTENTS) - 1),
        st.sampled_from([0, 1, 90, 5000]),
        st.sampled_from([0, 0, 0, 1]),
    ),
    max_size=16,
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, FixedClock]]:
    clock = FixedClock(START)
    made = Database(f"sqlite:///{tmp_path_factory.mktemp('sharing')}/cases.db", clock)
    made.migrate()
    made.start()
    yield made, clock
    made.close()


def draft(session: Session, what: int, supersedes: str = "") -> str:
    wanted = Draft("indicator", "amber", CONTENTS[what], supersedes=supersedes)
    return service.draft(session, None, "user:lee", wanted, TERMS).number


def attempt(database: Database, state: dict[str, Any], action: str, what: int, wrong: int) -> None:
    """Try one thing; `state` holds the newest share of the chain and the draft that follows it."""
    with database.session() as session:
        if action == "chase":
            receipts.chase(session, TERMS.policy)
        elif action == "next":
            state["next"] = draft(session, what, state["share"])
        elif action.startswith("receipt "):
            row = session.scalars(sa.select(Receipt).where(Receipt.agency == "parks").order_by(Receipt.id.desc()).limit(1)).one_or_none()
            if row is None or row.share != state["share"]:
                return
            word, version = action.removeprefix("receipt "), row.version + wrong
            if word == "recall":
                service.recall(session, "user:lead", row.number, version, TERMS, "because")
            else:
                receipts.take(session, None, "user:kim", row.number, word, version, reason="r", done=[*Done, None][what])
        else:
            case = records.find(session, SHARE, Share, None, state["share"])
            version = case.version + wrong
            if action == "edit":
                wanted = Draft("indicator", "amber", CONTENTS[what], supersedes=case.supersedes)
                service.edit(session, None, "user:lee", case.number, version, wanted, TERMS)
            else:
                by = state["next"] if action == "supersede" else ""
                service.take(session, None, "user:lead", case.number, action, version, TERMS, reason="r", by=by)
                state["share"] = by or state["share"]


def check_history(session: Session, path: str, case: CaseColumns, machine: Machine) -> None:
    sources = {action: set(words.split()) for action, (words, _, _) in TABLES[path].items()}
    targets = {action: to for action, (_, to, _) in TABLES[path].items()}
    events = [one for one in records.history(session, machine, case.number) if one.action != "chase"]
    assert [one.version for one in events] == list(range(1, case.version + 1))
    assert events[-1].after == case.state
    for before, event in pairwise(events):
        assert event.before == before.after
        assert event.before in sources[event.action]
        assert event.after == (targets[event.action] or event.before)
    for clock in clocks.of_case(session, records.named(machine, case.number)):
        assert clock.basis == "target"
        assert clock.due_at is None or clock.due_at >= clock.started_at
        assert clock.stopped_at is None or clock.stopped_at >= clock.started_at
        assert (clock.stopped_at is None) == (case.state in ("sent", "collected", "received"))


def check_published(session: Session, share: Share) -> None:
    """For every recipient: one newest version of each object, times that rise, signatures that hold, and the state told."""
    rows = session.scalars(sa.select(Published).where(Published.root == share.root).order_by(Published.id)).all()
    assert [one.added_at for one in rows] == sorted({one.added_at for one in rows})
    recalled = {one.agency for one in session.scalars(sa.select(Receipt).where(Receipt.share == share.number, Receipt.state == "recalled"))}
    for recipient in {one.recipient for one in rows}:
        versions: dict[str, list[Published]] = {}
        for row in rows:
            if row.recipient == recipient:
                versions.setdefault(row.object_id, []).append(row)
                assert signed.is_signed(json.loads(row.content), TERMS.signer)
        for told in versions.values():
            assert [one.newest for one in told] == [False] * (len(told) - 1) + [True]
            assert [one.oldest for one in told] == [True] + [False] * (len(told) - 1)
            assert [one.version for one in told] == sorted({one.version for one in told})
            assert len({json.loads(one.content)["created"] for one in told}) == 1
        said = {
            json.loads(one[-1].content).get("name")
            for one in versions.values()
            if one[-1].object_type == "indicator" and not one[-1].revoked
        }
        live = share.state == "released" and recipient not in recalled
        assert said == ({one["value"] for one in share.content["indicators"]} if live else set())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tried=MOVES)
def test_any_history_of_a_share(database: tuple[Database, FixedClock], tried: list[tuple[str, int, int, int]]) -> None:
    made, clock = database
    with made.session() as session:
        state = {"share": draft(session, 0), "next": ""}
    root = state["share"]
    for action, what, minutes, wrong in tried:
        clock.advance(timedelta(minutes=minutes))
        try:
            attempt(made, state, action, what, wrong)
        except Conflict:
            pass
        except Invalid:
            assert action in ("release", "supersede", "next", "receipt reply", "edit")
        with made.session(readonly=True) as session:
            share = records.find(session, SHARE, Share, None, state["share"])
            check_published(session, share)
    with made.session(readonly=True) as session:
        for share in session.scalars(sa.select(Share).where(Share.root == root)).all():
            check_history(session, "shares", share, SHARE)
            for receipt in receipts.of_share(session, None, share.number):
                check_history(session, "share-receipts", receipt, RECEIPT)
                assert receipt.state == "recalled" or share.state == "released"
