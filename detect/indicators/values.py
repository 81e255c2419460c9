"""What an indicator's value is, and when an event's text is one: the one meaning, written plainly.

`index` finds candidates by hashes a million at a time; what these functions say of a candidate decides. They normalise so:
- An address is 16 bytes, IPv4 as IPv4-mapped IPv6; a network is its first address and the length of its prefix, of 128 bits.
- A domain is in lower case, in A-labels (IDNA 2008 with the mapping of UTS 46), without the dot at its end. It stands for all below it.
- A URL is host, port, path and query: `host[:port]/path[?query]`. The scheme, the user, the fragment and the ports 80 and 443 are left
  out, an empty path is `/`, the host is normalised like a domain; path and query are compared as they are written, escapes included.
- A hash is in lower case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

import idna

LONGEST: Final = 2048
"""The longest value, in bytes of UTF-8; also of an event's URL no more is looked at than twice that."""
_REMEMBERED: Final = 10_000  # texts of at most twice LONGEST
_MAPPED_BITS: Final = 96
_WIDEST: Final = {4: 8, 6: 16}
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN: Final = re.compile(rf"(?:{_LABEL}\.)+(?=[^.]*[a-z]){_LABEL}")
_HASH: Final = re.compile(r"(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128})")
_MAPPED: Final = bytes(10) + b"\xff\xff"
# 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/4 and broadcast; of IPv6 the loopback and all that is reserved beside it, and multicast.
_NOBODY: Final = re.compile(rb"\0{10}\xff\xff(?:[\0\x7f\xe0-\xef]|\xff{4})|(?!\0{10}\xff\xff)\0|\xff", re.DOTALL)
_LONGEST_DOMAIN: Final = 253
_DEFAULT_PORTS: Final = ("", "80", "443")
HASH_DIGITS: Final = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}


class Type(StrEnum):
    """What kind of thing is known to be bad. The words are stored."""

    ADDRESS = "address"
    NETWORK = "network"
    DOMAIN = "domain"
    URL = "url"
    HASH = "hash"


class BadValue(ValueError):
    """A value that cannot be an indicator; the message says why."""


@dataclass(frozen=True, slots=True)
class Value:
    """A normalised value. `address` and `prefix` are set for addresses and networks."""

    type: Type
    text: str
    address: bytes | None = None
    prefix: int = 0


def address(text: str) -> Value:
    """An address, or a network in CIDR notation. Private ones are taken: a feed of one's own may name them."""
    text = text.strip()
    length = 128
    try:
        if "/" in text:
            network = ip_network(text)
            first, length = network.network_address, network.prefixlen + _MAPPED_BITS * (network.version == 4)
        else:
            first = ip_address(text)
    except ValueError as error:
        what = "has bits set beyond its prefix" if "host bits" in str(error) else "is neither an address nor a network"
        raise BadValue(f"{text[:100]!r} {what}") from None
    if isinstance(first, IPv6Address) and first.ipv4_mapped and length >= _MAPPED_BITS:
        first = first.ipv4_mapped
    packed = _MAPPED + first.packed if first.version == 4 else first.packed
    own = length - _MAPPED_BITS if first.version == 4 else length
    if own < _WIDEST[first.version]:
        raise BadValue(f"{text} is too wide: at least /{_WIDEST[first.version]} is asked of IPv{first.version}")
    if "%" in text:
        raise BadValue(f"{text[:100]!r} has a zone: it is known on one machine alone")
    if _NOBODY.match(packed):
        raise BadValue(f"{text} is nobody's address: any machine may use it")
    return Value(Type.ADDRESS, str(first), packed, length) if length == 128 else Value(Type.NETWORK, f"{first}/{own}", packed, length)


def domain(text: str) -> Value:
    """A domain of at least two labels; `*.` before it says what holds anyway."""
    name = text.strip().removeprefix("*.")
    found = _a_labels(name.lower().removesuffix("."))
    if found is None or len(found) > _LONGEST_DOMAIN or not _DOMAIN.fullmatch(found):
        raise BadValue(f"{text.strip()[:100]!r} is not a domain of two labels or more")
    return Value(Type.DOMAIN, found)


def url(text: str) -> Value:
    """A URL with a host."""
    text = text.strip()
    found = canonical_url(text)
    if found is None or len(found.encode("utf-8", "surrogatepass")) > LONGEST or re.search(r"[\s\x00-\x1f]", found):
        raise BadValue(f"{text[:100]!r} is not a URL with a host, or longer than {LONGEST} bytes")
    host = host_of_url(text)
    if not host.startswith("["):
        try:
            IPv4Address(host)
        except ValueError:
            if not _DOMAIN.fullmatch(host):
                raise BadValue(f"{text[:100]!r} has no host that is a domain of two labels or an address") from None
    return Value(Type.URL, found)


