"""Exports of MISP in JSON: the attributes of events and of their objects that are marked for detection (`to_ids`).

Read are one event (`{"Event": ...}`), several (`{"response": [...]}` or an array), and the answer of an attribute search. Tags of an event
may come after its attributes, so the file is read twice. Attributes that are deleted or not `to_ids` are no indicators and passed over; of
an attribute with a port the address or name alone is taken, of one with a file name the hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from detect.indicators import values
from detect.indicators.json_stream import Place, elements, entered
from detect.indicators.model import Indicator, Read, Refused, instant, short, strictest, tlp_named
from detect.indicators.values import BadValue, Value

_EVENTS: Final[tuple[Place, ...]] = (("Event",), ("response", "*", "Event"), ("*", "Event"), ("response", "Event"))
_PARTS: Final = (("Tag",), ("Attribute", "*"), ("Object", "*"), ("Orgc",), ("info",))
_ATTRIBUTES: Final[tuple[Place, ...]] = (("response", "Attribute", "*"), ("Attribute", "*"))
_PLACES: Final = (*_ATTRIBUTES, *(event + part for event in _EVENTS for part in _PARTS))


def _hash(algorithm: str) -> Callable[[str], Value]:
    return lambda text: values.file_hash(text, algorithm)


_HASHES: Final = {name: _hash(name) for name in values.HASH_DIGITS}
_TYPES: Final[Mapping[str, tuple[Callable[[str], Value] | None, ...]]] = {
    "ip-src": (values.address,),
    "ip-dst": (values.address,),
    "ip-src|port": (values.address, None),
    "ip-dst|port": (values.address, None),
    "domain": (values.domain,),
    "hostname": (values.domain,),
    "hostname|port": (values.domain, None),
    "domain|ip": (values.domain, values.address),
    "url": (values.url,),
    **{name: (reader,) for name, reader in _HASHES.items()},
    **{f"filename|{name}": (None, reader) for name, reader in _HASHES.items()},
}
"""How each part of an attribute's value, between bars, is read; None: not at all."""


@dataclass
class _Event:
    """What an event says of all its attributes."""

    tlp: str = ""
    source: str = ""
    info: str = ""


def read(file: BinaryIO) -> Read:
    """The indicators of an export. Invalid (422) when the file is not JSON."""
    events = _events(file)
    number, place = -1, 0
    for where, value in elements(file, _PLACES):
        if entered(value):
            number += where in _EVENTS
            continue
        event = _Event() if where in _ATTRIBUTES else events[number]
        for attribute in _attributes(where[-2:], value):
            place += 1
            yield from _indicators(attribute, place, event)


def _events(file: BinaryIO) -> list[_Event]:
    found: list[_Event] = []
    for where, value in elements(file, _PLACES):
        if entered(value):
            if where in _EVENTS:
                found.append(_Event())
        elif where not in _ATTRIBUTES:
            if where[-1] == "Tag":
                found[-1].tlp = _level(value)
            elif where[-1] == "Orgc":
                found[-1].source = short(_mapping(value).get("name"))
            elif where[-1] == "info":
                found[-1].info = short(value)
    return found


def _attributes(part: Place, value: Any) -> Iterator[Mapping[str, Any]]:
    """The attribute itself, or those of an object."""
    own = _mapping(value)
    found = own.get("Attribute") if part == ("Object", "*") and own.get("deleted") is not True else [own]
    if part in (("Object", "*"), ("Attribute", "*")) and isinstance(found, list):
        yield from (one for one in found if isinstance(one, dict) and _is_meant(one))


def _is_meant(attribute: Mapping[str, Any]) -> bool:
    return attribute.get("to_ids") in (True, "1", 1) and attribute.get("deleted") not in (True, "1", 1)


def _indicators(attribute: Mapping[str, Any], place: int, event: _Event) -> Read:
    kind, text = str(attribute.get("type")), attribute.get("value")
    readers = _TYPES.get(kind)
    given = short(text)
    if readers is None or not isinstance(text, str):
        yield Refused(place, given, "unsupported", f"an attribute of type {short(kind)} is not matched here")
        return
    parts = text.rsplit("|", len(readers) - 1)
    if len(parts) != len(readers):
        yield Refused(place, given, "value", f"the value of an attribute of type {kind} has {len(readers)} parts")
        return
    try:
        found = [reader(part) for reader, part in zip(readers, parts, strict=True) if reader]
        first = instant(attribute.get("first_seen"))
    except (BadValue, ValueError) as error:
        yield Refused(place, given, "value" if isinstance(error, BadValue) else "malformed", str(error))
        return
    about = _mapping(attribute.get("Event"))
    for value in found:
        yield Indicator(
            value,
            valid_from=first,
            tlp=strictest(iter((event.tlp, _level(attribute.get("Tag"))))),
            source=event.source or short(_mapping(about.get("Orgc")).get("name")),
            labels=short(attribute.get("category")),
            reference=short(attribute.get("uuid")),
            description=short(attribute.get("comment")) or event.info or short(about.get("info")),
        )


def _level(tags: Any) -> str:
    names = [str(_mapping(tag).get("name")).lower() for tag in tags] if isinstance(tags, list) else []
    return strictest(tlp_named(name) for name in names if name.startswith("tlp:"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
