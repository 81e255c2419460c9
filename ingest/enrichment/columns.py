"""The columns that dictionaries fill, for a whole batch: each distinct address and name is looked up once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingest.enrichment.assets import Assets
from ingest.enrichment.geography import Geography
from ingest.enrichment.library import Tables
from ingest.enrichment.networks import ADDRESS
from ingest.enrichment.threats import Threats

Array = npt.NDArray[Any]

_SIDES: Final = ("src", "dst")
_DIRECTIONS: Final = pa.array(["", "outbound", "inbound", "internal"])  # by 1 for a known source and 2 for a known destination


class _Distinct:
    """The different values of a column, and which of them each row has. What is NULL has the place after the last."""

    def __init__(self, column: pa.Array) -> None:
        encoded = column.dictionary_encode()
        self.found: pa.Array = encoded.dictionary
        self.index: Array = encoded.indices.fill_null(len(self.found)).to_numpy(zero_copy_only=False)

    @property
    def addresses(self) -> Array:
        """The values as `NetworkTable.find` takes them; of a column of addresses."""
        return self._as(ADDRESS)

    @property
    def packed(self) -> list[bytes]:
        """The values as 16 bytes each; of a column of addresses."""
        return self._as("V16").tolist()  # type: ignore[no-any-return]

    @property
    def texts(self) -> list[str]:
        """The values; of a column of text."""
        return self.found.to_pylist()  # type: ignore[no-any-return]

    def _as(self, dtype: str) -> Array:
        return np.frombuffer(self.found.buffers()[1], dtype, len(self.found)) if len(self.found) else np.zeros(0, dtype)

    def spread(self, told: Sequence[Any], nothing: Any, kind: pa.DataType) -> pa.Array:
        """What is told of each value, for each row."""
        return pa.array([*told, nothing], kind).take(pa.array(self.index))


def enrich(rows: pa.Table, tables: Tables) -> pa.Table:
    """`rows` of events with the columns that `tables` fill; those of dictionaries that are not there are left out."""
    columns: dict[str, pa.Array] = {}
    known: dict[str, Array] = {}
    for side in _SIDES:
        if not tables.by_address:
            break
        addresses = _Distinct(rows.column(f"{side}_ip").combine_chunks())
        if tables.assets is not None:
            known[side] = _assets(addresses, rows.column("agency"), tables.assets)
            for field, words in tables.assets.words.items():
                columns[f"{side}_{field}"] = words.take(pa.array(known[side]))
        if tables.geography is not None:
            columns |= {f"{side}_{field}": column for field, column in _geography(addresses, tables.geography).items()}
        if tables.threats is not None:
            columns[f"{side}_threat"] = _threats(addresses, tables.threats)
    if tables.threats is not None and tables.threats.has_domains:
        columns["domain_threat"] = _domain_threats(rows, tables.threats)
    for name, column in columns.items():
        rows = rows.append_column(name, column)
    return _with_directions(rows, known) if known else rows


def _assets(addresses: _Distinct, agencies: pa.ChunkedArray, assets: Assets) -> Array:
    """For each row the number of what the inventory says, 0 for nothing."""
    found = np.append(assets.find("", addresses.addresses), 0)[addresses.index]
    if assets.of_agency:
        of = _Distinct(agencies.combine_chunks())
        for place, agency in enumerate(of.texts):
            if agency in assets.of_agency:
                own = np.append(assets.find(agency, addresses.addresses), 0)
                theirs = of.index == place
                found[theirs] = own[addresses.index[theirs]]
    return np.asarray(found)


def _geography(addresses: _Distinct, geography: Geography) -> dict[str, pa.Array]:
    found = [geography.find(one) for one in addresses.packed]
    countries, numbers, holders = zip(*found, strict=True) if found else ((), (), ())
    columns = {}
    if geography.countries:
        columns["country"] = addresses.spread(countries, "", pa.string())
    if geography.systems:
        columns["asn"] = addresses.spread(numbers, None, pa.uint32())
        columns["as_org"] = addresses.spread(holders, "", pa.string())
    return columns


def _threats(addresses: _Distinct, threats: Threats) -> pa.Array:
    table = threats.networks
    places = np.append(table.find(addresses.addresses), 0)[addresses.index]
    return pa.array([",".join(names) for names in table.values]).take(pa.array(places))


def _domain_threats(rows: pa.Table, threats: Threats) -> pa.Array:
    """The lists that hold any of the names of a row."""
    told: list[str] = [""] * rows.num_rows
    for places, names in _names(rows):
        distinct = _Distinct(names)
        found = [threats.domain(_host(name)) for name in distinct.texts]
        if any(found):
            listed = np.array([bool(lists) for lists in found])[distinct.index]
            for place, value in zip(places[listed].tolist(), distinct.index[listed].tolist(), strict=True):
                told[place] = _joined((told[place], found[value]))
    return pa.array(told, pa.string())


def _names(rows: pa.Table) -> Iterator[tuple[Array, pa.Array]]:
    """Names and where they stand: domains, DNS names, and what URLs begin with after their scheme."""
    for column in ("domain", "dns_query"):
        places, names = _filled(rows.column(column).combine_chunks())
        yield places, names
    places, urls = _filled(rows.column("url").combine_chunks())
    schemed = pc.match_substring(urls, "://")
    for chosen, part in ((schemed, 2), (pc.invert(schemed), 0)):
        split = pc.split_pattern(urls.filter(chosen), "/", max_splits=part + 1)
        yield places[chosen.to_numpy(zero_copy_only=False)], pc.list_element(split, part)


def _filled(column: pa.Array) -> tuple[Array, pa.Array]:
    """The places of the values that are set, and these."""
    filled = pc.not_equal(column, "")
    return np.flatnonzero(filled.to_numpy(zero_copy_only=False)), column.filter(filled)


def _host(name: str) -> str:
    """A name without user, port and what follows a path that is missing."""
    return name.partition("?")[0].rpartition("@")[2].partition(":")[0]


def _joined(lists: Iterable[str]) -> str:
    return ",".join(sorted({name for one in lists for name in one.split(",") if name}))


def _with_directions(rows: pa.Table, known: dict[str, Array]) -> pa.Table:
    """The direction of rows that tell none, where the inventory knows one side of two addresses."""
    place = rows.schema.get_field_index("direction")
    told = rows.column(place)
    both = pc.and_(rows.column("src_ip").is_valid(), rows.column("dst_ip").is_valid()).to_numpy()
    code = ((known["src"] > 0) + 2 * (known["dst"] > 0)) * both
    return rows.set_column(place, "direction", pc.if_else(pc.equal(told, ""), _DIRECTIONS.take(pa.array(code)), told))
