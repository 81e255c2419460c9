"""A share as STIX 2.1 objects: the same share gives the same ids and bytes, whoever makes them and whenever.

- Ids are UUIDs (version 5) of the share's seed, the type and what names the object; a part that was redacted for a recipient has an id of
  its own for this recipient, for it is another object. Addresses, domains and URLs have the ids STIX prescribes (2.9).
- An object here has neither `modified` nor signature: `publishing` knows which versions there were.
- What stands by itself (`GLOBAL`) is shared between shares and has no share's id.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from respond.cases.canonical import canonical
from respond.sharing.content import Content, Indicator, Observed
from respond.sharing.redaction import Redacted
from respond.sharing.signed import DEFINITION
from respond.sharing.tlp import marking

GLOBAL: Final = frozenset({"identity", "marking-definition", "extension-definition", "ipv4-addr", "ipv6-addr", "domain-name", "url"})
UNVERSIONED: Final = frozenset({"marking-definition", "extension-definition", "ipv4-addr", "ipv6-addr", "domain-name", "url"})
"""Types of which there is one version alone."""
_SCO: Final = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")  # STIX 2.1, 2.9
_OURS: Final = uuid.UUID("5a0c58a5-6d0f-5b6e-8a43-2f4ab1b8c0de")
_SINCE: Final = "2026-01-01T00:00:00.000Z"
_HASHES: Final = {32: "MD5", 40: "'SHA-1'", 64: "'SHA-256'", 128: "'SHA-512'"}
_INDICATOR_TYPE: Final = "malicious-activity"
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """A share as one recipient ('' the centre itself) is to get it.

    `creator` is the centre's identity object, `victim` that of the agency where it happened, or None where that is not to be seen.
    """

    number: str
    seed: str
    recipient: str
    tlp: str
    report_type: str
    redacted: Redacted
    first_released_at: datetime
    creator: Object
    victim: Object | None


def seed(key: str, number: str) -> str:
    """The UUID from which a share's ids are made; `key` is the centre's public key, so that two centres never make the same."""
    return str(uuid.uuid5(_OURS, f"{key}|{number}"))


def identity(key: str, name: str, *, agency: str = "") -> Object:
    """The identity of the centre, or of an agency."""
    return {
        **{"type": "identity", "spec_version": "2.1", "id": f"identity--{uuid.uuid5(_OURS, f'{key}|identity|{agency}|{name}')}"},
        **{"created": _SINCE, "name": name, "identity_class": "organization"},
    }


def stamp(at: datetime) -> str:
    """An instant as STIX writes it, to the millisecond."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def objects(view: View) -> list[Object]:
    """Every object of the view, those that others name first; without `modified` and signatures."""
    return _Composer(view).all()


