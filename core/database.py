"""The transactional database: SQLite on one machine, PostgreSQL in a deployment, with the same promises on both.

- `Database.session()` is one transaction: committed when its block ends, rolled back when it raises. On SQLite a writer takes the
  write lock at once (BEGIN IMMEDIATE), so writers wait for one another instead of failing half-way; on PostgreSQL it is READ COMMITTED
  and code that reads before it writes takes a row lock or `exclusive`.
- `session(readonly=True)` sees one state of the data however many statements it runs, never waits for writers, and cannot write.
- A database that cannot be reached, is locked for too long or has no room raises StoreUnavailable; the same call may succeed later.
- What was committed survives a power cut: the bus's offsets move only after it.
- Times are aware and in UTC, in and out. Text may hold any character, NUL included, which PostgreSQL would refuse.

Calls block: coroutines use `asyncio.to_thread`. A `Database` may be used by many threads, a session by one.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Dialect, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import NullPool

from core.clock import Clock
from core.errors import ConfigError, StoreError, StoreUnavailable
from core.storage.contract import Health

MIGRATIONS: Final = Path(__file__).parent / "database_migrations"
_BUSY_SECONDS = 10
_MIGRATION_SECONDS = 120
_READONLY = "bongsu_readonly"
_CLOCK = "clock"
_PASSING: Final = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
_BROKEN: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NUL_MARK = "\ufdd0"  # a noncharacter: never in text that means something (Unicode 23.7)


class Base(DeclarativeBase):
    """Every mapped class of the product; constraint names are made the same way on both engines."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An instant: an aware datetime in, the same instant in UTC out, to the microsecond."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without zone cannot be stored: say which instant it is")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class AnyText(sa.types.TypeDecorator[str]):
    """Text that may hold NUL, which comes back as it was; without NUL it is stored unchanged."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the same on both engines
        return None if value is None else _hide_nul(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the same on both engines
        return None if value is None else _show_nul(value)


class Json(sa.types.TypeDecorator[Any]):
    """A JSON value (JSONB on PostgreSQL) whose strings may hold NUL. Changes inside it are not noticed: assign a new value."""

    impl = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - the same on both engines
        return _each_string(value, _hide_nul)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - the same on both engines
        return _each_string(value, _show_nul)


RowId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""The type of a surrogate key; SQLite counts up only columns of type INTEGER."""


def _hide_nul(text: str) -> str:
    if "\0" not in text and _NUL_MARK not in text:
        return text
    return text.replace(_NUL_MARK, _NUL_MARK + "1").replace("\0", _NUL_MARK + "0")


def _show_nul(text: str) -> str:
    if _NUL_MARK not in text:
        return text
    return text.replace(_NUL_MARK + "0", "\0").replace(_NUL_MARK + "1", _NUL_MARK)


def _each_string(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _each_string(inner, change) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_each_string(inner, change) for inner in value]
    return value


