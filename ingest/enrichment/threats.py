"""Known-bad lists: text files of addresses, networks and domains, one a line, each file under a name of the operator's.

A `#` begins a comment. A domain stands for all names below it, too. What is said of an address or a name is the lists that hold it,
joined by commas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from core.errors import DictionaryError
from ingest.enrichment.networks import Network, NetworkTable, network

_DOMAIN: Final = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")
_REMEMBERED: Final = 100_000


@dataclass(frozen=True, slots=True)
class ThreatList:
    """One list, as read. `domains` are in lower case, without dots at their ends."""

    networks: tuple[Network, ...]
    domains: frozenset[str]

    @property
    def entries(self) -> int:
        return len(self.networks) + len(self.domains)


class Threats:
    """All lists together."""

    def __init__(self, lists: Mapping[str, ThreatList]) -> None:
        every = ((one, (name,)) for name, listed in sorted(lists.items()) for one in listed.networks)
        self.networks: NetworkTable[tuple[str, ...]] = NetworkTable(every, told=_together, nothing=())
        self._domains = _by_domain(lists)
        self.domain = lru_cache(_REMEMBERED)(self._domain)

    @property
    def has_networks(self) -> bool:
        return len(self.networks.values) > 1

    @property
    def has_domains(self) -> bool:
        return bool(self._domains)

    def _domain(self, name: str) -> str:
        """The lists that hold `name` or a domain it lies in, joined by commas."""
        found: set[str] = set()
        rest = name.strip().rstrip(".").lower()
        while rest:
            found.update(self._domains.get(rest, ()))
            rest = rest.partition(".")[2]
        return ",".join(sorted(found))


def _together(inside: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({name for names in inside for name in names}))


def _by_domain(lists: Mapping[str, ThreatList]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, listed in sorted(lists.items()):
        for domain in listed.domains:
            found[domain] = (*found.get(domain, ()), name)
    return found


def load(file: Path) -> ThreatList:
    """The list in `file`; OSError when it cannot be read, DictionaryError with the line when it is wrong."""
    networks: dict[Network, None] = {}
    domains: set[str] = set()
    for line, entry in _entries(file):
        domain = entry.lower().removeprefix("*.").strip(".")
        if _DOMAIN.fullmatch(domain) and not domain.rpartition(".")[2].isdigit():
            domains.add(domain)
            continue
        try:
            networks[network(entry)] = None
        except ValueError as error:
            raise DictionaryError(file, f"{error}, nor a domain" if "neither" in str(error) else str(error), line) from None
    return ThreatList(tuple(networks), frozenset(domains))


def _entries(file: Path) -> Iterable[tuple[int, str]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DictionaryError(file, f"is not UTF-8: {error}") from error
    for line, content in enumerate(text.splitlines(), 1):
        entry = content.partition("#")[0].strip()
        if entry:
            yield line, entry