class _Composer:
    def __init__(self, view: View) -> None:
        self._view = view
        self._content: Content = view.redacted.content
        self._ids = set[str]()

    def all(self) -> list[Object]:
        view = self._view
        parts = self._parts()
        seen = self._seen([one for one in parts if one["type"] == "indicator"])
        beside = [view.victim] if view.victim else []
        links = self._links(parts)
        named = [*beside, *parts, *links, *seen]
        report = self._made("report", "report", altered=not view.redacted.whole) | self._about()
        report["object_refs"] = [one["id"] for one in named] or [view.creator["id"]]
        return [view.creator, {**DEFINITION, "created_by_ref": view.creator["id"]}, marking(view.tlp), *named, report]

    def _about(self) -> Object:
        content = self._content
        about: Object = {"name": content.title, "report_types": [self._view.report_type], "published": stamp(self._view.first_released_at)}
        if content.summary:
            about["description"] = content.summary
        return about | {"external_references": [{"source_name": "bongsu", "external_id": self._view.number}]}

    def _parts(self) -> list[Object]:
        content = self._content
        found = [self._indicator(place, one) for place, one in enumerate(content.indicators)]
        for place, software in enumerate(content.malware):
            made = self._part("malware", "malware", place, software.name) | {"name": software.name, "is_family": software.family}
            if software.types:
                made["malware_types"] = list(software.types)
            found.append(_described(made, software.description))
        for place, hole in enumerate(content.vulnerabilities):
            made = self._part("vulnerability", "vulnerabilities", place, hole.name) | {"name": hole.name}
            if hole.name.upper().startswith("CVE-"):
                made["external_references"] = [{"source_name": "cve", "external_id": hole.name.upper()}]
            found.append(_described(made, hole.description))
        for place, means in enumerate(content.techniques):
            made = self._part("attack-pattern", "techniques", place, means.id) | {"name": means.name or means.id}
            made["external_references"] = [{"source_name": "mitre-attack", "external_id": means.id}]
            found.append(made)
        for place, measure in enumerate(content.measures):
            made = self._part("course-of-action", "measures", place, measure.name) | {"name": measure.name}
            found.append(_described(made, measure.description))
        return found

    def _indicator(self, place: int, one: Indicator) -> Object:
        made = self._part("indicator", "indicators", place, f"{one.type}|{one.value}")
        made |= {"name": one.value[:300], "indicator_types": [_INDICATOR_TYPE], "pattern": pattern(one), "pattern_type": "stix"}
        made["valid_from"] = stamp(one.valid_from or self._view.first_released_at)
        if one.valid_until and stamp(one.valid_until) > made["valid_from"]:
            made["valid_until"] = stamp(one.valid_until)
        if one.confidence is not None:
            made["confidence"] = one.confidence
        return _described(made, one.description)

    def _links(self, parts: Sequence[Object]) -> list[Object]:
        """Which means the indicators speak of, and which measures are taken against which means."""
        of = {
            kind: [one for one in parts if one["type"] == kind] for kind in ("indicator", "malware", "attack-pattern", "course-of-action")
        }
        means = [*of["malware"], *of["attack-pattern"]][:20]
        pairs = [(one, "indicates", other) for one in of["indicator"][:100] for other in means]
        pairs += [(one, "mitigates", other) for one in of["course-of-action"][:20] for other in means]
        made = []
        for source, word, target in pairs:
            one = self._made("relationship", f"{word}|{source['id']}|{target['id']}", altered=False)
            made.append(one | {"relationship_type": word, "source_ref": source["id"], "target_ref": target["id"]})
        return made

    def _seen(self, indicators: Sequence[Object]) -> list[Object]:
        """What was observed, and that the indicators were sighted."""
        sighted = self._content.sighted
        if sighted is None:
            return []
        times = {"first": stamp(sighted.first), "last": stamp(sighted.last)}
        values = list({one["id"]: one for one in map(self._value, self._content.observed)}.values())
        found, data = list(values), list[str]()
        if values:
            one = self._made("observed-data", "observed", altered=not self._view.redacted.whole)
            one |= {"first_observed": times["first"], "last_observed": times["last"], "number_observed": sighted.count}
            found.append(one | {"object_refs": [value["id"] for value in values]})
            data = [one["id"]]
        for indicator in indicators[:100]:
            one = self._made("sighting", indicator["id"], altered=not self._view.redacted.whole)
            one |= {"sighting_of_ref": indicator["id"], "first_seen": times["first"], "last_seen": times["last"], "count": sighted.count}
            if data:
                one["observed_data_refs"] = data
            if self._view.victim:
                one["where_sighted_refs"] = [self._view.victim["id"]]
            found.append(one)
        return found

    def _value(self, one: Observed) -> Object:
        kind = {"domain": "domain-name", "url": "url"}.get(one.type) or ("ipv6-addr" if ":" in one.value else "ipv4-addr")
        name = f"{kind}--{uuid.uuid5(_SCO, canonical({'value': one.value}))}"
        return {"type": kind, "spec_version": "2.1", "id": name, "value": one.value}

    def _part(self, kind: str, of: str, place: int, key: str) -> Object:
        return self._made(kind, key, altered=(of, place) in self._view.redacted.changed)

    def _made(self, kind: str, key: str, *, altered: bool) -> Object:
        """An object with its common properties. Two parts that became the same by redaction are told apart by their order."""
        whose = f"|{self._view.recipient}" if altered else ""
        space = uuid.UUID(self._view.seed)
        copy = 0
        while (name := f"{kind}--{uuid.uuid5(space, f'{kind}|{key}|{copy}{whose}')}") in self._ids:
            copy += 1
        self._ids.add(name)
        return {
            **{"type": kind, "spec_version": "2.1", "id": name, "created_by_ref": self._view.creator["id"]},
            "object_marking_refs": [marking(self._view.tlp)["id"]],
        }


def pattern(one: Indicator) -> str:
    """The STIX pattern of an indicator. A URL without a scheme stands for both."""
    value = one.value.replace("\\", "\\\\").replace("'", "\\'")
    if one.type == "hash":
        return f"[file:hashes.{_HASHES[len(one.value)]} = '{value}']"
    if one.type == "url":
        both = f"[url:value IN ('http://{value}', 'https://{value}')]"
        return f"[url:value = '{value}']" if "://" in value else both
    if one.type == "domain":
        return f"[domain-name:value = '{value}']"
    family = "ipv6-addr" if ":" in value else "ipv4-addr"
    return f"[{family}:value {'ISSUBSET' if one.type == 'network' else '='} '{value}']"


def _described(made: Object, description: str) -> Object:
    return made | {"description": description} if description else made
