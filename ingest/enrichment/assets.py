"""The operator's inventory: a CSV or YAML file of `cidr, system, owner, importance` and, for networks of one agency alone, `agency`.

The longest prefix wins; of two of one length, the agency's own. Agencies use the same private networks: an entry with an agency says
nothing about another's events.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import yaml

from core.errors import DictionaryError
from ingest.enrichment.networks import Array, Network, NetworkTable, network

IMPORTANCE: Final = ("critical", "high", "medium", "low")
_NEEDED: Final = ("cidr", "system", "owner", "importance")
_FIELDS: Final = (*_NEEDED, "agency")


@dataclass(frozen=True, slots=True)
class Asset:
    """What the inventory says of an address. All are '' outside of it."""

    system: str = ""
    owner: str = ""
    importance: str = ""


UNKNOWN: Final = Asset()


class Assets:
    """An inventory, as read. What it says of an address is a number, 0 for nothing; `words` are the columns of what they mean."""

    def __init__(self, entries: Sequence[tuple[Network, str, Asset]]) -> None:
        """`entries` are a network, the agency it is limited to or '', and what is there."""
        self.entries = len(entries)
        self.of_agency = frozenset(agency for _, agency, _ in entries if agency)
        assets = tuple(dict.fromkeys([UNKNOWN, *(asset for _, _, asset in entries)]))
        self.words = {field: pa.array([getattr(asset, field) for asset in assets]) for field in ("system", "owner", "importance")}
        numbers = {asset: number for number, asset in enumerate(assets)}
        self._tables: dict[str, NetworkTable[int]] = {}
        for agency in ("", *self.of_agency):
            common = [(one, numbers[asset]) for one, limited, asset in entries if not limited]
            own = [(one, numbers[asset]) for one, limited, asset in entries if limited and limited == agency]
            self._tables[agency] = NetworkTable([*common, *own], told=lambda inside: inside[-1], nothing=0)

    def find(self, agency: str, addresses: Array) -> Array:
        """What is said of each address in the events of an agency that has entries of its own, or of any other ('')."""
        table = self._tables[agency]
        return np.array(table.values)[table.find(addresses)]


def load(file: Path, agencies: Collection[str]) -> Assets:
    """The inventory in `file`; OSError when it cannot be read, DictionaryError with the line when it is wrong.

    `agencies` are the ids an entry may be limited to.
    """
    rows = _yaml_rows(file) if file.suffix.lower() in (".yaml", ".yml") else _csv_rows(file)
    seen: dict[tuple[Network, str], int] = {}
    entries = []
    for line, row in rows:
        one, agency, asset = _entry(file, line, row)
        if agency and agency not in agencies:
            raise DictionaryError(file, f"there is no agency {agency!r} in the settings", line)
        if (one, agency) in seen:
            raise DictionaryError(file, f"{one} stands in line {seen[one, agency]} already", line)
        seen[one, agency] = line
        entries.append((one, agency, asset))
    return Assets(entries)


def _entry(file: Path, line: int, row: dict[str, str]) -> tuple[Network, str, Asset]:
    for field in _NEEDED:
        if field != "owner" and not row.get(field):
            raise DictionaryError(file, f"{field} is missing", line)
    if row["importance"] not in IMPORTANCE:
        raise DictionaryError(file, f"importance is {row['importance']!r}, and must be one of {', '.join(IMPORTANCE)}", line)
    try:
        one = network(row["cidr"])
    except ValueError as error:
        raise DictionaryError(file, str(error), line) from None
    return one, row.get("agency", ""), Asset(row["system"], row.get("owner", ""), row["importance"])


def _csv_rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.reader(opened, strict=True)
        header: list[str] | None = None
        try:
            for row in reader:
                cells = [cell.strip() for cell in row]
                if not any(cells) or cells[0].startswith("#"):
                    continue
                if header is None:
                    header = _header(file, reader.line_num, cells)
                    continue
                if len(cells) != len(header):
                    raise DictionaryError(file, f"{len(cells)} cells under {len(header)} headings", reader.line_num)
                yield reader.line_num, dict(zip(header, cells, strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise DictionaryError(file, f"is not CSV in UTF-8: {error}", reader.line_num) from error


def _header(file: Path, line: int, cells: list[str]) -> list[str]:
    header = [cell.lower() for cell in cells]
    if set(header) - set(_FIELDS) or set(_NEEDED) - set(header) or len(set(header)) < len(header):
        raise DictionaryError(file, f"the first line must be the headings {','.join(_NEEDED)}[,agency]", line)
    return header


def _yaml_rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        tree = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        raise DictionaryError(file, f"is not YAML: {error.problem}", error.problem_mark.line + 1 if error.problem_mark else 0) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DictionaryError(file, f"is not YAML in UTF-8: {error}") from error
    if not isinstance(tree, yaml.SequenceNode):
        raise DictionaryError(file, f"must be a list of mappings of {', '.join(_FIELDS)}", 1)
    for node in tree.value:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            raise DictionaryError(file, f"each entry must be a mapping of {', '.join(_FIELDS)}", line)
        yield line, dict(_pair(file, key, value) for key, value in node.value)


def _pair(file: Path, key: Any, value: Any) -> tuple[str, str]:
    line = key.start_mark.line + 1
    if not isinstance(key, yaml.ScalarNode) or key.value not in _FIELDS or not isinstance(value, yaml.ScalarNode):
        raise DictionaryError(file, f"an entry has {', '.join(_FIELDS)}, each with one word", line)
    return key.value, value.value.strip()
