"""News to be told, kept in the transaction they tell of: nothing is announced that did not happen, nothing that happened is forgotten.

`respond.notify` takes them from here in order, decides who is told by which channel, and marks them handled. `kind` is
`<case>.<action>` (`report.submit`); `data` is small and holds no personal data: readers follow `object` for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import now
from respond.cases.models import Outgoing


@dataclass(frozen=True, slots=True)
class News:
    """One piece of news. `agency` is whom it concerns ('' the whole city); `severity` a rule level, or ''."""

    kind: str
    object: str
    agency: str = ""
    severity: str = ""
    exercise: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)


def tell(
    session: Session,
    kind: str,
    object: str,  # noqa: A002 - the column's name
    *,
    agency: str = "",
    severity: str = "",
    exercise: bool = False,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Put one piece of news into the outbox; see `News`."""
    tell_all(session, [News(kind, object, agency, severity, exercise, data or {})])


def tell_all(session: Session, news: Sequence[News]) -> None:
    """Put news into the outbox, in their order."""
    if news:
        at = now(session)
        session.execute(sa.insert(Outgoing), [{**asdict(one), "at": at, "handled_at": None} for one in news])
