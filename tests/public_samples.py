"""Other people's real lines (`shared/samples/parsers`), and how well our parsers read them, by the script that comes with them.

A line counts as read when a parser of the right family read it: its product's own, or that of a format (CEF) which keeps the product's
name. One that anybody's line may end with (of the tier `generic`) never counts.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ingest.normalise import Normaliser
from ingest.parse_lines import parse_lines
from ingest.parser import Tier

FAMILIES: Final[dict[str, tuple[str, ...]]] = {
    "akamai": ("akamai",),
    "apache": ("apache", "access_log", "modsecurity"),  # the access log is of Apache, nginx and others
    "aws": ("aws",),
    "barracuda": ("barracuda", "cef"),
    "barracuda_cloudgen_firewall": ("barracuda",),
    "bind": ("bind",),
    "bluecoat": ("bluecoat", "linux"),
    "cef": ("cef", "forcepoint_ngfw", "citrix_waf"),
    "checkpoint": ("checkpoint",),
    "cisco_aironet": ("cisco_wlc",),
    "cisco_asa": ("cisco_asa", "cisco_ftd"),
    "cisco_ftd": ("cisco_asa", "cisco_ftd"),
    "cisco_ios": ("cisco_ios",),
    "cisco_ise": ("cisco_ise",),
    "cisco_meraki": ("meraki",),
    "cisco_nexus": ("cisco_ios", "cisco_nexus"),
    "cisco_umbrella": ("cisco_umbrella",),
    "citrix_adc": ("citrix", "netscaler"),
    "citrix_waf": ("citrix", "netscaler"),
    "cloudflare": ("cloudflare",),
    "coredns": ("coredns",),
    "darktrace": ("darktrace", "cef"),
    "f5": ("f5",),
    "f5_bigip": ("f5",),
    "fireeye": ("fireeye",),
    "forcepoint": ("forcepoint",),
    "fortinet_forticlient": ("forticlient",),
    "fortinet_fortigate": ("fortigate", "access_log"),  # one of its lines is an access log's
    "fortinet_fortimail": ("fortimail",),
    "fortinet_fortimanager": ("fortimanager", "fortigate"),  # part of them is in FortiGate's form
    "gcp": ("gcp",),
    "haproxy": ("haproxy",),
    "imperva": ("imperva", "cef"),
    "infoblox": ("infoblox", "bind", "dhcpd"),
    "ipsec_charon": ("strongswan",),
    "iptables": ("iptables",),
    "juniper_junos": ("junos", "srx"),
    "juniper_netscreen": ("netscreen",),
    "juniper_srx": ("srx", "junos"),
    "linux_system": ("linux", "macos", "openssh", "iptables"),
    "microsoft_dhcp": ("microsoft_dhcp",),
    "mikrotik": ("mikrotik",),
    "modsecurity": ("modsecurity",),
    "netscout": ("netscout",),
    "nginx": ("nginx", "access_log"),
    "openappsec": ("openappsec",),
    "openssh": ("openssh",),
    "panw_panos": ("panos",),
    "pfsense": ("pfsense", "filterlog", "haproxy", "openvpn", "strongswan", "dhcpd", "unbound", "snort", "squid", "linux", "openssh"),
    "pulse_connect_secure": ("pulse",),
    "snort": ("snort",),
    "sonicwall": ("sonicwall",),
    "sophos": ("sophos",),
    "squid": ("squid",),
    "suricata": ("suricata",),
    "symantec_endpoint": ("symantec",),
    "tcpdump": ("tcpdump",),
    "trendmicro": ("trendmicro", "cef"),
    "unifi": ("unifi", "cef", "iptables", "openssh"),  # what the gateway's own daemons write
    "vectra": ("vectra", "cef"),
    "wireguard": ("wireguard",),
    "zeek": ("zeek",),
    "zscaler_zia": ("zscaler",),
    "zscaler_zpa": ("zscaler",),
}
"""What the names of the parsers begin with that may read a vendor's lines."""


@dataclass(slots=True)
class Score:
    """How well the lines of one vendor, or of all, were read."""

    vendor: str
    lines: int = 0
    read: int = 0
    core: list[int] = field(default_factory=lambda: [0, 0])
    soft: list[int] = field(default_factory=lambda: [0, 0])
    parsers: Counter[str] = field(default_factory=Counter)

    @property
    def read_share(self) -> float:
        """Share of lines read by a parser of the right family."""
        return self.read / self.lines

    @property
    def core_share(self) -> float:
        """Share of expected addresses, ports and protocols that are exact; 1 when none is expected."""
        return self.core[0] / self.core[1] if self.core[1] else 1.0

    @property
    def soft_share(self) -> float:
        """The same of actions, users, URLs, rules, signatures and the like."""
        return self.soft[0] / self.soft[1] if self.soft[1] else 1.0


def rows_of(samples: Path) -> list[dict[str, Any]]:
    """The lines with what is expected of each; the few events of several lines are left out."""
    everything = [json.loads(line) for line in (samples / "parsers" / "eval.jsonl").read_text("utf-8").splitlines()]
    return [row for row in everything if len(row["raw"].splitlines()) <= 1]


def scores(normaliser: Normaliser, samples: Path) -> tuple[list[Score], Score]:
    """The score of each vendor, most lines first, and of all together."""
    namespace: dict[str, Any] = {"__name__": "score"}
    exec((samples / "score.py").read_text("utf-8"), namespace)  # noqa: S102 - the samples' own script
    generic = {one.name for one in normaliser.parsers.parsers if one.tier is Tier.GENERIC}
    rows = rows_of(samples)
    outs = list(parse_lines(normaliser, [row["raw"].rstrip("\r\n").encode() for row in rows]))
    found: dict[str, Score] = {}
    total = Score("all")
    for row, out in zip(rows, outs, strict=True):
        score = found.setdefault(row["vendor"], Score(row["vendor"]))
        for one in (score, total):
            _add(one, row, out, namespace, generic)
    return sorted(found.values(), key=lambda one: -one.lines), total


def _add(score: Score, row: dict[str, Any], out: dict[str, Any], script: dict[str, Any], generic: set[str]) -> None:
    score.lines += 1
    name = out.get("parser", "")
    score.parsers[name or f"({out['quarantine']})"] += 1
    score.read += name.startswith(FAMILIES[row["vendor"]]) and name not in generic
    for key, right in script["judge"](row, out):
        tally = score.core if key in script["CORE"] else score.soft
        tally[0] += right
        tally[1] += 1
