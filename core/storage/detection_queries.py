"""Questions about detections: what was found lately on the stream."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from core.storage.contract import Limits, Store
from core.storage.event_queries import Scope, Where
from core.storage.rows import to_jsonable

SHOWN: Final = (
    *("detection_id", "rule_id", "rule_title", "rule_level", "kind", "detected_at", "event_time", "agency", "source"),
    *("src_ip", "dst_ip", "dst_port", "user", "action", "raw_epoch", "raw_partition", "raw_offset", "raw_line"),
)
_COLUMNS: Final = ", ".join(f"`{name}`" for name in SHOWN)
_LIMITS: Final = Limits(seconds=10.0)


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
