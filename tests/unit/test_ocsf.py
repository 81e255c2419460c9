"""Events as OCSF: every column at the path of the table, or under its own name, and what OCSF requires of each class."""

from __future__ import annotations

from typing import Any

import pytest

from core import ocsf
from core.events import EVENTS, POSITION, Kind, LogClass
from core.storage.rows import to_jsonable
from tests.event_rows import table

AT = "2026-05-01T03:00:00.250Z"
AT_MS = 1_777_604_400_250
SPECIAL = {
    "event_time": AT_MS,
    "received_at": AT_MS,
    "dns_answer": [{"rdata": "192.0.2.8"}, {"rdata": "192.0.2.9"}],
    "file_hash": [{"algorithm_id": 1, "value": "d41d8cd98f00b204e9800998ecf8427e"}],
    "src_nat_ip": ["192.0.2.1"],
    "dst_nat_ip": ["192.0.2.1"],
}
"""Columns whose type in OCSF is another."""
REQUIRED = {
    "Base Event": {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"},
    "Detection Finding": {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid", "finding_info"},
    "Authentication": {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid", "user"},
}
"""What OCSF 1.3 requires of a class; the others require what the base event does."""


def full(log_class: str) -> dict[str, Any]:
    """An event with every column set."""
    row: dict[str, Any] = {}
    for column in EVENTS.columns:
        match column.kind:
            case Kind.IP:
                row[column.name] = "192.0.2.1"
            case Kind.TIME:
                row[column.name] = AT_MS
            case kind if kind.is_text:
                row[column.name] = f"a {column.name}"
            case _:
                row[column.name] = 3
    own = {"log_class": log_class, "dns_answer": "192.0.2.8,192.0.2.9", "file_hash": "d41d8cd98f00b204e9800998ecf8427e"}
    return to_jsonable(table([row | own | {"direction": "outbound", "disposition": "deny", "http_method": "get"}]))[0]


def at(document: Any, path: str) -> Any:
    for name in path.split("."):
        document = document[0] if isinstance(document, list) else document
        if not isinstance(document, dict) or name not in document:
            return None
        document = document[name]
    return document


@pytest.mark.parametrize("log_class", [*LogClass, "unheard of"])
def test_every_column_stands_at_its_path_or_under_its_own_name(log_class: str) -> None:
    row = full(log_class)
    made = ocsf.document(row)
    evidence = (made.get("evidences") or [{}])[0]
    for column in EVENTS.columns:
        if column in POSITION or column.name == "log_class":
            continue
        wanted = SPECIAL.get(column.name, row[column.name])
        places = [at(made, column.ocsf), at(evidence, column.ocsf)] if column.ocsf else []
        unmapped = made.get("unmapped", {}).get(column.name)
        assert wanted in places or unmapped == row[column.name], column.name
        assert unmapped is None or wanted not in places, column.name
    assert made["metadata"]["uid"] == row["event_id"]


@pytest.mark.parametrize(
    ("log_class", "uid", "name", "activity"),
    [
        ("firewall", 4001, "Network Activity", 5),
        ("ips", 2004, "Detection Finding", 1),
        ("waf", 2004, "Detection Finding", 1),
        ("web", 4002, "HTTP Activity", 3),
        ("proxy", 4002, "HTTP Activity", 3),
        ("dns", 4003, "DNS Activity", 2),
        ("vpn", 4014, "Tunnel Activity", 0),
        ("auth", 3002, "Authentication", 0),
        ("config", 0, "Base Event", 0),
        ("nac", 0, "Base Event", 0),
        ("video", 0, "Base Event", 0),
        ("system", 0, "Base Event", 0),
    ],
)
def test_each_log_class_has_a_class_with_what_it_requires(log_class: str, uid: int, name: str, activity: int) -> None:
    made = ocsf.document(full(log_class))
    assert (made["class_uid"], made["class_name"], made["activity_id"], made["type_uid"]) == (uid, name, activity, uid * 100 + activity)
    assert made["category_uid"] == uid // 1000
    assert (made["action_id"], made["disposition_id"], made["severity_id"], made["time"]) == (2, 2, 3, AT_MS)
    assert REQUIRED.get(name, REQUIRED["Base Event"]) <= made.keys()
    assert made["metadata"].keys() >= {"version", "product"}


def test_all_log_classes_are_told_of() -> None:
    assert ocsf.CLASSES.keys() == set(LogClass)


def test_what_a_class_requires_and_the_event_lacks_makes_another_class() -> None:
    bare = {"event_id": "e-0-1-2", "event_time": AT, "received_at": AT, "agency": "seogu", "raw": "x"}
    assert ocsf.document(bare | {"log_class": "ips"})["class_name"] == "Network Activity"
    assert ocsf.document(bare | {"log_class": "auth"})["class_name"] == "Base Event"
    found = ocsf.document(bare | {"log_class": "ips", "sig_name": "Scan"})
    assert found["finding_info"] == {"uid": "e-0-1-2", "title": "Scan"}
    assert "unmapped" not in found


def test_addresses_have_a_direction_that_is_known_or_said_to_be_unknown() -> None:
    row = full("firewall")
    assert ocsf.document(row)["connection_info"]["direction_id"] == 2
    assert ocsf.document(row | {"direction": "sideways"})["connection_info"]["direction_id"] == 0
