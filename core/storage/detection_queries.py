"""Questions about detections: what was found lately on the stream, and what one event led to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from core.events import POSITION, parse_event_id
from core.storage.contract import Limits, Store
from core.storage.event_queries import Scope, Where
from core.storage.rows import to_jsonable

SHOWN: Final = (
    *("detection_id", "rule_id", "rule_title", "rule_level", "kind", "detected_at", "event_time", "agency", "source"),
    *("src_ip", "dst_ip", "dst_port", "user", "action", "raw_epoch", "raw_partition", "raw_offset", "raw_line"),
)
_COLUMNS: Final = ", ".join(f"`{name}`" for name in SHOWN)
_LIMITS: Final = Limits(seconds=10.0)
MOST_OF_EVENT: Final = 100


async def found_since(store: Store, since: datetime, scope: Scope, most: int) -> list[dict[str, Any]]:
    """At most `most` detections that were found at or after `since`, the oldest first, as `core.storage.rows` writes them, without lines.

    What hunts found in history does not count.
    """
    where = Where()
    where.scope(scope)
    where.add(lambda at: f"detected_at >= {at}", ("DateTime64(3, 'UTC')", since))
    where.add(lambda origin: f"origin != {origin}", ("String", "hunt"))
    sql = f"SELECT {_COLUMNS} FROM detections WHERE {where.sql} ORDER BY detected_at, detection_id LIMIT {most}"
    return to_jsonable(await store.query(sql, where.params, _LIMITS))


async def of_event(store: Store, event: Mapping[str, Any], scope: Scope) -> list[dict[str, Any]]:
    """The detections an event (a row as `core.storage.rows` writes it) led to, the latest first: its own, and those whose details name it.

    At most `MOST_OF_EVENT`. A detection bears agency and time of the event that completed it, which is how the store finds it.
    """
    where = Where()
    where.scope(scope)
    where.add(lambda p: f"agency = {p}", ("String", event["agency"]))
    where.add(lambda p: f"event_time = {p}", ("DateTime64(3, 'UTC')", datetime.fromisoformat(event["event_time"])))
    position = zip(POSITION, parse_event_id(event["event_id"]), strict=True)
    own = " AND ".join(f"{column.name} = {where.bind(column.parameter, value)}" for column, value in position)
    named = where.bind("String", json.dumps(event["event_id"]))
    where.conditions.append(f"(({own}) OR position(details, {named}) > 0)")
    columns = "detection_id, rule_id, rule_title, rule_level, kind, origin, detected_at"
    latest = f"ORDER BY detected_at DESC LIMIT 1 BY detection_id, origin LIMIT {MOST_OF_EVENT}"
    return to_jsonable(await store.query(f"SELECT {columns} FROM detections WHERE {where.sql} {latest}", where.params, _LIMITS))
