"""News of restricted incidents, and of the cases about them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from respond.cases.models import Outgoing
from respond.incidents.linked import closed_names

_News = aliased(Outgoing)


def closed_news(reader: str) -> sa.ColumnElement[bool]:
    """That news is not for the actor `reader`; '' is nobody, for what leaves the centre."""
    return Outgoing.object.in_(closed_names(reader))


def of_closed(outbox_id: sa.SQLColumnExpression[int], reader: str) -> sa.ColumnElement[bool]:
    """That what came of the news `outbox_id` is not for `reader`."""
    return sa.exists().where(_News.id == outbox_id, _News.object.in_(closed_names(reader)))
