"""Which of many networks an address lies in, for a whole column of addresses at once.

Networks lie within one another or apart, so the line of all addresses falls into stretches, each inside the same networks from end to end.
A table keeps where each stretch begins and what is said of it; looking up is a binary search. Addresses are 16 bytes, IPv4 as IPv4-mapped
IPv6; a network of IPv6 that spans all of those says nothing about IPv4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Network = IPv4Network | IPv6Network
Array = npt.NDArray[Any]

_MAPPED: Final = 0xFFFF << 32
_MAPPED_LAST: Final = _MAPPED | 0xFFFFFFFF
_LAST: Final = (1 << 128) - 1
ADDRESS: Final = "S16"
"""The dtype of 16-byte addresses: compared byte by byte."""


def network(text: str) -> Network:
    """The network or the one address `text` names; ValueError says what is wrong with it."""
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is neither an address nor a network such as 192.0.2.0/24") from None
    raise ValueError(f"{text!r} has bits set beyond its prefix: {meant} is meant?")


class NetworkTable(Generic[T]):
    """What is said of addresses. `values` are the different things said; the first, `nothing`, is of all addresses outside."""

    def __init__(self, entries: Iterable[tuple[Network, T]], told: Callable[[Sequence[T]], T], nothing: T) -> None:
        """`told` says what comes of the entries an address lies in, the widest first; of a network given twice, the last entry is last."""
        numbers = {nothing: 0}
        starts: list[bytes] = []
        what: list[int] = []
        widest_first = sorted(entries, key=lambda entry: entry[0].prefixlen)  # parts of two networks may be the same span
        for start, inside in _stretches([(first, last, value) for one, value in widest_first for first, last in _spans(one)]):
            number = numbers.setdefault(told(inside) if inside else nothing, len(numbers))
            address = start.to_bytes(16, "big")
            if starts and starts[-1] == address:
                what[-1] = number
            else:
                starts.append(address)
                what.append(number)
        self.values: tuple[T, ...] = tuple(numbers)
        self._starts = np.array(starts, ADDRESS)
        self._what = np.array([0, *what], np.int32)

    def find(self, addresses: Array) -> Array:
        """Of each address (of dtype ADDRESS) the place in `values` of what is said about it."""
        return np.asarray(self._what[np.searchsorted(self._starts, addresses, side="right")])


def _spans(one: Network) -> Iterable[tuple[int, int]]:
    """First and last addresses as numbers of 128 bits."""
    base = _MAPPED if one.version == 4 else 0
    first, last = base + int(one.network_address), base + int(one.broadcast_address)
    if first >= _MAPPED or last < _MAPPED_LAST:
        return ((first, last),)
    return [(start, stop) for start, stop in ((first, _MAPPED - 1), (_MAPPED_LAST + 1, last)) if start <= stop]


def _stretches(spans: list[tuple[int, int, T]]) -> Iterable[tuple[int, list[T]]]:
    """Where stretches begin, in order, and the values of the spans they lie in, the widest first. Of one start the last said holds."""
    inside: list[tuple[int, T]] = []
    for first, last, value in sorted(spans, key=lambda span: (span[0], -span[1])):
        while inside and inside[-1][0] < first:
            yield inside.pop()[0] + 1, [told for _, told in inside]
        inside.append((last, value))
        yield first, [told for _, told in inside]
    while inside:
        last = inside.pop()[0]
        if last < _LAST:
            yield last + 1, [told for _, told in inside]