class Database:
    """The database at `url` (sqlite:///file or postgresql://...); `start` before use, `close` after."""

    _migrating = threading.Lock()  # Alembic keeps the running migration in module state

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = _checked(url)
        self._clock = clock
        self._engine: Engine | None = None

    @property
    def where(self) -> str:
        """The database's address, without the password and the options, which may hold one."""
        return self._url.set(query={}).render_as_string(hide_password=True)

    def start(self) -> None:
        """Open the database and see that it answers; a missing SQLite file is made. StoreUnavailable when it does not answer."""
        if self._url.get_backend_name() == "sqlite" and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = _engine(
            self._url, busy_seconds=_BUSY_SECONDS, pool_pre_ping=True, pool_size=8, max_overflow=32, pool_timeout=_BUSY_SECONDS
        )
        try:
            with self._named_failures(), engine.connect() as connection:
                connection.execute(sa.text("SELECT 1"))
        except BaseException:
            engine.dispose()
            raise
        self._engine = engine

    @contextmanager
    def session(self, *, readonly: bool = False) -> Iterator[Session]:
        """One transaction; `readonly` for a consistent view that cannot write. Objects stay readable after the block."""
        with (
            self._named_failures(),
            Session(self._running(), expire_on_commit=False, info={_CLOCK: self._clock}) as session,
            session.begin(),
        ):
            if readonly:
                session.connection(execution_options=self._readonly_options())
            yield session

    def migrate(self, revision: str = "head") -> Sequence[str]:
        """Bring the schema to `revision`; gives the revisions applied, in order. Safe at every start, from many processes at once.

        All steps are one transaction: a failed step leaves the schema as it was.
        """
        applied: list[str] = []
        engine = _engine(self._url, busy_seconds=_MIGRATION_SECONDS, foreign_keys=False, poolclass=NullPool)
        try:
            with Database._migrating, self._named_failures(), engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(_advisory_lock("migrations"))
                config = _alembic()
                config.attributes.update(connection=connection, applied=applied)
                command.upgrade(config, revision)
                _check_foreign_keys(connection)
        finally:
            engine.dispose()
        return applied

    def health(self) -> Health:
        """Whether the database answers and its schema is the one this program needs."""
        try:
            with self.session(readonly=True) as session:
                connection = session.connection()
                version = ".".join(str(part) for part in connection.dialect.server_version_info or ())
                found = MigrationContext.configure(connection).get_current_revision()
        except (StoreError, SQLAlchemyError) as error:
            return Health(str(error))
        needed = ScriptDirectory(str(MIGRATIONS)).get_current_head()
        problem = "" if found == needed else f"schema is {found or 'empty'}, this program needs {needed}: run `bongsu db migrate`"
        return Health(problem, f"{connection.dialect.name} {version}".strip(), found or "")

    def close(self) -> None:
        """Let go of all connections; a session still open elsewhere keeps its own until it ends."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _running(self) -> Engine:
        if self._engine is None:
            raise StoreError(f"the database {self.where} is not open")
        return self._engine

    def _readonly_options(self) -> dict[str, Any]:
        if self._url.get_backend_name() == "sqlite":
            return {_READONLY: True}
        return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

    @contextmanager
    def _named_failures(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, PoolTimeout) as error:
            reason = str(getattr(error, "orig", None) or error).strip()
            if _may_pass(error):
                raise StoreUnavailable(f"the database {self.where} does not answer: {reason}") from error
            if _sqlite_code(error) in _BROKEN:
                raise StoreError(f"the database {self.where} is damaged ({reason}): restore it from a backup") from error
            raise


def now(session: Session) -> datetime:
    """The current instant by the clock of the session's database."""
    clock: Clock = session.info[_CLOCK]
    return clock.now()


def exclusive(session: Session, name: str) -> None:
    """Wait until no other transaction holds the lock `name`, and hold it until this one ends. Writers on SQLite exclude each other anyway.

    Take locks in one order everywhere: `incidents`, `readiness`, `sharing`, `delegations`, `ledger`, rows, `audit`.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_advisory_lock(name))


def insert_into(session: Session, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT of the session's engine, for its `on_conflict_...`."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _advisory_lock(name: str) -> sa.Select[Any]:
    key = int.from_bytes(hashlib.sha256(f"bongsu/{name}".encode()).digest()[:8], "big", signed=True)
    return sa.select(sa.func.pg_advisory_xact_lock(key))


def _checked(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise ConfigError("database.url", "is not a URL such as postgresql://user:password@host/name") from None
    backend = url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and url.database and url.database != ":memory:":
        return url.set(drivername="sqlite+pysqlite")
    raise ConfigError("database.url", "must be postgresql://user:password@host/name or sqlite:///path/of/a/file")


def _engine(url: URL, *, busy_seconds: int, foreign_keys: bool = True, **options: Any) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": busy_seconds}, **options)
        event.listen(engine, "connect", _sqlite_setup(foreign_keys))
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    connect = {"connect_timeout": busy_seconds, "application_name": "bongsu"}
    try:
        return sa.create_engine(url, connect_args=connect, **options)
    except ModuleNotFoundError as error:
        raise ConfigError("database.url", "PostgreSQL needs the extra: pip install 'bongsu[cluster]'") from error


def _into_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL. Two that do it at once are told "locked" straight away, whatever the busy timeout: try again."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _sqlite_setup(foreign_keys: bool) -> Callable[[sqlite3.Connection, Any], None]:
    def setup(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
        _into_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA foreign_keys = {int(foreign_keys)}")

    return setup


def _sqlite_begin(connection: Connection) -> None:
    readonly = connection.get_execution_options().get(_READONLY, False)
    connection.exec_driver_sql(f"PRAGMA query_only = {int(readonly)}")
    connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _check_foreign_keys(connection: Connection) -> None:
    """A migration may rebuild SQLite tables with enforcement off; nothing may dangle after it."""
    if connection.dialect.name == "sqlite" and (dangling := connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
        raise StoreError(f"a migration left a row of {dangling[0]} that refers to nothing in {dangling[2]}; nothing was changed")


def _may_pass(error: SQLAlchemyError) -> bool:
    code = _sqlite_code(error)
    return isinstance(error, OperationalError | InterfaceError | PoolTimeout) if code is None else code in _PASSING


def _sqlite_code(error: SQLAlchemyError) -> int | None:
    """The primary result code; None when the error is not SQLite's."""
    code: int | None = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
