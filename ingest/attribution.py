"""Whose lines are these? The listener says it, else the sender's certificate, else its address, else nobody.

An unknown sender's lines are kept under the agency `_unknown`, one source per address, with the flag UNKNOWN_SOURCE: never mixed in
with a known one's. What a line says about its own origin plays no part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from core.config import Listener, Settings
from core.errors import ConfigError
from core.events import UNKNOWN_AGENCY, IntakeFlag
from ingest.rawbatch import Origin

_CACHED_PEERS = 65536


@dataclass(frozen=True, slots=True)
class _Source:
    agency: str
    name: str
    timezone: str
    flags: IntakeFlag


class Attribution:
    """Decides the Origin of what arrives. ConfigError when two sources claim the same address range or certificate name."""

    def __init__(self, settings: Settings) -> None:
        self._sources: dict[tuple[str, str], _Source] = {}
        self._certificates: dict[str, _Source] = {}
        self._ranges: dict[IPv4Network | IPv6Network, _Source] = {}
        for i, agency in enumerate(settings.agencies):
            for j, declared in enumerate(agency.sources):
                source = _Source(agency.id, declared.name, declared.timezone, IntakeFlag.REPLAY if declared.replay else IntakeFlag.NONE)
                key = f"agencies.{i}.sources.{j}"
                _claim(self._sources, [(agency.id, declared.name)], source, f"{key}.name")
                _claim(self._certificates, [_folded(name) for name in declared.certificates], source, f"{key}.certificates")
                _claim(self._ranges, [_unmapped(network) for network in declared.addresses], source, f"{key}.addresses")
        self._lengths = {
            version: sorted({network.prefixlen for network in self._ranges if network.version == version}, reverse=True)
            for version in (4, 6)
        }
        self._known: dict[tuple[str, str, Sequence[str]], Origin] = {}

    def of_peer(self, listener: Listener, peer: str, certificate_names: tuple[str, ...] = ()) -> Origin:
        """The origin of what `peer` (an address in text) sends to `listener`, having shown a certificate with these names."""
        key = (listener.name, peer, certificate_names)
        origin = self._known.get(key)
        if origin is None:
            if len(self._known) >= _CACHED_PEERS:
                self._known.clear()
            origin = self._known[key] = self._decide(listener, normal_address(peer), certificate_names)
        return origin

    def by_key(self, agency: str, source: str, peer: str) -> Origin:
        """The origin of what arrives over HTTP with a key that belongs to a source of an agency."""
        declared = self._sources.get((agency, source))
        return _origin(declared, agency, source, "http", normal_address(peer))

    def _decide(self, listener: Listener, peer: str, certificate_names: Sequence[str]) -> Origin:
        if listener.agency and listener.source:
            declared = self._sources.get((listener.agency, listener.source))
            return _origin(declared, listener.agency, listener.source, listener.kind, peer)
        found = self._by_certificate(certificate_names) or self._by_address(peer)
        if listener.agency:
            # The listener has the say about the agency; who within it, the sender's identity may tell.
            if found is None or found.agency != listener.agency:
                return Origin(listener.agency, listener.name, listener.kind, peer)
        elif found is None:
            return Origin(UNKNOWN_AGENCY, f"unknown-{peer}", listener.kind, peer, IntakeFlag.UNKNOWN_SOURCE)
        return _origin(found, found.agency, found.name, listener.kind, peer)

    def _by_certificate(self, names: Iterable[str]) -> _Source | None:
        return next((self._certificates[name] for name in map(_folded, names) if name in self._certificates), None)

    def _by_address(self, peer: str) -> _Source | None:
        """The source with the longest prefix that holds `peer`."""
        try:
            address = ip_address(peer)
        except ValueError:
            return None
        for length in self._lengths[address.version]:
            found = self._ranges.get(_network(address, length))
            if found is not None:
                return found
        return None


def normal_address(peer: str) -> str:
    """An address as it is written everywhere: IPv4-mapped IPv6 as IPv4, without a scope; other text as it is."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def certificate_names(certificate: dict[str, Any] | None) -> tuple[str, ...]:
    """The names in a peer certificate as `ssl.SSLSocket.getpeercert` gives it: subject alternative names, then common names."""
    if not certificate:
        return ()
    alternative = [value for _, value in certificate.get("subjectAltName", ())]
    common = [value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"]
    return tuple(dict.fromkeys(alternative + common))


def _network(address: IPv4Address | IPv6Address, length: int) -> IPv4Network | IPv6Network:
    if isinstance(address, IPv4Address):
        return IPv4Network((address, length), strict=False)
    return IPv6Network((address, length), strict=False)


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """A range of IPv4-mapped addresses is a range of IPv4 addresses."""
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped is not None:
        return IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


def _folded(name: str) -> str:
    return name.strip().rstrip(".").casefold()


def _origin(declared: _Source | None, agency: str, source: str, transport: str, peer: str) -> Origin:
    if declared is None:
        return Origin(agency, source, transport, peer)
    return Origin(agency, source, transport, peer, declared.flags, declared.timezone)


def _claim(claimed: dict[Any, _Source], names: Iterable[Any], source: _Source, key: str) -> None:
    for name in names:
        other = claimed.setdefault(name, source)
        if other is not source:
            what = name[1] if isinstance(name, tuple) else name
            raise ConfigError(key, f"{what} already belongs to source {other.name!r} of agency {other.agency!r}")
