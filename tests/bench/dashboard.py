"""How the dashboard answers in a city that has used it for years: `python -m tests.bench.dashboard --folder F`.

Fills the folder once (embedded store and SQLite, or the PostgreSQL of `--database`), starts the whole centre on it (`bongsu up`), and lets
`--clients` people work at once: each opens the queue, a page of incidents, an incident, over the pages and over the API, and thinks for
`--think` seconds in between. A page stays open with its socket, as in a browser, until the person opens the next one: what open pages
ask for by themselves is part of the load. Told are the server's own times (`Server-Timing`: until the answer began) at the median and at
p99, and how long the live feed takes to tell of an incident, from when it was opened and from when its line was pushed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import time
import uuid
from ast import literal_eval
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import httpx
import socketio
import sqlalchemy as sa

from api.auth.keys import KeyWish, create_key
from api.auth.users import ensure_user
from core.clock import SystemClock
from core.config import Settings, validate
from core.database import Database
from core.rule_records import hash_of
from detect.hunt.models import Hunt
from detect.rules import OWN_RULES, load
from respond.incidents.machine import State
from respond.models import Incident, IncidentEntity, IncidentEvidence
from runtime.bootstrap import open_parts
from tests.bench.made_events import fill

PASSWORD: Final = "a-long-password-for-measuring"
AGENCIES: Final = 25
_STATES: Final = (*["closed"] * 88, *["false_positive"] * 8, "new", "triaged", "confirmed", "contained")
_SEVERITIES: Final = ("informational", "low", "low", "medium", "medium", "medium", "high", "critical")
_RULES: Final = ("SSH brute force", "SQL injection in a URL", "Port scan", "Outgoing connection to a known address", "Web shell called")
_FIRED: Final = "55e499dc-591f-419c-ab10-8be8bae8d3e5"
"""The rule of the evidence: ours for SQL injection."""
_RAW: Final = "CEF:0|Bench|IPS|1|9|SQL injection|9|src={ip} dst=203.0.113.9 request=/x?id=1%20UNION%20SELECT%20password"
_QUERY: Final = re.compile(r"query: (\{.*?\}),\n")
_URL: Final = "/x?id=1%20UNION%20SELECT%20password"
_AT_ONCE: Final = 20_000
_COMING: Final = 30.0
"""Seconds within which people come in the morning; what they ask for in twice that time warms the centre up and is not counted."""


def settings_of(folder: Path, database: str) -> Settings:
    agencies = [{"id": f"gu-{n}", "name_ko": f"{n}구청", "sources": [{"name": "fw-1"}]} for n in range(AGENCIES)]
    more = {"database": {"url": database}} if database else {}
    return validate({"data_dir": str(folder), "agencies": agencies, **more})


def incidents(count: int, now: datetime) -> Iterator[dict[str, Any]]:
    """Incidents of three years, the newest last."""
    chance = random.Random(1)
    for n in range(1, count + 1):
        at = now - timedelta(days=1095) * ((count - n) / count)
        title = chance.choice(_RULES)
        severity, state = chance.choice(_SEVERITIES), chance.choice(_STATES) if n < count * 0.99 else "new"
        ip = f"198.51.{n % 256}.{n // 256 % 256}"
        yield {
            **{"id": n, "number": f"INC-{at.year}-{n:06d}", "agency": f"gu-{n % AGENCIES}", "state": State(state), "version": 1},
            **{"exercise": False, "created_at": at, "created_by": "system:respond", "updated_at": at, "title": title},
            **{"severity": severity, "severity_found": severity, "group_key": f"{title}:{ip}", "entity_kind": "ip", "entity_value": ip},
            **{"first_event_at": at, "last_event_at": at + timedelta(minutes=5), "detections": 2, "evidence_kept": 2},
            **{"rule_ids": [title], "tags": ["attack.t1110"], "assignee": chance.choice(("", "", "user:clerk-1", "user:clerk-2"))},
        }


def evidence(incident: dict[str, Any], fired_hash: str) -> Iterator[dict[str, Any]]:
    for n in range(2):
        yield {
            **{"incident_id": incident["id"], "detection_id": f"{incident['id']}:{n}", "event_id": f"b1-0-{incident['id']}-{n}"},
            **dict.fromkeys(("event_time", "received_at", "detected_at"), incident["created_at"]),
            **{"rule_id": _FIRED, "rule_title": incident["title"], "rule_level": incident["severity"], "rule_hash": fired_hash},
            **{"raw": _RAW.format(ip=incident["entity_value"]), "fields": {"src_ip": incident["entity_value"], "url": _URL}},
        }


def entities(incident: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for role, value in (("source", incident["entity_value"]), ("target", "203.0.113.9")):
        yield {
            **{"incident_id": incident["id"], "kind": "ip", "role": role, "value": value, "value_hash": f"{role}:{value}", "detections": 2},
        }


def fill_database(database: Database, count: int, clients: int) -> str:
    """Make people and incidents; gives a key that pushes lines."""
    with database.session() as session:
        for n in range(clients):
            ensure_user(session, f"clerk-{n}", PASSWORD, ["analyst"])
        _, key = create_key(session, KeyWish("bench", ("logs:write",), "gu-1", "fw-1", timedelta(days=30)), actor="system:bench")
        there = session.scalar(sa.select(sa.func.count()).select_from(Incident)) or 0
    if there >= count:
        return key
    fired_hash = next(hash_of(rule.sources) for rule in load([OWN_RULES]).rules if rule.id == _FIRED)
    made = incidents(count, datetime.now(UTC))
    while batch := list(islice(made, _AT_ONCE)):
        with database.session() as session:
            session.execute(sa.insert(Incident), batch)
            session.execute(sa.insert(IncidentEvidence), [row for one in batch for row in evidence(one, fired_hash)])
            session.execute(sa.insert(IncidentEntity), [row for one in batch for row in entities(one)])
    with database.session() as session:
        if session.get_bind().dialect.name == "postgresql":  # numbers given by hand do not move its own
            session.execute(sa.text("SELECT setval(pg_get_serial_sequence('incidents', 'id'), (SELECT max(id) FROM incidents))"))
        session.execute(sa.text("ANALYZE"))
    return key


async def make(settings: Settings, events: int, count: int, clients: int) -> str:
    """Fill what is not there yet."""
    async with open_parts(settings, {"store", "database"}) as parts:
        await parts.store.migrate()
        with closing(parts.engine.session()) as session:
            if not session.arrow("SELECT count() AS n FROM events")["n"][0].as_py():
                now = datetime.now(UTC)
                fill(session, events, now - timedelta(days=3), now)
        return await asyncio.to_thread(fill_database, parts.database, count, clients)


def learn(settings: Settings) -> None:
    """Let a new centre search its empty history for every rule: in one that is used that was done long ago."""
    database = Database(settings.database_url, SystemClock())
    database.migrate()
    database.start()
    ended = sa.select(sa.func.count(), sa.func.count(Hunt.ended_at)).select_from(Hunt)
    with closing(database):
        while True:
            with database.session() as session:
                every, done = session.execute(ended).one()
            if every and every == done:
                return
            with centre(settings, _free_port()):
                time.sleep(20)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


@contextmanager
def centre(settings: Settings, port: int) -> Iterator[str]:
    """The whole centre as its own process."""
    agencies = json.dumps([agency.model_dump(mode="json") for agency in settings.agencies])
    names = {
        "BONGSU_DATA_DIR": str(settings.data_dir),
        "BONGSU_API__PORT": str(port),
        "BONGSU_AGENCIES": agencies,
        "BONGSU_INTAKE__LISTENERS": "[]",
        "BONGSU_API__REQUESTS_PER_MINUTE": "1000000",
        "BONGSU_DATABASE__URL": settings.database_url,
    }
    process = subprocess.Popen([sys.executable, "-m", "runtime", "up"], env=os.environ | names)
    try:
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                if httpx.get(f"{url}/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait(60)


class Work:
    """What the people do, and how long the server took."""

    def __init__(self, url: str, think: float) -> None:
        self.url, self.think = url, think
        self.counts_from = time.monotonic() + 2 * _COMING
        self.took: dict[str, list[float]] = defaultdict(list)
        self.wrong: list[str] = []

    async def person(self, n: int, until: float) -> None:
        chance = random.Random(n)
        await asyncio.sleep(_COMING * chance.random())
        async with httpx.AsyncClient(base_url=self.url, timeout=60, limits=httpx.Limits(keepalive_expiry=2)) as client:
            logged_in = await client.post("/v1/login", json={"name": f"clerk-{n}", "password": PASSWORD})
            logged_in.raise_for_status()
            shown = Shown(self.url, client)
            newest = [one["number"] for one in (await client.get("/v1/incidents?limit=50")).json()["items"]]
            while time.monotonic() < until:
                number = chance.choice(newest)
                for name, path in (
                    ("queue page", "/incidents"),
                    ("queue API", "/v1/incidents?limit=50&state=new&state=triaged"),
                    ("incident page", f"/incidents/{number}"),
                    ("incident API", f"/v1/incidents/{number}"),
                    ("search API", f"/v1/incidents?limit=50&q=198.51.{chance.randrange(256)}.7"),
                ):
                    answer = await self._ask(client, name, path)
                    if "page" in name:
                        await shown.open(answer)
                    await asyncio.sleep(chance.uniform(0.5, 1.5) * self.think)
            await shown.close()

    async def _ask(self, client: httpx.AsyncClient, name: str, path: str) -> httpx.Response:
        answer = await client.get(path, headers={"Accept": "text/html"} if "page" in name else {})
        timing = re.search(r"dur=([\d.]+)", answer.headers.get("server-timing", ""))
        if answer.status_code != 200 or timing is None:
            self.wrong.append(f"{name}: {answer.status_code}")
        elif time.monotonic() > self.counts_from:
            self.took[name].append(float(timing[1]))
        return answer


class Shown:
    """The page that is open in one person's browser: its socket, which hears what the page tells by itself."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url, self._client = url, client
        self._socket: socketio.AsyncClient | None = None

    async def open(self, answer: httpx.Response) -> None:
        """Leave the page that was open and connect as the browser does that got this one."""
        await self.close()
        written = _QUERY.search(answer.text)
        assert written is not None, answer.text[:200]
        query = literal_eval(unescape(written[1]))
        query |= {"document_id": uuid.uuid4().hex, "tab_id": uuid.uuid4().hex, "old_tab_id": ""}
        self._socket = socketio.AsyncClient(reconnection=False)
        cookies = "; ".join(f"{name}={value}" for name, value in self._client.cookies.items())
        await self._socket.connect(
            f"{self._url}?{urlencode({**query, 'implicit_handshake': str(query['implicit_handshake']).lower()})}",
            headers={"Cookie": cookies, "Origin": self._url},
            transports=["websocket"],
            wait_timeout=60,
            socketio_path="/_nicegui_ws/socket.io",
        )
        if not query["implicit_handshake"]:
            assert await self._socket.call("handshake", query)

    async def close(self) -> None:
        """Go away."""
        if self._socket is not None:
            await self._socket.disconnect()


