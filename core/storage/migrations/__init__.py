"""Numbered migrations of the columnar store, applied in order at start.

A migration is a file `NNNN_name.sql` in this folder, frozen once released: it must not change when `core.events` does. What a column
table needs next is a new file; a test proves that all of them together give the tables of `core.events`. Every statement can be given
twice (IF NOT EXISTS and the like), so a start that was killed halfway, or two starts at once, are completed by the next.

Statements end with `;` at the end of a line, `--` begins a comment line, `{engine}` stands for the table engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import pyarrow as pa

from core.errors import StoreError
from core.storage.ddl import ENGINE

_LEDGER: Final = (
    "CREATE TABLE IF NOT EXISTS schema_migrations (number UInt32, name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))\n"
    f"ENGINE = {ENGINE} ORDER BY number"
)
_APPLIED: Final = "SELECT DISTINCT number, name FROM schema_migrations ORDER BY number"
_RECORD: Final = "INSERT INTO schema_migrations (number, name) SELECT {number:UInt32}, {name:String}"


@dataclass(frozen=True, slots=True)
class Migration:
    """One step. `statements` are complete, ready to run in order."""

    number: int
    name: str
    statements: tuple[str, ...]


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations, in order; their numbers are 1, 2, 3, ..."""
    found = sorted((file for file in files(__package__).iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    steps = tuple(_migration(file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in found)
    if [step.number for step in steps] != list(range(1, len(steps) + 1)):
        raise StoreError(f"the migrations are not numbered 1, 2, 3, ...: {[step.name for step in steps]}")
    return steps


def _migration(name: str, text: str) -> Migration:
    code = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    statements = (statement.strip() for statement in code.split(";\n"))
    return Migration(
        int(name.partition("_")[0]),
        name,
        tuple(s.removesuffix(";").replace("{engine}", ENGINE) for s in statements if s),
    )


def missing(applied: Sequence[tuple[int, str]]) -> tuple[Migration, ...]:
    """What is still to be applied; StoreError when the store was made by a newer program."""
    known = {step.number: step.name for step in migrations()}
    for number, name in applied:
        if number not in known:
            raise StoreError(
                f"the store's schema is at migration {name!r}, this program knows them up to {known[max(known)]!r}: "
                "start the version of bongsu that was used last, or a newer one"
            )
    done = {number for number, _ in applied}
    return tuple(step for step in migrations() if step.number not in done)


def apply(run: Callable[[str, Mapping[str, Any]], None], select: Callable[[str], pa.Table], newest: int | None = None) -> tuple[str, ...]:
    """Bring a store to the newest schema, or to that of migration `newest`; gives the names of the migrations applied. Blocking.

    `run` executes a statement with parameters, `select` gives the rows of a query.
    """
    run(_LEDGER, {})
    steps = missing([(row["number"], row["name"]) for row in select(_APPLIED).to_pylist()])
    steps = tuple(step for step in steps if newest is None or step.number <= newest)
    for step in steps:
        for statement in step.statements:
            run(statement, {})
        run(_RECORD, {"number": step.number, "name": step.name})
    return tuple(step.name for step in steps)
