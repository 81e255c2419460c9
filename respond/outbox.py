"""News to be told, kept in the transaction they tell of: nothing is announced that did not happen, nothing that happened is forgotten.

`respond.notify` takes them from here in order, decides who is told by which channel, and marks them handled. `kind` is
`<case>.<action>` (`report.submit`); `data` is small and holds no personal data: readers follow `object` for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from core.database import now
from respond.cases.models import Outgoing


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
    """Put one piece of news into the outbox. `agency` is whom it concerns ('' the whole city); `severity` a rule level, or ''."""
    session.add(
        Outgoing(
            at=now(session),
            kind=kind,
            object=object,
            agency=agency,
            severity=severity,
            exercise=exercise,
            data=dict(data or {}),
            handled_at=None,
        )
    )
