"""What the queue is asked for: the query of its address, which is that of `GET /v1/incidents`, so that a view can be linked and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from api.incident_shapes import Incident
from respond.grouping import LEVELS
from respond.incidents.machine import ENDED, State
from respond.incidents.order import Order

SEVERAL: Final = ("state", "severity")
SINGLE: Final = ("agency", "assignee", "reported", "exercise", "within_hours", "since", "until", "q", "sort")
OPEN: Final = tuple(state.value for state in State if state not in ENDED)
_TRUE: Final = frozenset({"true", "1", "yes"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Names and values as they stand in the address; what the API would refuse is refused by the API."""

    given: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, query: str) -> Wanted:
        """The query of an address; empty values and names the list does not know are left out."""
        found: dict[str, tuple[str, ...]] = {}
        for name, value in parse_qsl(query.removeprefix("?")):
            if name in SEVERAL and value not in found.get(name, ()):
                found[name] = (*found.get(name, ()), value)
            elif name in SINGLE:
                found[name] = (value.strip(),)
        return cls({name: found[name] for name in (*SEVERAL, *SINGLE) if found.get(name)})

    @property
    def text(self) -> str:
        """As the query of an address, always in the same order."""
        return urlencode([(name, value) for name, values in self.given.items() for value in values])

    def one(self, name: str) -> str:
        """The value of what has one; ''."""
        return next(iter(self.given.get(name, ())), "")

    def asked(self) -> dict[str, Any]:
        """As the API is asked."""
        return {name: list(values) if name in SEVERAL else values[0] for name, values in self.given.items()}

    @property
    def order(self) -> Order:
        """What stands first."""
        return Order(self.one("sort")) if self.one("sort") in set(Order) else Order.NEWEST

    @property
    def is_told_by_rows(self) -> bool:
        """Whether an incident by itself says that it is wanted; a search or its reports, only the database knows."""
        return not ({"q", "reported"} & self.given.keys())

    def meets(self, incident: Incident, me: str, now: datetime) -> bool:
        """Whether the list would have `incident`, as far as it tells by itself; `me` is the visitor (`user:lee`)."""
        assignee = {"": incident.assignee, "me": me, "nobody": ""}.get(self.one("assignee"), self.one("assignee"))
        hours = self.one("within_hours")
        return (
            incident.state.value in self.given.get("state", (incident.state.value,))
            and incident.severity in self.given.get("severity", (incident.severity,))
            and incident.agency == (self.one("agency") or incident.agency)
            and incident.assignee == assignee
            and incident.exercise is (self.one("exercise") in _TRUE if self.one("exercise") else incident.exercise)
            and (not hours or incident.opened_at >= now - timedelta(hours=int(hours)))
            and all(self._in_time(name, incident) for name in ("since", "until"))
        )

    def _in_time(self, name: str, incident: Incident) -> bool:
        bound = self.one(name)
        if not bound:
            return True
        at = datetime.fromisoformat(bound)
        return incident.opened_at >= at if name == "since" else incident.opened_at < at

    def place(self, incident: Incident) -> tuple[Any, ...]:
        """What the list is sorted by, smaller first."""
        age = (incident.opened_at.timestamp(), incident.number)
        youngest = tuple(-ord(sign) for sign in incident.number)
        match self.order:
            case Order.OLDEST:
                return age
            case Order.LAST_EVENT:
                return (-incident.last_event_at.timestamp(), -age[0], youngest)
            case Order.SEVERITY:
                return (-LEVELS.index(incident.severity) if incident.severity in LEVELS else 0, -age[0], youngest)
        return (-age[0], youngest)
