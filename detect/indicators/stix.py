"""STIX 2.1 bundles: their indicators, with markings and creators looked up in the same bundle.

Only indicators are read. Marking definitions and identities may come after those that name them, so the file is read twice. Of several
markings, granular ones too, the strictest counts; the markings of TLP 1.0 (STIX 2.1, 7.2.1.4) and TLP 2.0 (OASIS extension definition) are
known by their ids. A revoked indicator takes the place of what it was, and is not in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

from detect.indicators import patterns
from detect.indicators.json_stream import elements, entered
from detect.indicators.model import Indicator, Read, Refused, instant, short, strictest, tlp_named
from detect.indicators.patterns import BadPattern

_PLACES: Final = (("objects", "*"), ("*",))
_TLP: Final = {
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": "clear",
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": "green",
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": "amber",
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "red",
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": "clear",
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": "green",
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": "amber",
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": "amber+strict",
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": "red",
}
_TLP_2: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
_REVOKED: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read(file: BinaryIO) -> Read:
    """The indicators of a bundle, or of an array of objects. Invalid (422) when the file is not JSON."""
    markings, names = dict(_TLP), dict[str, str]()
    for one in _objects(file):
        if one.get("type") == "marking-definition":
            markings[str(one.get("id"))] = markings.get(str(one.get("id"))) or _level(one)
        elif one.get("type") == "identity":
            names[str(one.get("id"))] = short(one.get("name"))
    place = 0
    for one in _objects(file):
        if one.get("type") == "indicator":
            place += 1
            yield from _indicators(one, place, markings, names)


def _objects(file: BinaryIO) -> Any:
    return (value for _, value in elements(file, _PLACES) if not entered(value) and isinstance(value, dict))


def _level(marking: Mapping[str, Any]) -> str:
    told = _mapping(_mapping(marking.get("extensions")).get(_TLP_2)).get("tlp_2_0")
    return tlp_named(told or _mapping(marking.get("definition")).get("tlp") or "")


def _indicators(one: Mapping[str, Any], place: int, markings: Mapping[str, str], names: Mapping[str, str]) -> Read:
    pattern = one.get("pattern")
    given = short(pattern or one.get("id"))
    if not isinstance(pattern, str) or one.get("pattern_type", "stix") != "stix":
        kind = short(one.get("pattern_type")) or "no"
        yield Refused(place, given, "pattern_type", f"a pattern of type {kind} is not read, only stix")
        return
    try:
        found = patterns.read(pattern)
        said = _said(one, markings, names)
    except BadPattern as error:
        yield Refused(place, given, error.word, str(error))
        return
    except ValueError as error:
        yield Refused(place, given, "malformed", f"valid_from, valid_until or confidence cannot be read: {error}")
        return
    for value in found:
        yield Indicator(value, **said)


def _said(one: Mapping[str, Any], markings: Mapping[str, str], names: Mapping[str, str]) -> dict[str, Any]:
    granular = [_mapping(each).get("marking_ref") for each in _list(one.get("granular_markings"))]
    refs = [*_list(one.get("object_marking_refs")), *granular]
    confidence = one.get("confidence")
    if confidence is not None and not (isinstance(confidence, int) and 0 <= confidence <= 100):
        raise ValueError(f"confidence {confidence!r} is not a whole number from 0 to 100")
    creator = str(one.get("created_by_ref") or "")
    return {
        "valid_from": instant(one.get("valid_from")),
        "valid_until": _REVOKED if one.get("revoked") is True else instant(one.get("valid_until")),
        "confidence": confidence,
        "tlp": strictest(markings.get(str(ref), "") for ref in refs),
        "source": names.get(creator) or short(creator),
        "labels": short(",".join(str(label) for label in [*_list(one.get("indicator_types")), *_list(one.get("labels"))])),
        "reference": short(one.get("id")),
        "description": short(one.get("description") or one.get("name")),
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
