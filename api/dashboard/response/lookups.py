"""What the centre's settings call things, for showing them and for choosing among them in forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.dashboard.client import Refused
from api.dashboard.response.shown import Named
from api.dashboard.steps.bar import Subject, known_already
from api.dashboard.steps.entries import Choices
from api.dashboard.steps.names import value_name
from api.dashboard.visitor import Visitor
from respond.personal.machine import TRACKS

_LONGEST_LABEL: Final = 80
_INCIDENTS: Final = 100


async def named(visitor: Visitor, kind: str) -> Named:
    """How the values of a kind's fields are called; nothing when they cannot be read."""
    try:
        return await _NAMES[kind](visitor) if kind in _NAMES else {}
    except Refused:
        return {}


def _both(visitor: Visitor, rows: Sequence[Mapping[str, Any]], prefix: str = "") -> dict[Any, str]:
    language, other = ("en", "ko") if visitor.t.language == "en" else ("ko", "en")
    return {row["id"]: row.get(prefix + language) or row.get(prefix + other) or row["id"] for row in rows}


async def _warnings(visitor: Visitor) -> Named:
    table = (await visitor.api.get("/v1/warnings/levels")).body["table"]
    return {"level": _both(visitor, table["levels"])}


async def _readiness(visitor: Visitor) -> Named:
    policy = (await visitor.api.get("/v1/readiness/in-force")).body["policy"]
    return {"level": _both(visitor, policy["levels"]), "rule": _both(visitor, policy["escalate"])}


async def _teams(visitor: Visitor) -> Named:
    roles = (await visitor.api.get("/v1/teams/composition")).body["roles"]
    called = _both(visitor, roles)
    return {"role": called, "missing": called, "people.role": called}


async def _drills(visitor: Visitor) -> Named:
    scenarios = _both(visitor, (await visitor.api.get("/v1/drills/scenarios")).body["items"], "title_")
    return {"scenario": scenarios, "scenario_id": scenarios}


async def _shares(visitor: Visitor) -> Named:
    return {"kind": _both(visitor, (await visitor.api.get("/v1/sharing/policy")).body["kinds"])}


async def _centres(visitor: Visitor) -> Named:
    found = (await visitor.api.get("/v1/centres", limit=500)).body["items"]
    return {"centre": {one["number"]: f"{one['number']} {one['name']}" for one in found}}


_NAMES: Final = {
    "warnings": _warnings,
    "notices": _warnings,
    "readiness": _readiness,
    "teams": _teams,
    "members": _teams,
    "drills": _drills,
    "shares": _shares,
    "delegations": _centres,
}


def agencies(visitor: Visitor) -> dict[Any, str]:
    """The agencies the visitor may name."""
    own = visitor.principal.agency
    return {one.id: visitor.agency_name(one.id) for one in visitor.centre.settings.agencies if own in ("", one.id)}


async def incidents(visitor: Visitor) -> dict[Any, str]:
    """The newest incidents the visitor reads, by number."""
    try:
        found = (await visitor.api.get("/v1/incidents", limit=_INCIDENTS)).body["items"]
    except Refused:
        return {}
    return {one["number"]: _short(f"{one['number']} {visitor.title(one['title'])}") for one in found}


def common(visitor: Visitor, names: Named) -> Choices:
    """What may be chosen in the forms of every kind."""
    known = agencies(visitor)
    everyone = {one.id: visitor.agency_name(one.id) for one in visitor.centre.settings.agencies}
    found = {"agency": known, "agencies": everyone, "recipients": everyone, "people.agency": everyone, "requests.agency": everyone}
    return {**found, **{field: values for field, values in names.items() if field in _CHOSEN}}


_CHOSEN: Final = frozenset({"level", "people.role", "scenario", "kind", "centre"})


def of_record(visitor: Visitor, names: Named, record: Mapping[str, Any]) -> Named:
    """How values are called, those the record itself names among them."""
    return {**names, "subject": _both(visitor, record["subjects"])} if isinstance(record.get("subjects"), list) else names


def of_step(visitor: Visitor, names: Named, subject: Subject, action: str) -> Choices:
    """What may be chosen in the form of a step, out of what its case holds."""
    record, found = subject.record, dict(common(visitor, names))
    match subject.machine.kind, action:
        case _, "prove":
            measures = record.get("measures") or record.get("subjects") or []
            found["measure"] = _both(visitor, measures)
        case "investigation", "hand_over":
            taken = {one["item"]: one["description"] for one in record["custody"] if one["description"]}
            found["item"] = {item: _short(f"{item}. {description}") for item, description in taken.items()}
        case "duty", "request_correction":
            found["findings"] = {one["number"]: _short(f"{one['number']}. {one['finding']}") for one in record["findings"]}
        case "duty", "record_findings":
            found["findings.subject"] = _both(visitor, record["subjects"])
        case kind, _ if kind in {machine.kind for machine in TRACKS.values()}:
            found.pop("recipients")
            found["letter"] = _letters(visitor, record["letters"])
    return found


def initial(subject: Subject, action: str) -> Mapping[str, Any]:
    """What the form of a step begins with."""
    if (subject.machine.kind, action) == ("duty", "record_findings"):
        return {"result": subject.record["result"]}  # what is sent is added to the findings there are
    return known_already(subject, action)


def _letters(visitor: Visitor, letters: Sequence[Mapping[str, Any]]) -> dict[Any, str]:
    """The letters by their version; several kinds have the same."""
    found: dict[Any, str] = {}
    for one in letters:
        label = f"{value_name(visitor.t, 'letter', one['kind'])} {one['version']}"
        found[one["version"]] = f"{found[one['version']]} / {label}" if one["version"] in found else label
    return found


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"
