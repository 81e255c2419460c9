"""What may be blocked: one spelling for each address, network and domain, and what must never be blocked by mistake."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

import idna

from core.errors import Invalid

Network = IPv4Network | IPv6Network
_WIDEST: Final = {4: 16, 6: 32}
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_LONGEST_DOMAIN: Final = 253


def spelled(kind: str, value: str, never: Iterable[Network]) -> str:
    """`value` as it is published. `kind` is ip (an address or a network) or domain.

    Invalid when it is none, is wider than /16 (IPv6: /32), or touches a network of `never`: the city's own, loopback, multicast.
    """
    return _network(value.strip(), never) if kind == "ip" else _domain(value.strip())


def _network(value: str, never: Iterable[Network]) -> str:
    try:
        network = ip_network(value, strict=True)
    except ValueError as error:
        raise Invalid(f"{value!r} is no address and no network: {error}") from error
    if network.prefixlen < _WIDEST[network.version]:
        raise Invalid(f"{network} is too wide to block: a /{_WIDEST[network.version]} is the widest")
    if network.is_loopback or network.is_multicast or network.is_link_local or network.is_unspecified:
        raise Invalid(f"{network} is of no attacker")
    if own := next((one for one in never if one.version == network.version and one.overlaps(network)), None):
        raise Invalid(f"{network} touches {own}, which is never blocked (`respond.never_block` and the agencies' own sources)")
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _domain(value: str) -> str:
    try:
        name = idna.encode(value.rstrip("."), uts46=True).decode("ascii").lower()
    except idna.IDNAError as error:
        raise Invalid(f"{value!r} is no domain: {error}") from error
    labels = name.split(".")
    if len(name) > _LONGEST_DOMAIN or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Invalid(f"{value!r} is no domain that can be blocked")
    return name
