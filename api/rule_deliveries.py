"""What each agency's sources deliver, on which it depends which rules can fire there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from api.centre import Centre
from core.permissions import Agencies
from core.storage import rule_queries
from detect import coverage
from detect.needs import Delivered


async def delivered(centre: Centre, since: datetime, until: datetime, scope: Agencies) -> dict[str, Sequence[Delivered]]:
    """What each agency within scope delivers; those that are configured and deliver nothing are named too."""
    known = {one.id for one in centre.settings.agencies}
    found: dict[str, list[Delivered]] = {agency: [] for agency in (known if scope is None else known & scope)}
    for one in await rule_queries.deliveries(centre.store, since, until, scope):
        filled = coverage.ALWAYS.union(one.filled)
        found.setdefault(one.agency, []).append(Delivered(one.log_class, one.vendor, one.product, filled))
    return dict(found)
