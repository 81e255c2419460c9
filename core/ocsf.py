"""An event as OCSF 1.x (Open Cybersecurity Schema Framework) tells it: class, and each column at the path `core.events` has for it.

Invariants:
- Nothing is lost and nothing invented: a column stands at its path where the event's class has that attribute; else, or without a path,
  in `unmapped` under its own name. A detection finding has what it is about (addresses, request, file, ...) in `evidences`.
- An event that lacks what its class requires (who logged in, the signature) is told as another class that asks for less.
- Times are milliseconds since 1970 in UTC (OCSF `timestamp_t`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from core.clock import millis
from core.events import EVENTS, LogClass

VERSION: Final = "1.3.0"
_OF_BASE: Final = frozenset(
    ("action", "actor", "device", "disposition", "firewall_rule", "metadata", "raw_data", "severity", "severity_id", "time")
)
_OF_NETWORK: Final = _OF_BASE | {"app_name", "connection_info", "dst_endpoint", "src_endpoint", "traffic"}
_OF_EVIDENCE: Final = frozenset(
    ("actor", "connection_info", "dst_endpoint", "file", "http_request", "http_response", "query", "src_endpoint")
)


@dataclass(frozen=True, slots=True)
class Class:
    """A class of OCSF, and the attributes of it that columns may fill."""

    uid: int
    name: str
    category: str
    attributes: frozenset[str]


BASE: Final = Class(0, "Base Event", "Uncategorized", _OF_BASE)
FINDING: Final = Class(2004, "Detection Finding", "Findings", (_OF_BASE - {"actor"}) | {"finding_info", "resources"})
AUTHENTICATION: Final = Class(
    3002, "Authentication", "Identity & Access Management", _OF_BASE | {"dst_endpoint", "http_request", "http_response", "src_endpoint"}
)
NETWORK: Final = Class(4001, "Network Activity", "Network Activity", _OF_NETWORK)
HTTP: Final = Class(4002, "HTTP Activity", "Network Activity", _OF_NETWORK | {"file", "http_request", "http_response"})
DNS: Final = Class(4003, "DNS Activity", "Network Activity", _OF_NETWORK | {"answers", "query", "rcode"})
TUNNEL: Final = Class(4014, "Tunnel Activity", "Network Activity", _OF_NETWORK)

CLASSES: Final[Mapping[str, tuple[Class, ...]]] = {
    LogClass.FIREWALL: (NETWORK,),
    LogClass.IPS: (FINDING, NETWORK),
    LogClass.WAF: (FINDING, HTTP),
    LogClass.PROXY: (HTTP,),
    LogClass.WEB: (HTTP,),
    LogClass.DNS: (DNS,),
    LogClass.VPN: (TUNNEL,),
    LogClass.AUTH: (AUTHENTICATION, BASE),
    LogClass.CONFIG: (BASE,),
    LogClass.NAC: (BASE,),
    LogClass.VIDEO: (BASE,),
    LogClass.SYSTEM: (BASE,),
}
"""The classes an event of each log class may be told as: the first whose requirements it meets."""

_REQUIRES: Final = {FINDING: ("sig_id", "sig_name"), AUTHENTICATION: ("user",)}
_METHODS: Final = {
    name: number for number, name in enumerate(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE", "PATCH"), 1)
}
_REFUSED, _PASSED = 5, 6
_DIRECTIONS: Final = {"inbound": 1, "outbound": 2, "internal": 3}
_ACTIONS: Final = {"allow": 1, "deny": 2, "alert": 99}
_DISPOSITIONS: Final = {"allow": 1, "deny": 2, "alert": 19}
_HASHES: Final = {32: 1, 40: 2, 64: 3, 128: 4}  # MD5, SHA-1, SHA-256, SHA-512 by their length in hexadecimal


def document(row: Mapping[str, Any]) -> dict[str, Any]:
    """The OCSF event of a row as `core.storage.rows` writes it."""
    kind = class_of(row)
    evidence: dict[str, Any] = {}
    made: dict[str, Any] = {
        "metadata": {"version": VERSION, "uid": row["event_id"], "profiles": ["security_control", "host"], "product": {}}
    }
    unmapped: dict[str, Any] = {}
    for column in EVENTS.columns:
        if column.name not in row or column.name == "log_class":
            continue
        head, *rest = column.ocsf.split(".")
        value = _value(column.ocsf, row[column.name])
        if kind is FINDING and head in _OF_EVIDENCE:
            _put(evidence, head, rest, value)
        elif head in kind.attributes:
            _put(made, head, rest, value)
        else:
            unmapped[column.name] = row[column.name]
    if evidence:
        made["evidences"] = [evidence]
    for part in (made, evidence):
        if "connection_info" in part:
            part["connection_info"]["direction_id"] = _DIRECTIONS.get(row.get("direction", ""), 0)
    made |= _required(kind, row, made)
    return made | ({"unmapped": unmapped} if unmapped else {})


def class_of(row: Mapping[str, Any]) -> Class:
    """The class an event is told as."""
    for kind in CLASSES.get(row.get("log_class", ""), ()):
        if any(row.get(name) for name in _REQUIRES.get(kind, ())) or kind not in _REQUIRES:
            return kind
    return BASE


def _required(kind: Class, row: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    """What OCSF asks of every event, or of this class, beside its columns."""
    activity, disposition = _activity(kind, row), row.get("disposition", "")
    found: dict[str, Any] = {
        "class_uid": kind.uid,
        "class_name": kind.name,
        "category_uid": kind.uid // 1000,
        "category_name": kind.category,
        "activity_id": activity,
        "type_uid": kind.uid * 100 + activity,
        "severity_id": made.get("severity_id", 0),
        "action_id": _ACTIONS.get(disposition, 0),
        "disposition_id": _DISPOSITIONS.get(disposition, 0),
    }
    if kind is FINDING:
        found["finding_info"] = {"uid": row["event_id"], **made.get("finding_info", {})}
    if kind is AUTHENTICATION:
        found["user"] = {"name": row["user"]}
    return found


def _activity(kind: Class, row: Mapping[str, Any]) -> int:
    """`activity_id` of the class; 0: unknown."""
    if kind is NETWORK:
        return _REFUSED if row.get("disposition") == "deny" else _PASSED
    if kind is HTTP:
        return _METHODS.get(str(row.get("http_method", "")).upper(), 0)
    if kind is DNS:
        return 2 if row.get("dns_answer") or row.get("dns_rcode") else 1
    return 1 if kind is FINDING else 0


def _value(path: str, value: Any) -> Any:
    """The value in the type OCSF has at `path`."""
    match path:
        case "time" | "metadata.logged_time":
            return millis(datetime.fromisoformat(value))
        case "answers":
            return [{"rdata": answer} for answer in value.split(",")]
        case "file.hashes":
            return [{"algorithm_id": _HASHES.get(len(value), 0), "value": value}]
        case "src_endpoint.intermediate_ips" | "dst_endpoint.intermediate_ips":
            return [value]
        case "resources.name":
            return {"name": value}
    return value


def _put(into: dict[str, Any], head: str, rest: list[str], value: Any) -> None:
    if head == "resources":
        into[head] = [value]
        return
    for name in rest:
        into = into.setdefault(head, {})
        head = name
    into[head] = value
