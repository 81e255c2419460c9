"""The people an incident or a task can be given to, as something to choose from."""

from __future__ import annotations

from collections.abc import Mapping

from api.dashboard.visitor import Visitor


async def people(visitor: Visitor) -> Mapping[str, str]:
    """How each is called in a list, by name: with the agency, and the visitor marked. Raises Refused."""
    found = (await visitor.api.get("/v1/assignees")).body["items"]
    return {one["name"]: _called(visitor, one["name"], one["agency"]) for one in found}


async def or_nobody(visitor: Visitor) -> Mapping[str, str]:
    """As `people`, with '' for nobody. Raises Refused."""
    return {"": visitor.t("Nobody"), **await people(visitor)}


def _called(visitor: Visitor, name: str, agency: str) -> str:
    told = f"{name} · {visitor.agency_name(agency)}" if agency else name
    return f"{told} ({visitor.t('Me')})" if name == visitor.principal.name else told
