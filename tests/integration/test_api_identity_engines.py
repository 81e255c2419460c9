"""Identity keeps its promises on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.auth import keys, lockout, sessions, users
from api.auth.keys import KeyWish
from api.auth.sessions import Attempt, Opened, Rules
from core.clock import FixedClock
from core.database import Database
from core.errors import TooMany, Unauthenticated
from respond import audit

PASSWORD = "a-long-password-for-tests"
DAY = timedelta(days=1)
RULES = Rules(lifetime=DAY)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 5, 1, 3, 0, tzinfo=UTC))


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock) -> Iterator[Database]:
    """An empty database of each engine."""
    own_file = f"sqlite:///{tmp_path}/identity.db"
    url = own_file if request.param == "sqlite" else request.getfixturevalue("postgres_server").new_database()
    made = Database(url, clock)
    made.migrate()
    made.start()
    yield made
    made.close()


def test_from_login_to_logout(database: Database, clock: FixedClock) -> None:
    with database.session() as session:
        users.ensure_user(session, "Kim", PASSWORD, ["agency_officer", "analyst"], "seogu")
    with pytest.raises(Unauthenticated):
        sessions.log_in(database, Attempt("kim", "wrong password\0", "192.0.2.7", "\0"), RULES)
    opened = sessions.log_in(database, Attempt("KIM", PASSWORD, "192.0.2.7", "agent\0"), RULES)
    assert isinstance(opened, Opened)
    found = sessions.by_token(database, opened.token, RULES)
    assert found is not None
    assert (found.name, found.agency, found.roles) == ("kim", "seogu", ("agency_officer", "analyst"))
    assert sessions.still_valid(database, found, RULES) == found
    sessions.log_out(database, found)
    assert sessions.by_token(database, opened.token, RULES) is None
    clock.advance(60 * DAY)
    sessions.log_in(database, Attempt("kim", PASSWORD, "192.0.2.7", ""), RULES)
    with database.session(readonly=True) as session:
        assert audit.verify(session).problem == ""
        assert [user.name for user in users.list_users(session)] == ["kim"]


def test_keys_live_and_end(database: Database, clock: FixedClock) -> None:
    with database.session() as session:
        made = [keys.create_key(session, KeyWish(f"key {n}", ["logs:write"], "seogu", "fw-1", DAY), actor="system:test") for n in range(3)]
    row, text = made[0]
    found = keys.by_text(database, text)
    assert found is not None
    assert (found.agency, found.source, set(found.grants)) == ("seogu", "fw-1", {"logs:write"})
    with database.session(readonly=True) as session:
        first = keys.list_keys(session, limit=2)
        rest = keys.list_keys(session, after=(first[-1].created_at, first[-1].id), limit=2)
        assert {one.id for one in (*first, *rest)} == {one.id for one, _ in made}
        assert keys.list_keys(session, frozenset({"parks"})) == []
        assert {one.last_used_at for one in (*first, *rest) if one.id == row.id} == {clock.now()}
    with database.session() as session:
        keys.revoke_key(session, row.id, actor="system:test")
    assert keys.by_text(database, text) is None
    assert keys.by_text(database, made[1][1]) is not None
    clock.advance(DAY)
    assert keys.by_text(database, made[1][1]) is None


async def test_attempts_at_the_same_time_do_not_pass_the_limit(database: Database) -> None:
    def attempt(n: int) -> bool:
        try:
            with database.session() as session:
                lockout.count_attempt(session, (lockout.of_name("nobody"), lockout.of_address(f"192.0.2.{n % 2}")))
        except TooMany:
            return False
        return True

    assert sum(await asyncio.gather(*(asyncio.to_thread(attempt, n) for n in range(16)))) == 5
