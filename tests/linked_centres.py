"""A linked centre for tests: registered, let in, with agencies to watch and a machine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pyarrow as pa

from api.auth.keys import KeyWish, create_key
from core import arrow, topics
from respond.centres import delegations, service
from respond.centres.delegations import Wish
from respond.centres.relay import Relay
from respond.centres.service import About
from respond.stage import RespondStage
from tests.servers.api import TestCentre

KNOWN = ("seogu", "parks")
ALERT: dict[str, Any] = {
    "id": "a-1",
    "agency": "seogu",
    "title": "SQL injection",
    "level": "high",
    "time": "2026-05-01T03:00:00Z",
    "rule": "waf-1",
    "tags": ["attack.t1190"],
    "entities": {"src_ip": "192.0.2.7", "dst_ip": "2001:db8::5", "dst_port": 443, "url": "/login"},
    "evidence": ["deny 192.0.2.7 GET /login", "deny 192.0.2.7 GET /login?id=1"],
}


def linked(centre: TestCentre, *watches: str, name: str = "seogu-soc", active: bool = True) -> str:
    """A centre of seogu that watches these agencies; its number."""
    with centre.centre.database.session() as session:
        row = service.register(session, "user:lead", KNOWN, "seogu", name, About("서구 관제센터", "", ""))
        if active:
            service.take(session, "user:lead", row.number, "activate", 1)
        for agency in watches:
            delegations.delegate(session, "user:lead", KNOWN, Wish(agency, row.number, None, "its size"))
        return row.number


def machine(centre: TestCentre, number: str, days: float = 30) -> httpx.AsyncClient:
    """A client with a key of the centre called `number`."""
    with centre.centre.database.session() as session:
        wish = KeyWish("machine", (), "", "", timedelta(days=days), role="linked_centre", centre=number)
        _, text = create_key(session, wish, actor="system:test")
    return centre.client(headers={"Authorization": f"Bearer {text}"})


def alert(**changes: Any) -> dict[str, Any]:
    """A batch of one alert."""
    return {"alerts": [ALERT | changes]}


async def go_on(centre: TestCentre) -> pa.Table:
    """Let waiting alerts go on as the services do; what came on the topic, which became incidents."""
    await Relay(centre.centre.database, centre.centre.bus).step()
    consumer = await centre.centre.bus.consumer("respond", [topics.DETECTIONS])
    records = await consumer.poll(max_messages=100, max_bytes=8 << 20, timeout=0.2)
    if records:
        await RespondStage(centre.centre.database, centre.centre.settings, centre.clock).handle(records, 1)
        await consumer.commit({(topics.DETECTIONS, 0): records[-1].offset + 1})
    await consumer.close()
    return pa.concat_tables([arrow.decode(one.value) for one in records]) if records else pa.table({})
