"""Events made inside the engine, as many as wanted: a city's mix of logs, for measurements over history.

`INSERT ... SELECT FROM numbers` needs no Python for an event; the lines have the length and the words of a firewall's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from core.clock import millis
from core.engine import Session
from core.events import EVENTS
from core.storage.ddl import ENGINE, create_table

AGENCIES: Final = 25
AT_ONCE: Final = 5_000_000
RARE: Final = 200_000
"""One event in this many is what a hunt looks for."""

_CLASS: Final = "multiIf(k < 85, 'firewall', k < 89, 'web', k < 92, 'ips', k < 95, 'proxy', k < 98, 'dns', k < 99, 'vpn', 'system')"
_URL: Final = (
    "if(k >= 85 AND k < 95, concat('/board/view.do?id=', toString(h % 1000000), '&page=', toString(h % 97), "
    f"if(number % {RARE} = 85, '&q=%27%20UNION%20SELECT%20password', '&lang=ko')), '')"
)
_MADE: Final = {
    "raw_epoch": "'b1'",
    "raw_offset": "intDiv(number, 1000)",
    "raw_line": "number % 1000",
    "received_at": "fromUnixTimestamp64Milli(at + 800, 'UTC')",
    "event_time": "fromUnixTimestamp64Milli(at, 'UTC')",
    "agency": f"concat('gu-', toString(h % {AGENCIES}))",
    "source": "'fw-1'",
    "transport": "'tls'",
    "parser": "'fortigate'",
    "parser_version": "1",
    "log_class": _CLASS,
    "vendor": "'Fortinet'",
    "product": "'FortiGate'",
    "device": f"concat('fw', toString(h % {AGENCIES}))",
    "severity": "'notice'",
    "src_ip": (
        f"if(number % {RARE} = 7, toIPv6('198.51.100.77'), "
        "toIPv6(concat('10.', toString(h % 200), '.', toString(intDiv(h, 256) % 256), '.7')))"
    ),
    "src_port": "32768 + h % 28000",
    "dst_ip": "toIPv6(concat('203.0.113.', toString(intDiv(h, 7) % 256)))",
    "dst_port": f"if(number % {RARE} = 7, 3389, [80, 443, 443, 53, 123, 993, 3389][h % 7 + 1])",
    "proto": "'tcp'",
    "action": "['accept', 'close', 'deny'][h % 3 + 1]",
    "disposition": "['allow', 'deny'][h % 2 + 1]",
    "rule": "concat('policy ', toString(h % 80))",
    "url": _URL,
    "user_agent": "if(k >= 85 AND k < 95, 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36', '')",
    "dns_query": "if(k >= 95 AND k < 98, concat('host', toString(h % 5000), '.gu.example'), '')",
    "bytes_src": "h % 10000",
    "bytes_dst": "h % 100000",
    "raw": (
        "concat('<189>date=2026-05-04 time=10:11:12 devname=\"fw', toString(h % 25), "
        '\'" logid="0000000013" type="traffic" subtype="forward" level="notice" vd="root" srcip=10.\', toString(h % 200), \'.\', '
        "toString(intDiv(h, 256) % 256), '.7 srcport=', toString(32768 + h % 28000), "
        '\' srcintf="port1" srcintfrole="lan" dstip=203.0.113.\', '
        'toString(intDiv(h, 7) % 256), \' dstport=443 dstintf="wan1" dstintfrole="wan" sessionid=\', toString(h), '
        '\' proto=6 action="close" policyid=\', toString(h % 80), \' policytype="policy" service="HTTPS" '
        'dstcountry="Korea, Republic of" srccountry="Reserved" trandisp="snat" transip=192.0.2.9 transport=\', toString(h % 60000), '
        "' duration=', toString(h % 300), ' sentbyte=', toString(h % 10000), ' rcvdbyte=', toString(h % 100000), "
        f"if(number % {RARE} = 11, ' app=\"TeamViewer\"', ' app=\"HTTPS.BROWSER\"'), ' appcat=\"Network.Service\" url=\"', url, '\"')"
    ),
}


def fill(session: Session, events: int, since: datetime, until: datetime) -> None:
    """Make the table `events` and put `events` of them into it, spread evenly over the time in the order they came."""
    session.run(create_table(EVENTS).format(engine=ENGINE))
    names = list(_MADE)
    span = millis(until) - millis(since)
    for first in range(0, events, AT_ONCE):
        count = min(AT_ONCE, events - first)
        session.run(
            f"INSERT INTO events ({', '.join(f'`{name}`' for name in names)}) "
            f"WITH cityHash64(number) AS h, h % 100 AS k, {millis(since)} + intDiv(number * {span}, {events}) AS at, {_MADE['url']} AS url "
            f"SELECT {', '.join('url' if name == 'url' else _MADE[name] for name in names)} FROM numbers({first}, {count}) "
            "SETTINGS max_insert_threads = 1, min_insert_block_size_rows = 1048576"
        )
