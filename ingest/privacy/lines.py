"""Masking for batches that did not come through our receivers: an agency's own producer may write to `logs.raw` itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from core import metrics
from ingest.privacy.masking import Masker
from ingest.rawbatch import Masking, RawBatch


def masked(batches: Sequence[RawBatch], masker: Masker) -> list[RawBatch]:
    """`batches` as they are where their receiver masked all that `masker` does, else masked now and counted.

    Those of an agency are masked together: a call costs as much as some thousand lines, and a producer may send line by line.
    """
    done = list(batches)
    unmasked: dict[str, list[int]] = {}
    for place, batch in enumerate(batches):
        if not masker.kinds <= batch.masking.kinds:
            unmasked.setdefault(batch.origin.agency, []).append(place)
    for agency, places in unmasked.items():
        of_agency = _masked([batches[place] for place in places], agency, masker)
        for place, batch in zip(places, of_agency, strict=True):
            done[place] = batch
    return done


def _masked(batches: Sequence[RawBatch], agency: str, masker: Masker) -> list[RawBatch]:
    found = masker.mask_lines([line for batch in batches for line in batch.lines])
    for kind, values in found.counts.items():
        metrics.MASKED.labels(kind, agency).inc(values)
    edges = np.cumsum([0, *(len(batch.binary) for batch in batches)]).tolist()
    cuts = np.searchsorted(found.changed, edges).tolist()
    return [
        replace(
            batch,
            binary=pa.array(found.lines[start:stop], pa.binary()) if first < last else batch.binary,
            masking=Masking.of(masker.kinds, (found.changed[first:last] - start).astype(np.uint32)),
        )
        for batch, (start, stop), (first, last) in zip(batches, pairwise(edges), pairwise(cuts), strict=True)
    ]
