"""The rules that people approved, which stand in the database beside the files (`core.rule_records.ApprovedRule`).

While the database does not answer, what was read last holds, so that files go on being looked at.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from core.clock import millis
from core.database import Database
from core.errors import StoreUnavailable
from core.rule_records import ApprovedRule
from detect.rules import Text

FOLDER: Final = "approved"
"""Stands before the number of a draft in place of a folder, where rules name their file."""

Fingerprint = frozenset[tuple[str, int, int]]


class Approved:
    """Reads them. Threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looked: Fingerprint | None = None
        self._texts: tuple[Text, ...] | None = None

    def fingerprint(self) -> Fingerprint:
        """What changes with them: name, time of approval (ms) and length. StoreUnavailable when they were never read."""
        rows = (ApprovedRule.draft, ApprovedRule.approved_at, sa.func.length(ApprovedRule.text))
        try:
            with self._database.session(readonly=True) as session:
                self._looked = frozenset((_name(draft), millis(at), length) for draft, at, length in session.execute(sa.select(*rows)))
        except StoreUnavailable:
            if self._looked is None:
                raise
        return self._looked

    def texts(self) -> tuple[Text, ...]:
        """Their texts, in order of approval. StoreUnavailable when they were never read."""
        newest_last = sa.select(ApprovedRule).order_by(ApprovedRule.approved_at, ApprovedRule.draft)
        try:
            with self._database.session(readonly=True) as session:
                self._texts = tuple(Text(_name(row.draft), row.text) for row in session.scalars(newest_last))
        except StoreUnavailable:
            if self._texts is None:
                raise
        return self._texts


def draft_of(file: str) -> str:
    """The number of the draft a rule came from, by the file it names; '' for a rule of a file."""
    folder, _, number = file.partition("/")
    return number if folder == FOLDER else ""


def _name(draft: str) -> str:
    return f"{FOLDER}/{draft}"