class Told(NamedTuple):
    """How long, in seconds, it took until the live feed told of an incident: from when the line was pushed, and from when it was opened."""

    since_line: float
    since_opened: float


async def feed_delays(url: str, key: str, times: int, pause: float) -> list[Told]:
    """Push lines that each open an incident by one of our rules, every few seconds, and listen."""
    delays, chance = [], random.Random()
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        await client.post("/v1/login", json={"name": "clerk-0", "password": PASSWORD})
        async with client.stream("GET", "/v1/stream", params={"topics": "incidents"}) as stream:
            lines = stream.aiter_lines()
            await asyncio.sleep(pause)
            for _ in range(times):
                await asyncio.sleep(chance.uniform(1, 4))
                source = f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
                sent = time.time()
                line = f"CEF:0|Bench|IPS|1|9|SQL injection|9|src={source} dst=203.0.113.9 request={_URL}"
                (await client.post("/v1/logs", content=line, headers={"Authorization": f"Bearer {key}"})).raise_for_status()
                async for told in lines:
                    if told.startswith("data:") and f'"{source}"' in told:
                        opened = datetime.fromisoformat(json.loads(told[5:])["opened_at"]).timestamp()
                        delays.append(Told(time.time() - sent, time.time() - opened))
                        break
    return delays


