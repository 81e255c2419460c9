"""The marking definitions of TLP 2.0, as the OASIS extension definition gives them (cti-stix-common-objects, tlp-2.0)."""

from __future__ import annotations

from typing import Any, Final

_EXTENSION: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
_IDS: Final = {
    "clear": "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
    "green": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "amber": "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    "amber+strict": "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
    "red": "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
}


def marking(level: str) -> dict[str, Any]:
    """The marking definition of a level."""
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": _IDS[level],
        "created": "2022-10-01T00:00:00.000Z",
        "name": f"TLP:{level.upper()}",
        "extensions": {_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": level}},
    }


MARKINGS: Final = {_IDS[level]: marking(level) for level in _IDS}
"""Every marking by its id."""
_NAMED: Final = {name: level for level, name in _IDS.items()} | {
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": "clear",
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": "green",
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": "amber",
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "red",
}


def level_of(marking_id: str) -> str:
    """The level a marking definition stands for, of TLP 2.0 or 1.0 (STIX 2.1, 7.2.1.4); '' when it is another."""
    return _NAMED.get(marking_id, "")