def file_hash(text: str, algorithm: str = "") -> Value:
    """A hash of a file; of `algorithm` (a key of HASH_DIGITS) if that is given."""
    found = text.strip().lower()
    if not _HASH.fullmatch(found) or (algorithm and len(found) != HASH_DIGITS[algorithm]):
        raise BadValue(f"{text.strip()[:140]!r} is not a hash of {algorithm or 'MD5, SHA-1, SHA-256 or SHA-512'} in hexadecimal digits")
    return Value(Type.HASH, found)


def guess(text: str) -> Value:
    """A value whose kind is not told."""
    text = text.strip()
    if "://" in text:
        return url(text)
    if _HASH.fullmatch(text.lower()):
        return file_hash(text)
    try:
        return address(text)
    except BadValue as error:
        if "neither" not in str(error):
            raise
    if re.search(r"/\d*$", text) and not re.search(r"[a-z]", text.partition("/")[0], re.IGNORECASE):
        raise BadValue(f"{text[:100]!r} is no network, and no URL without a scheme")
    return url(text) if "/" in text else domain(text)


READERS: Final = {Type.ADDRESS: address, Type.NETWORK: address, Type.DOMAIN: domain, Type.URL: url, Type.HASH: file_hash}


@lru_cache(_REMEMBERED)
def host_of_name(text: str) -> str:
    """The host in an event's host or DNS name, which may have a port."""
    return _host(re.split(r"[:/?#]", text, maxsplit=1)[0])


@lru_cache(_REMEMBERED)
def host_of_url(text: str) -> str:
    """The host of an event's URL, '' where it is a path alone."""
    parts = _parts(text)
    return parts[0] if parts else ""


@lru_cache(_REMEMBERED)
def canonical_url(text: str) -> str | None:
    """`host[:port]/path[?query]`; None when it is a path alone or its host is empty."""
    parts = _parts(text)
    if parts is None or not parts[0]:
        return None
    host, port, rest = parts
    return host + port + ("" if rest.startswith("/") else "/") + rest


@lru_cache(_REMEMBERED)
def url_of(name: str, path: str) -> str | None:
    """The canonical URL that a path makes with the host that stands apart from it; None when the host is empty."""
    host = host_of_name(name)
    port = re.split(r"[/?#]", name, maxsplit=1)[0].partition(":")[2]
    rest = path.partition("#")[0]
    if not host and not port:
        return None
    return host + ("" if port in _DEFAULT_PORTS else f":{port}") + ("" if rest.startswith("/") else "/") + rest


def _parts(text: str) -> tuple[str, str, str] | None:
    """Host, port with its colon ('' for 80 and 443), and what follows up to the fragment."""
    mark = re.search(r"[:/?#]", text)
    if mark and text.startswith("://", mark.start()):
        text = text[mark.start() + 3 :]
    elif mark and mark.start() == 0:
        return None
    authority = re.split(r"[/?#]", text, maxsplit=1)[0]
    rest = text[len(authority) :].partition("#")[0]
    authority = authority.rpartition("@")[2]
    if authority.startswith("["):
        return authority.lower(), "", rest
    host, _, port = authority.partition(":")
    return _host(host), "" if port in _DEFAULT_PORTS else f":{port}", rest


def _host(text: str) -> str:
    name = text.lower().removesuffix(".")
    return name if name.isascii() else _a_labels(name) or name


def _a_labels(name: str) -> str | None:
    if name.isascii():
        return name
    try:
        return idna.encode(name, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return None


def other_spelling(name: str) -> str:
    """A host or URL whose host is in A-labels, with the host as people write it; '' when there is no such."""
    host, slash, rest = name.partition("/")
    if "xn--" not in host:
        return ""
    try:
        return idna.decode(host.partition(":")[0]) + host[len(host.partition(":")[0]) :] + slash + rest
    except (idna.IDNAError, UnicodeError):
        return ""


def is_at(type_: str, value: str, host: str) -> bool:
    """Whether an indicator that is a domain or an address speaks of `host`."""
    return host == value or (type_ == Type.DOMAIN and host.endswith("." + value))


def parents(value: Value) -> list[str]:
    """The texts of every indicator that would speak of `value`: itself, the domains it lies in, the networks around it."""
    if value.address is not None:
        packed = ip_address(value.address)
        v4 = packed.ipv4_mapped if isinstance(packed, IPv6Address) else None
        one: IPv4Address | IPv6Address = v4 or packed
        own = value.prefix - _MAPPED_BITS if v4 else value.prefix
        around = [
            str(ip_network((one, length), strict=False)) for length in range(_WIDEST[one.version], min(own, one.max_prefixlen - 1) + 1)
        ]
        return [value.text, *around]
    host = value.text if value.type is Type.DOMAIN else value.text.partition("/")[0].partition(":")[0] if value.type is Type.URL else ""
    labels = host.split(".") if host else []
    return [value.text, *(".".join(labels[start:]) for start in range(len(labels) - 1))]
