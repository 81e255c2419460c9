"""An alert of a linked centre as a row of DETECTIONS, the same whenever it is made.

Its rule is `centre/<name>`, with the centre's own rule behind it where it names one; its title and lines are the centre's. So alerts of one
rule, agency and entity are one incident, as any findings are.
"""

from __future__ import annotations

import json
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from core.events import DETECTIONS, Kind
from respond.cases.canonical import canonical, sha256
from respond.centres.models import CentreAlert

KIND: Final = "centre"
ENTITIES: Final = ("src_ip", "src_port", "dst_ip", "dst_port", "user", "device", "domain", "url", "file_name", "file_hash")
"""What an alert may name: columns of an event."""

_BLANK: Final[dict[str, Any]] = {
    column.name: None if column.nullable else "" if column.kind.is_text else 0
    for column in DETECTIONS.columns
    if column.kind is not Kind.TIME
}


def row_of(alert: CentreAlert, centre_name: str, epoch: str) -> dict[str, object]:
    """The row of an alert that has a position; columns of DETECTIONS."""
    content = alert.content or {}
    rule = "/".join(part for part in (KIND, centre_name, content["rule"]) if part)
    details = {"centre": alert.centre, "alert": alert.external_id, "rule": content["rule"]}
    evidence = "\n".join(content["evidence"])
    return {
        **_BLANK,
        "device": centre_name,
        **{name: _value(name, value) for name, value in content["entities"].items()},
        "raw_epoch": epoch,
        "raw_partition": 0,
        "raw_offset": alert.position,
        "raw_line": 0,
        "event_time": datetime.fromisoformat(content["at"]),
        "received_at": alert.received_at,
        "detected_at": alert.received_at,
        "agency": alert.agency,
        "source": centre_name,
        "transport": "http",
        "raw": evidence or canonical(content),
        "detection_id": f"{rule}:{alert.external_id}",
        "rule_id": rule,
        "rule_title": content["title"],
        "rule_level": content["level"],
        "rule_hash": sha256(rule)[:16],
        "rule_tags": ",".join(content["tags"]),
        "kind": KIND,
        "origin": "stream",
        "details": json.dumps(details, ensure_ascii=False),
    }


def _value(name: str, value: Any) -> Any:
    """A value as its column holds it: addresses as 16 bytes."""
    if DETECTIONS.column(name).kind is not Kind.IP:
        return value
    address = ip_address(value)
    return (address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")).packed
