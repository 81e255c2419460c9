"""What an incident is about and what is about it: entities with ways on, other incidents of the same attacker, cases, clocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any, Final
from urllib.parse import urlencode

from api.dashboard.elements import severity_html, state_html, time_html
from api.dashboard.response.kinds import KINDS, link_of
from api.dashboard.steps.names import state_html as case_state_html
from api.dashboard.texts import number, utc
from api.dashboard.visitor import Visitor
from core.permissions import Action

FIRST_ENTITIES: Final = 12
FIRST_RELATED: Final = 8
_AROUND: Final = timedelta(hours=1)
_FIELDS: Final = {
    ("ip", "source"): "src_ip",
    ("ip", "target"): "dst_ip",
    ("user", "named"): "user",
    ("domain", "requested"): "domain",
    ("domain", "queried"): "dns_query",
    ("url", "requested"): "url",
    ("device", "reporter"): "device",
}
_KNOWN_KINDS: Final = frozenset({"ip", "domain", "url"})
_ABOUT_INCIDENTS: Final = ("reports", "personal", "teams", "requests", "blocks", "shares", "investigations")
_MOST: Final = 100
_ORDER: Final = {one.machine.kind: place for place, one in enumerate(KINDS)}


def hunt_link(incident: Mapping[str, Any], field: str, value: str) -> str:
    """The search for all events of a value, from an hour before the incident's first event to an hour after its last."""
    quoted = value if value.replace(".", "").replace("-", "").replace(":", "").isalnum() and ":" not in value else _quoted(value)
    first, last = (datetime.fromisoformat(incident[name]) for name in ("first_event_at", "last_event_at"))
    return "/hunt?" + urlencode({"q": f"{field}:{quoted}", "since": utc(first - _AROUND), "until": utc(last + _AROUND)})


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def entities_html(visitor: Visitor, incident: Mapping[str, Any], entities: Sequence[Mapping[str, Any]]) -> str:
    """A row for each entity, with where to go on from it."""
    return "".join(_entity_html(visitor, incident, one) for one in entities)


def _entity_html(visitor: Visitor, incident: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    t, value = visitor.t, str(one["value"])
    kind = f"{t.word('entity', one['kind'])} · {t.word('role', one['role'])}"
    ways = []
    field = _FIELDS.get((one["kind"], one["role"]))
    if field and visitor.principal.may(Action.LOGS_READ):
        ways.append((hunt_link(incident, field, value), t("Events")))
    ways.append(("/incidents?" + urlencode({"q": value}), t("Incidents")))
    links = "".join(
        f'<a href="{escape(href, quote=True)}" aria-label="{escape(f"{name}: {value}", quote=True)}">{escape(name)}</a>'
        for href, name in ways
    )
    if one["kind"] in _KNOWN_KINDS and visitor.principal.may(Action.INDICATORS_READ):
        label, said = escape(t("What threat lists know of {value}", value=value), quote=True), escape(t("Threat lists"))
        links += f'<button type="button" class="link" data-known="{escape(value, quote=True)}" aria-label="{label}">{said}</button>'
    return (
        f'<tr><td><div class="mono">{escape(value)}</div><div class="soft">{escape(kind)}</div><div class="ways">{links}</div></td>'
        f'<td class="right num">{number(one["detections"])}</td></tr>'
    )


def known_html(visitor: Visitor, known: Sequence[Mapping[str, Any]]) -> str:
    """What indicators say of a value."""
    t = visitor.t
    if not known:
        return f"<p>{escape(t('No list in this centre knows it.'))}</p>"
    columns = (t("Value"), t("List"), t("TLP"), t("Confidence"), t("Valid until"))
    heads = "".join(f'<th scope="col">{escape(one)}</th>' for one in columns)
    rows = "".join(
        f'<tr><td class="mono">{escape(str(one.get("value", "")))}</td><td>{escape(str(one.get("feed", "")))}</td>'
        f'<td>{escape(str(one.get("tlp", "")))}</td><td class="num">{escape(str(one.get("confidence", "")))}</td>'
        f"<td>{time_html(one.get('valid_until'))}</td></tr>"
        for one in known
    )
    return f'<div class="scroll"><table class="list"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


async def linked(visitor: Visitor, name: str) -> list[dict[str, Any]]:
    """The newest cases about the incident called `name`, of every kind the visitor reads, by kind."""
    found: list[dict[str, Any]] = (await visitor.api.get(f"/v1/incidents/{name}/cases", limit=_MOST)).body["items"]
    return sorted(found, key=lambda one: _ORDER[one["kind"]])


def linked_html(visitor: Visitor, cases: Sequence[Mapping[str, Any]]) -> str:
    """Cases with their states."""
    t = visitor.t
    return "".join(
        f'<li><a href="{link_of(one["number"])}">{escape(t.word("kind", KINDS[_ORDER[one["kind"]]].name))} {escape(one["number"])}</a>'
        f"{case_state_html(t, one['kind'], one['state'])}</li>"
        for one in cases
    )


def makings(visitor: Visitor, name: str) -> list[tuple[str, str]]:
    """What the visitor may make about the incident: where, and its kind's name."""
    offered = [one for one in KINDS if one.name in _ABOUT_INCIDENTS and one.creation(visitor.principal)]
    return [(f"/response/{one.name}/new?incident={name}", visitor.t.word("kind", one.name)) for one in offered]


def related_html(visitor: Visitor, related: Mapping[str, Any], now: datetime) -> str:
    """Other incidents of the same attacker, the newest at hand and the rest folded, and how many there are elsewhere."""
    t = visitor.t
    rows = [_related_html(visitor, one, now) for one in related["items"]]
    found = "".join(rows[:FIRST_RELATED])
    if rest := rows[FIRST_RELATED:]:
        said = t.n("{count} earlier incident", "{count} earlier incidents", len(rest))
        found += f'<li><details><summary>{escape(said)}</summary><ul class="around">{"".join(rest)}</ul></details></li>'
    if related["elsewhere"]:
        said = t.n("{count} more at other agencies", "{count} more at other agencies", related["elsewhere"])
        found += f'<li class="soft">{escape(said)}</li>'
    return found


def _related_html(visitor: Visitor, one: Mapping[str, Any], now: datetime) -> str:
    return (
        f"<li>{severity_html(visitor, one['severity'])} "
        f'<a href="/incidents/{escape(one["number"], quote=True)}">{escape(visitor.title(one["title"]))}</a>'
        f'<div class="soft">{escape(one["number"])} · {escape(visitor.agency_name(one["agency"]))} · '
        f"{time_html(one['last_event_at'], now)} "
        f"{state_html(visitor, 'state', one['state'])}</div></li>"
    )
