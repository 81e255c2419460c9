"""Literals in ClickHouse SQL.

A rule's expression is made once and runs in many places, so its values stand in it as literals, and this module is the only one that
writes them. Strings may stand for bytes that are no text (`detect.modifiers`); those, and control characters, are written `\\xHH`.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from detect.modifiers import as_bytes
from detect.tree import Pattern, Wild

_MAPPED = IPv6Network("::ffff:0:0/96")


def string(text: str) -> str:
    """`text` as a string literal."""
    if text.isprintable():
        escaped = text.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return "'" + "".join(_character(character) for character in text) + "'"


def _character(character: str) -> str:
    if character in ("'", "\\"):
        return "\\" + character
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02X}" for byte in as_bytes(character))


def number(value: int | float) -> str:
    """`value` as a number literal."""
    return repr(value)


def address(value: IPv4Address | IPv6Address) -> str:
    """`value`, to be compared with an IPv6; IPv4 is mapped into it.

    The engine reads the text once when it is compared with a column; a conversion written out would cost more than the comparison.
    """
    return f"'{value}'" if isinstance(value, IPv6Address) else f"'::ffff:{value}'"


def ranges(network: IPv4Network | IPv6Network) -> list[tuple[str, str]]:
    """The first and last address of `network` as IPv6; in two parts where an IPv6 network lies round the mapped IPv4 addresses."""
    if isinstance(network, IPv4Network):
        return [(address(network.network_address), address(network.broadcast_address))]
    first, last = network.network_address, network.broadcast_address
    if not network.supernet_of(_MAPPED) or network == _MAPPED:
        return [(address(first), address(last))]
    below, above = _MAPPED.network_address - 1, _MAPPED.broadcast_address + 1
    return [(address(first), address(below)), (address(above), address(last))]


def like(pattern: Pattern) -> str:
    """The LIKE pattern of `pattern`, not yet a literal."""
    signs = {Wild.MANY: "%", Wild.ONE: "_"}
    return "".join(
        signs[part] if isinstance(part, Wild) else part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        for part in pattern.parts
    )
