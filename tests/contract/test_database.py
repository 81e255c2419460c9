"""What `core.database` promises, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import importlib
import multiprocessing
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import database
from core.clock import FixedClock
from core.database import MIGRATIONS, Base, Database
from core.errors import ConfigError, StoreError, StoreUnavailable
from respond.models import Audit, DetectionPosition, Incident, IncidentEntity, IncidentEvidence

NOW = datetime(2026, 3, 4, 5, 6, 7, 891234, UTC)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """A maker of URLs of empty databases of each engine."""
    if request.param == "sqlite":
        numbers = iter(range(1000))
        return lambda: f"sqlite:///{tmp_path}/{next(numbers)}.db"
    server = request.getfixturevalue("postgres_server")
    return server.new_database  # type: ignore[no-any-return]


@pytest.fixture
def opened(new_url: Callable[[], str]) -> Iterator[Database]:
    """A migrated, started database."""
    made = Database(new_url(), FixedClock(NOW))
    made.migrate()
    made.start()
    yield made
    made.close()


def an_incident(**changes: Any) -> Incident:
    values: dict[str, Any] = {
        "number": "INC-2026-000001",
        "agency": "parks",
        "title": "Port scan",
        "severity": "high",
        "state": "new",
        "group_key": "k",
        "entity_kind": "ip",
        "entity_value": "192.0.2.1",
        "first_event_at": NOW,
        "last_event_at": NOW,
        "opened_at": NOW,
        "updated_at": NOW,
        "detections": 1,
        "evidence_kept": 0,
        "rule_ids": ["r"],
        "tags": [],
        "exercise": False,
        "version": 1,
    }
    return Incident(**(values | changes))


def test_models_and_migrations_agree(new_url: Callable[[], str]) -> None:
    for file in [
        *ROOT.glob("ingest/**/*.py"),
        *ROOT.glob("respond/**/*.py"),
        *ROOT.glob("detect/**/*.py"),
        *ROOT.glob("api/**/*.py"),
        *ROOT.glob("core/**/*.py"),
    ]:
        if re.search(r"^class \w+\((\w+, )*Base\):", file.read_text(), re.MULTILINE):
            importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    made = Database(new_url(), FixedClock(NOW))
    assert next(iter(made.migrate())) == "0001"
    made.start()
    with made.session(readonly=True) as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    made.close()


def test_every_revision_follows_with_data(new_url: Callable[[], str]) -> None:
    revisions = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]
    assert [int(revision) for revision in revisions] == list(range(1, len(revisions) + 1)), "revisions are numbered without a gap"
    made = Database(new_url(), FixedClock(NOW))
    assert list(made.migrate("0001")) == ["0001"]
    made.start()
    with made.session() as session:
        first = sa.Table("incidents", sa.MetaData(), autoload_with=session.connection())  # as it was then
        own = {column.name: getattr(an_incident(), column.name, None) for column in first.columns if column.name != "id"}
        row = session.execute(sa.insert(first).values(**own).returning(first.c.id)).scalar_one()
        session.execute(sa.insert(DetectionPosition).values(raw_epoch="e", raw_partition=3, raw_offset=1 << 60))
        session.execute(
            sa.insert(IncidentEntity).values(incident_id=row, kind="ip", role="source", value="192.0.2.1", value_hash="h", detections=1)
        )
    for revision in revisions[1:]:
        assert list(made.migrate(revision)) == [revision]
    assert list(made.migrate()) == []
    with made.session(readonly=True) as session:
        found = session.scalars(sa.select(Incident)).one()
        assert (found.number, found.rule_ids, found.first_event_at) == ("INC-2026-000001", ["r"], NOW)
        assert session.scalars(sa.select(DetectionPosition.raw_offset)).one() == 1 << 60
        assert session.scalars(sa.select(IncidentEntity.value)).one() == "192.0.2.1"
    made.close()


def _migrate_in_a_process(url: str, ready: Any, applied: Any) -> None:
    ready.wait()
    applied.put(list(Database(url, FixedClock(NOW)).migrate()))


def test_processes_starting_at_once_migrate_once(new_url: Callable[[], str]) -> None:
    url = new_url()
    context = multiprocessing.get_context("spawn")
    ready, applied = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_migrate_in_a_process, args=(url, ready, applied)) for _ in range(2)]
    for process in processes:
        process.start()
    results = sorted(applied.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    everything = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]
    assert results == [[], everything]


def test_a_failed_migration_changes_nothing(new_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "migrations with 100 % trouble"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text((MIGRATIONS / "env.py").read_text())
    (folder / "versions" / "0001_x.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\nrevision = '0001'\ndown_revision = None\n"
        "def upgrade():\n    op.create_table('half', sa.Column('id', sa.Integer))\n    op.execute('SELECT * FROM nowhere')\n"
    )
    monkeypatch.setattr(database, "MIGRATIONS", folder)
    made = Database(new_url(), FixedClock(NOW))
    with pytest.raises(sa.exc.DBAPIError, match="nowhere"):
        made.migrate()
    made.start()
    with made.session(readonly=True) as session:
        assert sa.inspect(session.connection()).get_table_names() == []
    made.close()


def test_a_block_that_raises_leaves_nothing(opened: Database) -> None:
    with pytest.raises(ZeroDivisionError), opened.session() as session:  # noqa: PT012 - the error must leave the session
        session.add(an_incident())
        session.flush()
        raise ZeroDivisionError
    with opened.session(readonly=True) as session:
        assert session.scalars(sa.select(Incident)).all() == []


def test_a_reader_cannot_write(opened: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError, match=r"(?i)read.?only"), opened.session(readonly=True) as session:
        session.add(an_incident())
    with opened.session() as session:  # the same pooled connection writes again
        session.add(an_incident())
    with opened.session(readonly=True) as session:
        assert session.scalars(sa.select(Incident.number)).all() == ["INC-2026-000001"]


def test_a_reader_sees_one_state_and_does_not_wait(opened: Database) -> None:
    with opened.session(readonly=True) as reader:
        assert reader.scalar(sa.select(sa.func.count()).select_from(Incident)) == 0
        with opened.session() as writer:
            writer.add(an_incident())
        assert reader.scalar(sa.select(sa.func.count()).select_from(Incident)) == 0
    with opened.session(readonly=True) as reader:
        assert reader.scalar(sa.select(sa.func.count()).select_from(Incident)) == 1


def test_foreign_keys_hold(opened: Database) -> None:
    row = {"incident_id": 99, "kind": "ip", "role": "source", "value": "v", "value_hash": "h", "detections": 1}
    with pytest.raises(sa.exc.IntegrityError), opened.session() as session:
        session.execute(sa.insert(IncidentEntity), [row])


def test_the_exclusive_lock_makes_reading_before_writing_safe(opened: Database) -> None:
    with opened.session() as session:
        session.add(DetectionPosition(raw_epoch="e", raw_partition=0, raw_offset=0))

    def count_up() -> None:
        for _ in range(25):
            with opened.session() as session:
                database.exclusive(session, "test")
                value = session.scalar(sa.select(DetectionPosition.raw_offset))
                assert value is not None
                session.execute(sa.update(DetectionPosition).values(raw_offset=value + 1))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with opened.session(readonly=True) as session:
        assert session.scalar(sa.select(DetectionPosition.raw_offset)) == 100


def test_a_time_without_zone_is_refused(opened: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="without zone"), opened.session() as session:
        session.add(an_incident(opened_at=datetime(2026, 1, 1)))  # noqa: DTZ001 - that is the point


instants = st.datetimes(
    datetime(1900, 1, 2),  # noqa: DTZ001 - hypothesis wants its bounds naive
    datetime(2299, 12, 30),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=9)), timezone(timedelta(hours=-11))]),
)
texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\0\ufdd0\ufdd001\\%"))
jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=instants, text=texts, value=st.dictionaries(texts, jsons, max_size=4))
def test_values_come_back_as_they_were(opened: Database, at: datetime, text: str, value: dict[str, Any]) -> None:
    with opened.session() as session:
        session.execute(sa.delete(IncidentEvidence))
        session.execute(sa.delete(Incident))
        incident = an_incident(opened_at=at)
        session.add(incident)
        session.flush()
        common = {"incident_id": incident.id, "event_id": "e", "event_time": at, "received_at": at, "detected_at": at}
        rule = {"rule_id": "r", "rule_title": text, "rule_level": "low", "rule_hash": "h"}
        session.add(IncidentEvidence(detection_id="d", raw=text, fields=value, **common, **rule))
    with opened.session(readonly=True) as session:
        found = session.scalars(sa.select(IncidentEvidence)).one()
        assert found.raw == text
        assert session.scalar(sa.select(sa.func.count()).where(IncidentEvidence.raw == text)) == 1
        assert found.fields == value
        assert found.event_time == at
        assert found.event_time.tzinfo is UTC


def test_instants_sort_as_they_happened(opened: Database) -> None:
    eastern = timezone(timedelta(hours=9))
    times = [
        datetime(2026, 1, 1, 8, 59, 59, 999_999, eastern),
        datetime(2026, 1, 1, 0, 0, tzinfo=UTC),
        datetime(2026, 1, 1, 9, 0, 0, 1, eastern),
    ]
    with opened.session() as session:
        session.add_all(an_incident(number=f"n{place}", opened_at=at) for place, at in enumerate(times))
    with opened.session(readonly=True) as session:
        assert session.scalars(sa.select(Incident.number).order_by(Incident.opened_at.desc())).all() == ["n2", "n1", "n0"]
        assert session.scalars(sa.select(Incident.number).where(Incident.opened_at < times[1])).all() == ["n0"]


def test_the_clock_is_the_databases(opened: Database) -> None:
    with opened.session() as session:
        assert database.now(session) == NOW


def test_health_names_what_is_wrong(new_url: Callable[[], str]) -> None:
    made = Database(new_url(), FixedClock(NOW))
    assert "is not open" in made.health().problem
    made.start()
    assert "schema is empty" in made.health().problem
    made.migrate()
    healthy = made.health()
    assert healthy.problem == ""
    assert re.fullmatch(r"(sqlite|postgresql) [\d.]+", healthy.engine)
    made.close()


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://host/name", "sqlite://", "sqlite:///:memory:"])
def test_a_wrong_url_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match=r"database\.url"):
        Database(url, FixedClock(NOW))


def test_the_password_is_never_shown() -> None:
    made = Database("postgresql://bongsu:s3cret@127.0.0.1:1/x?sslpassword=s3cret", FixedClock(NOW))
    assert "s3cret" not in made.where
    with pytest.raises(StoreUnavailable) as caught:
        made.start()
    assert "s3cret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    file.write_bytes(b"this is not a database, it is a text of some length" * 40)
    with pytest.raises(StoreError, match="not a database"):
        Database(f"sqlite:///{file}", FixedClock(NOW)).start()


def test_a_locked_file_is_unavailable_then_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0)
    made = Database(f"sqlite:///{tmp_path}/x.db", FixedClock(NOW))
    made.migrate()
    made.start()
    with made.session() as holder:
        holder.add(an_incident())
        holder.flush()
        with pytest.raises(StoreUnavailable, match="locked"), made.session() as second:
            second.add(an_incident(number="INC-2026-000002"))
    with made.session() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Incident)) == 1
    made.close()


def test_a_server_that_went_away_is_unavailable_then_works(request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres_server")
    made = Database(server.new_database(), FixedClock(NOW))
    made.migrate()
    made.start()
    server.stop()
    try:
        with pytest.raises(StoreUnavailable), made.session() as session:
            session.scalars(sa.select(Audit)).all()
        assert "does not answer" in made.health().problem
    finally:
        server.start()
    with made.session() as session:
        assert session.scalars(sa.select(Audit)).all() == []
    made.close()


def test_a_session_cut_in_the_middle_is_unavailable(request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres_server")
    made = Database(server.new_database(), FixedClock(NOW))
    made.migrate()
    made.start()
    with pytest.raises(StoreUnavailable), made.session() as session:  # noqa: PT012 - the server must go in the middle
        session.add(an_incident())
        session.flush()
        server.stop()
        server.start()
        session.add(an_incident(number="INC-2026-000002"))
    with made.session(readonly=True) as session:
        assert session.scalars(sa.select(Incident)).all() == []
    made.close()