async def bench(options: argparse.Namespace) -> list[dict[str, Any]]:
    settings = settings_of(options.folder, options.database)
    began = time.monotonic()
    await asyncio.to_thread(learn, settings)
    key = await make(settings, options.events, options.incidents, options.clients)
    results: list[dict[str, Any]] = [{"case": "filling", "seconds": round(time.monotonic() - began)}]
    with centre(settings, _free_port()) as url:
        work = Work(url, options.think)
        until = work.counts_from + options.seconds
        feed = asyncio.create_task(feed_delays(url, key, options.lines, 2 * _COMING))
        await asyncio.gather(*(work.person(n, until) for n in range(options.clients)))
        delays = await asyncio.wait_for(feed, 120)
    for name, took in work.took.items():
        p99 = statistics.quantiles(took, n=100)[98]
        results.append({"case": name, "requests": len(took), "median_ms": round(statistics.median(took), 1), "p99_ms": round(p99, 1)})
    for case, took in (("line to feed", [one.since_line for one in delays]), ("incident to feed", [one.since_opened for one in delays])):
        results.append({"case": case, "median_s": round(statistics.median(took), 2), "most_s": round(max(took), 2)})
    results.append({"case": "refused", "answers": sorted(set(work.wrong))})
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--database", default="", help="A PostgreSQL URL; default: SQLite in the folder.")
    parser.add_argument("--incidents", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=50_000_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--think", type=float, default=3.0)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--lines", type=int, default=10)
    for result in asyncio.run(bench(parser.parse_args())):
        print(json.dumps(result))


if __name__ == "__main__":
    main()
