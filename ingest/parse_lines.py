"""Lines in, plain objects out: what `bongsu parse` prints. The same parsers and engine as the stage, without bus and store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

import numpy as np
import pyarrow as pa

from core.clock import millis
from core.errors import NotFound
from core.storage.rows import to_jsonable
from ingest.compile import LINES, Parser
from ingest.encoding import to_text
from ingest.normalise import Normaliser, parsed_columns
from ingest.parse import Part

AUTO: Final = "auto"
EMPTY: Final = "empty"
_BATCH: Final = 8192


def parse_lines(normaliser: Normaliser, lines: Iterable[bytes], parser: str = AUTO) -> Iterator[dict[str, Any]]:
    """One object for each line, in order: the columns that are set, or `quarantine` with the reason and `detail`.

    Addresses are in text, times in ISO 8601 UTC. Lines may end in CR or LF. `parser` names the only parser to ask; NotFound when there is
    none of that name. Zoneless times are of the installation's zone.
    """
    only = _chosen(normaliser, parser)
    waiting = iter(lines)
    while batch := list(islice(waiting, _BATCH)):
        yield from _objects(normaliser, batch, only)


def _chosen(normaliser: Normaliser, name: str) -> Parser | None:
    if name == AUTO:
        return None
    if name not in normaliser.parsers.by_name:
        raise NotFound(f"there is no parser {name!r}; there are {', '.join(sorted(normaliser.parsers.by_name))}")
    return normaliser.parsers.by_name[name]


def _objects(normaliser: Normaliser, batch: list[bytes], only: Parser | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"quarantine": EMPTY} for _ in batch]
    text = to_text(batch)
    if not len(text.text):
        return found
    received = np.full(len(text.text), millis(normaliser.clock.now()), np.int64)
    table = pa.table([text.text, pa.array(received)], schema=LINES)
    parts = [Part(("", ""), normaliser.zone(""), 0, len(received))]
    outcome = normaliser.lines.parse(table, parts, wide=text.wide, only=only)
    events, rows = parsed_columns(outcome.parsed, received)
    for place, row in zip(text.places[rows], to_jsonable(events), strict=True):
        found[place] = row
    for refused in outcome.refused:
        for place, detail in zip(text.places[refused.rows], refused.details, strict=True):
            found[place] = {"quarantine": refused.reason, "detail": detail}
    return found
