"""The titles incidents bear: those of some hundred rules and what people write, however many the incidents are.

They are read off the index of titles, one jump to the next greater for each, so that words of a title are looked for in as many texts as
there are titles, and the incidents are found by the index.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from respond.models import Incident

MOST: Final = 2000
_Next = aliased(Incident)


def with_words(session: Session, text: str) -> sa.ColumnElement[bool]:
    """That an incident's title has `text` in it, in letters of either case."""
    has_it = Incident.title.icontains(text, autoescape=True)
    titles = sa.select(sa.func.min(Incident.title).label("title")).cte("titles", recursive=True)
    greater = sa.select(sa.func.min(_Next.title)).where(_Next.title > titles.c.title).scalar_subquery()
    titles = titles.union_all(sa.select(greater).where(titles.c.title.is_not(None)))
    known = session.scalars(sa.select(titles.c.title).limit(MOST + 1)).all()
    if len(known) > MOST:
        return has_it
    wanted = text.lower()
    return Incident.title.in_([title for title in known if title is not None and wanted in title.lower()])
