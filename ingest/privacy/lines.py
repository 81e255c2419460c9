"""Masking for batches that did not come through our receivers: an agency's own producer may write to `logs.raw` itself."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from core import metrics
from ingest.privacy.masking import Masker
from ingest.rawbatch import Masking, RawBatch


def masked(batch: RawBatch, masker: Masker) -> RawBatch:
    """`batch` as it is when its receiver masked all that `masker` does, else masked now and counted."""
    if masker.kinds <= batch.masking.kinds:
        return batch
    done = masker.mask_lines(batch.lines)
    for kind, values in done.counts.items():
        metrics.MASKED.labels(kind, batch.origin.agency).inc(values)
    return replace(batch, binary=pa.array(done.lines, pa.binary()), masking=Masking.of(masker.kinds, done.changed))
