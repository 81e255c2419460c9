"""Country and autonomous system of public addresses, by database files in MaxMind's format that the operator provides.

Understood are the records of GeoLite2 and GeoIP2, of DB-IP and IP2Location (the same shape), and the flat ones of IPinfo.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import maxminddb

from core.errors import DictionaryError

T = TypeVar("T")
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"
_REMEMBERED: Final = 200_000  # addresses


class AutonomousSystem(NamedTuple):
    """Its number and its holder; None and '' when unknown."""

    number: int | None = None
    holder: str = ""


def country(record: Mapping[str, Any]) -> str:
    """The two letters of a record's country, '' when it tells none: where the address is, else where it is registered."""
    for key in ("country", "registered_country", "country_code"):
        told = record.get(key)
        word = told.get("iso_code") if isinstance(told, Mapping) else told
        if isinstance(word, str) and len(word) == 2:
            return word.upper()
    return ""


def autonomous_system(record: Mapping[str, Any]) -> AutonomousSystem:
    """The system of a record."""
    number = record.get("autonomous_system_number", record.get("asn"))
    holder = record.get("autonomous_system_organization", record.get("as_name", record.get("name")))
    if isinstance(number, str):
        digits = number.upper().removeprefix("AS")
        number = int(digits) if digits.isdecimal() else None
    known = isinstance(number, int) and 0 <= number < 1 << 32
    return AutonomousSystem(number if known else None, holder if isinstance(holder, str) else "")


class AddressDatabase(Generic[T]):
    """One open file."""

    def __init__(self, file: Path, told: Callable[[Mapping[str, Any]], T], nothing: T) -> None:
        """`told` makes of a record what is wanted. OSError when the file cannot be read, DictionaryError when it is no such database."""
        try:
            self._reader = _opened(file)
        except (maxminddb.InvalidDatabaseError, ValueError) as error:
            raise DictionaryError(file, f"is not a database in MaxMind's format: {error}") from error
        self._told = told
        self._nothing = nothing
        metadata = self._reader.metadata()
        self.entries = metadata.node_count
        self.description = f"{metadata.database_type}, {metadata.node_count:,} nodes"

    def find(self, packed: bytes) -> T:
        """What is told of an address of 16 bytes."""
        ours = packed[12:] if packed.startswith(_MAPPED) else packed
        try:
            record = self._reader.get(socket.inet_ntop(socket.AF_INET if len(ours) == 4 else socket.AF_INET6, ours))
        except ValueError:  # an address of IPv6 in a database of IPv4
            return self._nothing
        return self._told(record) if isinstance(record, Mapping) else self._nothing


class Geography:
    """Both databases, of which either may be missing. The addresses asked for most lately are remembered."""

    def __init__(self, countries: AddressDatabase[str] | None, systems: AddressDatabase[AutonomousSystem] | None) -> None:
        self.countries = countries
        self.systems = systems
        self.find = lru_cache(_REMEMBERED)(self._find)

    def _find(self, packed: bytes) -> tuple[str, int | None, str]:
        """Country, number and holder of the autonomous system of an address of 16 bytes."""
        country = self.countries.find(packed) if self.countries else ""
        return (country, *(self.systems.find(packed) if self.systems else AutonomousSystem()))


def _opened(file: Path) -> maxminddb.Reader:
    """A reader of a copy without a name: it maps its file into memory, and one that is overwritten in place would end the process."""
    with tempfile.NamedTemporaryFile(prefix="bongsu-") as copy, file.open("rb") as original:
        shutil.copyfileobj(original, copy)
        copy.flush()
        return maxminddb.open_database(copy.name)
