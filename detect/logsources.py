"""Which of our events a Sigma log source means: log classes, and makers and products of devices.

A rule's classes are those of its category and of its service, and those of its product where the product has a class of its own; where
several say something, the classes in common. A log source none of the tables knows is not among our logs, and its rule is set aside.
Makers and products are compared without case with the words parsers write into `vendor` and `product`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.events import LogClass
from detect.rules import LogSource

_ALL: Final = frozenset(LogClass)


@dataclass(frozen=True, slots=True)
class Route:
    """The events a rule runs on: those of `classes`, and of one of `vendors` or `products` where these are not empty."""

    classes: frozenset[LogClass]
    vendors: tuple[str, ...] = ()
    products: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Device:
    vendors: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    classes: frozenset[LogClass] = _ALL


def _classes(*classes: LogClass) -> frozenset[LogClass]:
    return frozenset(classes)


# Beside every log class by its own name.
CATEGORIES: Final[Mapping[str, frozenset[LogClass]]] = {
    "network_connection": _classes(LogClass.FIREWALL),
    "network_traffic": _classes(LogClass.FIREWALL),
    "firewall_traffic": _classes(LogClass.FIREWALL),
    "flow": _classes(LogClass.FIREWALL),
    "ids": _classes(LogClass.IPS),
    "intrusion_detection": _classes(LogClass.IPS),
    "antivirus": _classes(LogClass.IPS),
    "webserver": _classes(LogClass.WEB, LogClass.WAF),
    "web_server": _classes(LogClass.WEB, LogClass.WAF),
    "dns_query": _classes(LogClass.DNS),
    "authentication": _classes(LogClass.AUTH, LogClass.VPN),
    "configuration": _classes(LogClass.CONFIG),
    # Ours, for what several kinds of device tell of: every sensor that sees web requests; what administrators do on a device itself;
    # whatever there is, for rules made from searches.
    "web_traffic": _classes(LogClass.WEB, LogClass.WAF, LogClass.PROXY, LogClass.IPS),
    "any": _ALL,
    "management": _classes(LogClass.AUTH, LogClass.CONFIG, LogClass.SYSTEM),
    **{log_class.value: _classes(log_class) for log_class in LogClass},
}

SERVICES: Final[Mapping[str, frozenset[LogClass]]] = {
    "aaa": _classes(LogClass.AUTH, LogClass.CONFIG),
    "accounting": _classes(LogClass.AUTH, LogClass.CONFIG),
    "auth": _classes(LogClass.AUTH, LogClass.VPN),
    "conn": _classes(LogClass.FIREWALL),
    "traffic": _classes(LogClass.FIREWALL),
    "dns": _classes(LogClass.DNS),
    "http": _classes(LogClass.WEB, LogClass.PROXY),
    "event": _classes(LogClass.CONFIG, LogClass.AUTH, LogClass.VPN, LogClass.SYSTEM),
    "utm": _classes(LogClass.IPS, LogClass.WAF, LogClass.PROXY, LogClass.DNS),
    "threat": _classes(LogClass.IPS),
    "vpn": _classes(LogClass.VPN),
    "access": _classes(LogClass.WEB),
    "sshd": _classes(LogClass.AUTH),
    "sudo": _classes(LogClass.AUTH),
    **{name: _classes(LogClass.WEB, LogClass.SYSTEM) for name in ("apache", "nginx")},
    **{name: _classes(LogClass.SYSTEM) for name in ("bgp", "ldp", "error", "syslog", "system")},
    **{
        # Zeek's protocol logs, which have no class of their own here
        name: _classes(LogClass.FIREWALL, LogClass.SYSTEM)
        for name in ("dce_rpc", "kerberos", "rdp", "smb_files", "smb_mapping", "ssh", "ssl", "x509", "files", "ntlm")
    },
}

PRODUCTS: Final[Mapping[str, _Device]] = {
    "fortigate": _Device(vendors=("fortinet",)),
    "fortinet": _Device(vendors=("fortinet",)),
    "fortios": _Device(vendors=("fortinet",)),
    "paloalto": _Device(vendors=("palo alto networks", "paloalto", "palo alto")),
    "panos": _Device(vendors=("palo alto networks", "paloalto", "palo alto")),
    "pan-os": _Device(vendors=("palo alto networks", "paloalto", "palo alto")),
    "cisco": _Device(vendors=("cisco",)),
    "asa": _Device(vendors=("cisco",), products=("asa",)),
    "ios": _Device(vendors=("cisco",), products=("ios",)),
    "meraki": _Device(products=("meraki",)),
    "umbrella": _Device(products=("umbrella",)),
    "checkpoint": _Device(vendors=("check point", "checkpoint")),
    "check point": _Device(vendors=("check point", "checkpoint")),
    "huawei": _Device(vendors=("huawei",)),
    "juniper": _Device(vendors=("juniper", "juniper networks")),
    "junos": _Device(vendors=("juniper", "juniper networks")),
    "sophos": _Device(vendors=("sophos",)),
    "sonicwall": _Device(vendors=("sonicwall",)),
    "watchguard": _Device(vendors=("watchguard",)),
    "stormshield": _Device(vendors=("stormshield",)),
    "forcepoint": _Device(vendors=("forcepoint",)),
    "barracuda": _Device(vendors=("barracuda",)),
    "clavister": _Device(vendors=("clavister",)),
    "mikrotik": _Device(vendors=("mikrotik",)),
    "pfsense": _Device(products=("pfsense",)),
    "iptables": _Device(products=("netfilter",)),
    "ubiquiti": _Device(vendors=("ubiquiti",)),
    "zscaler": _Device(vendors=("zscaler",)),
    "cloudflare": _Device(vendors=("cloudflare",)),
    "akamai": _Device(vendors=("akamai",)),
    "imperva": _Device(vendors=("imperva",)),
    "f5": _Device(vendors=("f5",)),
    "citrix": _Device(vendors=("citrix",)),
    "netscaler": _Device(products=("netscaler",)),
    "modsecurity": _Device(products=("modsecurity",)),
    "fortiweb": _Device(products=("fortiweb",)),
    "symantec": _Device(vendors=("symantec", "broadcom")),
    "bluecoat": _Device(vendors=("symantec",)),
    "infoblox": _Device(vendors=("infoblox",)),
    "ivanti": _Device(vendors=("ivanti",)),
    "vectra": _Device(vendors=("vectra",)),
    "darktrace": _Device(vendors=("darktrace",)),
    "fireeye": _Device(vendors=("fireeye",)),
    "netscout": _Device(vendors=("netscout",)),
    "secui": _Device(vendors=("secui",)),
    "ahnlab": _Device(vendors=("ahnlab",)),
    "wins": _Device(vendors=("wins",)),
    "genians": _Device(vendors=("genians",)),
    "monitorapp": _Device(vendors=("monitorapp",)),
    "penta security": _Device(vendors=("penta security",)),
    "wapples": _Device(products=("wapples",)),
    "piolink": _Device(vendors=("piolink",)),
    "axgate": _Device(vendors=("axgate",)),
    "nexg": _Device(vendors=("nexg",)),
    "futuresystems": _Device(vendors=("futuresystems",)),
    "secuwiz": _Device(vendors=("secuwiz",)),
    "openssh": _Device(products=("openssh",)),
    "squid": _Device(products=("squid",)),
    "bind": _Device(products=("bind",)),
    "unbound": _Device(products=("unbound",)),
    "dnsmasq": _Device(products=("dnsmasq",)),
    "coredns": _Device(products=("coredns",)),
    "openvpn": _Device(products=("openvpn",)),
    "strongswan": _Device(products=("strongswan",)),
    "wireguard": _Device(products=("wireguard",)),
    "haproxy": _Device(products=("haproxy",)),
    "iis": _Device(products=("iis",), classes=_classes(LogClass.WEB)),
    "linux": _Device(products=("linux", "openssh"), classes=_classes(LogClass.AUTH, LogClass.SYSTEM)),
    "suricata": _Device(products=("suricata",)),
    "snort": _Device(products=("snort",)),
    "zeek": _Device(products=("zeek", "bro")),
    "apache": _Device(products=("apache", "apache httpd", "http server"), classes=_classes(LogClass.WEB, LogClass.SYSTEM)),
    "nginx": _Device(products=("nginx",), classes=_classes(LogClass.WEB, LogClass.SYSTEM)),
}


class UnknownLogSource(ValueError):
    """A log source that is not among our logs."""


def route(source: LogSource) -> Route:
    """The events `source` means; UnknownLogSource says which word of it is not among our logs."""
    classes = _ALL
    device = _Device()
    if source.category:
        classes &= _known("category", source.category, CATEGORIES)
    if source.service:
        classes &= _known("service", source.service, SERVICES)
    if source.product:
        if source.product not in PRODUCTS:
            raise UnknownLogSource(f"the log source product {source.product!r} is not among our logs")
        device = PRODUCTS[source.product]
        classes &= device.classes
    if not classes:
        raise UnknownLogSource(f"no class of our logs is all of: {source}")
    return Route(classes, device.vendors, device.products)


def _known(part: str, word: str, table: Mapping[str, frozenset[LogClass]]) -> frozenset[LogClass]:
    if word not in table:
        raise UnknownLogSource(f"the log source {part} {word!r} is not among our logs")
    return table[word]
