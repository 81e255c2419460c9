"""Signatures on STIX objects: Ed25519 over each object, carried in the object itself, so that they survive any TAXII client (CO 22(2)).

The signature is a property extension of the object (STIX 2.1, 7.3). It covers the object without this extension as canonical JSON (sorted
keys, no blanks, UTF-8), as a thing of kind `shared object` (`core.signing`). The markings of TLP 2.0 are OASIS's and stand unsigned.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from core.errors import Invalid
from core.signing import Signer, Verifier
from respond.cases.canonical import canonical
from respond.sharing.tlp import MARKINGS

KIND: Final = "shared object"
EXTENSION: Final = "extension-definition--6f1c4a39-2b0d-5f7e-9c58-7d2f0e8b41a6"
Object = dict[str, Any]
DEFINITION: Final[Object] = {
    **{"type": "extension-definition", "spec_version": "2.1", "id": EXTENSION},
    **{"created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z"},
    "name": "Ed25519 signature of a shared object",
    "description": "key and signature (base64); the signature covers the object without this extension, see docs/sharing.md",
    **{"schema": "urn:bongsu:shared-object-signature:1", "version": "1.0.0", "extension_types": ["property-extension"]},
}
"""The extension's own definition, but for who created it. STIX gives it no extensions, so it stands unsigned."""


def sign(one: Mapping[str, Any], signer: Signer) -> Object:
    """The object with its signature."""
    bare = _bare(one)
    told = {"extension_type": "property-extension", "key": signer.text, "signature": signer.sign(KIND, canonical(bare).encode())}
    return {**bare, "extensions": {**bare.get("extensions", {}), EXTENSION: told}}


def is_signed(one: Mapping[str, Any], verifier: Verifier) -> bool:
    """Whether `verifier`'s key signed the object as it stands."""
    told = _mapping(_mapping(one.get("extensions")).get(EXTENSION))
    signature = told.get("signature")
    return isinstance(signature, str) and verifier.verifies(KIND, canonical(_bare(one)).encode(), signature)


@dataclass
class Verified:
    """What a check of shared objects found; `problems` is empty when all is whole."""

    objects: int = 0
    revoked: int = 0
    reports: list[str] = field(default_factory=list)
    signed_by: str = ""
    problems: list[str] = field(default_factory=list)


def verify(content: bytes, verifier: Verifier | None = None) -> Verified:
    """Check a STIX bundle, a TAXII envelope or a list of objects.

    Without `verifier` the key it names itself is used, and whose that is remains to be asked.
    """
    found = Verified()
    try:
        told = json.loads(content)
        objects = told if isinstance(told, list) else told["objects"]
        if not objects or not all(isinstance(one, dict) and isinstance(one.get("id"), str) for one in objects):
            raise ValueError("it holds no STIX objects")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        found.problems.append(f"it is no STIX bundle or TAXII envelope: {error}")
        return found
    key = verifier or _own_key(objects, found)
    if key is not None:
        found.signed_by = key.key_id
        _check(objects, key, found)
    return found


def _own_key(objects: list[Object], found: Verified) -> Verifier | None:
    for one in objects:
        text = _mapping(_mapping(one.get("extensions")).get(EXTENSION)).get("key")
        if isinstance(text, str):
            try:
                return Verifier.of(text)
            except Invalid as error:
                found.problems.append(str(error))
                return None
    found.problems.append("nothing in it is signed")
    return None


def _check(objects: list[Object], key: Verifier, found: Verified) -> None:
    there = {one["id"] for one in objects}
    for one in objects:
        found.objects += 1
        name = one["id"]
        if name in MARKINGS:
            if one != MARKINGS[name]:
                found.problems.append(f"{name} is not the marking OASIS defines")
            continue
        if name == EXTENSION:
            if {field_name: value for field_name, value in one.items() if field_name != "created_by_ref"} != DEFINITION:
                found.problems.append(f"{name} is not the definition of our signatures")
            continue
        if not _signed(one, key):
            found.problems.append(f"{name} is not signed with the key {key.key_id}, or was changed")
        found.revoked += one.get("revoked") is True
        if one.get("type") == "report":
            found.reports.append(str(one.get("name")))
            missing = [str(ref) for ref in one.get("object_refs") or [] if ref not in there]
            found.problems += [f"{ref} of the report {name} is missing" for ref in missing]


def _signed(one: Object, key: Verifier) -> bool:
    try:
        return is_signed(one, key)
    except (ValueError, TypeError):
        return False


def _bare(one: Mapping[str, Any]) -> Object:
    others = {name: value for name, value in _mapping(one.get("extensions")).items() if name != EXTENSION}
    bare = {name: value for name, value in one.items() if name != "extensions"}
    return bare | {"extensions": others} if others else bare


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
