"""What of a share a recipient may see: texts lose what is to be hidden, values that name it are left out whole.

- Names of agencies are found in any writing of capitals, addresses of the inside in IPv4 and IPv6, also with their dots written as `[.]`.
- `Redactor.dirty` is the one judge: what `text` would change is what must not be there. `check` looks at the finished objects again, so
  that a defect in between refuses the release instead of telling.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final
from urllib.parse import unquote

from core.errors import Invalid
from respond.policies import Part
from respond.sharing.content import PARTS, Content
from respond.sharing.policy import Rule

REMOVED: Final = "[가림/removed]"
_DOT: Final = r"(?:\.|\[\.\]|\(\.\)|\{\.\}|\[dot\])"
_V4: Final = re.compile(rf"(?<!\d)(\d{{1,3}}(?:{_DOT}\d{{1,3}}){{3}})(?!\d)", re.IGNORECASE)
_V6: Final = re.compile(r"(?<![0-9A-Fa-f:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![0-9A-Fa-f:])")
_DOTS: Final = re.compile(_DOT, re.IGNORECASE)
_ACCOUNT: Final = re.compile(r"[\w.+-]+(?:@|\[at\]|\(at\))[\w-]+(?:\.[\w-]+)*", re.IGNORECASE)
_WORD_ALONE: Final = 3
"""A name of so few letters or less, in ASCII, is one only where it stands as a word."""
_FOR_MACHINES: Final = re.compile(
    r"id|type|spec_version|created|modified|.*_refs?|.*_type|report_types|indicator_types|.*_(?:from|until|seen|observed)|published|source_name"
)
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Hidden:
    """What one recipient must not see. `rule` is the name of the rule that says so, `recipient` whose view it is."""

    rule: str
    recipient: str
    names: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    accounts: bool = False
    sightings: bool = False


@dataclass(frozen=True, slots=True)
class Redacted:
    """A content as a recipient may see it. `changed` names the parts (list, place in it) that differ; `whole`: nothing was taken out."""

    content: Content
    changed: frozenset[tuple[str, int]] = field(default_factory=frozenset)
    whole: bool = True


class Redactor:
    """Takes out what `hidden` names."""

    def __init__(self, hidden: Hidden) -> None:
        self._hidden = hidden
        names = sorted({_plain(name).strip() for name in hidden.names} - {""}, key=lambda name: (-len(name), name))
        self._names = re.compile("|".join(_pattern(name) for name in names), re.IGNORECASE) if names else None

    def text(self, text: str) -> str:
        """`text` with REMOVED where it named what is hidden; as it is where it named nothing."""
        plain = _plain(text)
        left = self._without(plain)
        return text if left == plain else left

    def _without(self, text: str) -> str:
        if self._hidden.accounts:
            text = _ACCOUNT.sub(REMOVED, text)
        if self._hidden.networks:
            text = _V6.sub(self._inside, _V4.sub(self._inside, text))
        return self._names.sub(REMOVED, text) if self._names else text

    def dirty(self, text: str) -> bool:
        """Whether `text` names what is hidden; also where it is written with percent signs."""
        return self.text(text) != text or self.text(unquote(text)) != unquote(text)

    def content(self, content: Content) -> Redacted:
        """The content as it may be seen."""
        parts: dict[str, tuple[Part, ...]] = {}
        changed, whole = set[tuple[str, int]](), True
        for name in PARTS:
            kept = [(one, seen) for one in getattr(content, name) if (seen := self._part(one)) is not None]
            parts[name] = tuple(seen for _, seen in kept)
            changed |= {(name, place) for place, (one, seen) in enumerate(kept) if seen != one}
            whole = whole and len(kept) == len(getattr(content, name))
        title, summary = self.text(content.title), self.text(content.summary)
        sighted = None if self._hidden.sightings else content.sighted
        whole = whole and not changed and (title, summary, sighted) == (content.title, content.summary, content.sighted)
        left = content.model_copy(update={**parts, "title": title, "summary": summary, "sighted": sighted})
        return Redacted(left if not whole else content, frozenset(changed), whole)

    def check(self, objects: Iterable[Mapping[str, Any]]) -> None:
        """Invalid when anything hidden stands in finished objects."""
        for one in objects:
            if one["type"] in ("identity", "marking-definition", "extension-definition"):
                continue
            if found := next((path for path, text in _texts(one, "") if self.dirty(text)), ""):
                raise Invalid(f"{found} of a {one['type']} names what {self._hidden.recipient} must not see: write it otherwise")

    def _inside(self, match: re.Match[str]) -> str:
        try:
            address = ip_address(_DOTS.sub(".", match[0]))
        except ValueError:
            return match[0]
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return REMOVED if any(address in network for network in self._hidden.networks) else match[0]

    def _part(self, one: Part) -> Part | None:
        """A part as it may be seen; None when its value must not be."""
        fields = {name: value for name, value in one.model_dump().items() if isinstance(value, str)}
        if any(self.dirty(fields.get(name, "")) for name in ("value", "id")):
            return None
        seen = {name: self.text(value) for name, value in fields.items() if value and name not in ("value", "id", "type", "source", "tlp")}
        if "types" in type(one).model_fields:
            seen["types"] = tuple(word for word in one.types if not self.dirty(word))  # type: ignore[assignment, attr-defined]
        return one.model_copy(update=seen)


def hidden(rule: Rule, recipient: str, names: Mapping[str, Sequence[str]], networks: Sequence[Network]) -> Hidden:
    """What `rule` hides from `recipient`; `names` are those of every agency, by id."""
    others = [name for agency, known in names.items() if agency != recipient for name in (agency, *known)]
    own = {recipient, *names.get(recipient, ())}
    return Hidden(
        rule.name,
        recipient,
        tuple(name for name in others if name and name not in own) if "agency_names" in rule.remove else (),
        tuple(networks) if "internal_addresses" in rule.remove else (),
        "accounts" in rule.remove,
        "sightings" in rule.remove,
    )


def _plain(text: str) -> str:
    """Text as it is compared: composed, in plain widths, without what is not seen (Unicode NFKC, category Cf)."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", text) if unicodedata.category(sign) != "Cf")


def _pattern(name: str) -> str:
    found = re.escape(name)
    return rf"(?<![A-Za-z0-9]){found}(?![A-Za-z0-9])" if name.isascii() and len(name) <= _WORD_ALONE else found


def _texts(value: Any, path: str) -> Iterable[tuple[str, str]]:
    """Every text of an object that is not for machines alone, with where it stands."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if not _FOR_MACHINES.fullmatch(name) and name != "extensions":
                yield from _texts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, path)
