"""How far the findings of each partition of `logs.raw` have been read: what makes a repeated delivery change nothing.

`core.topics` promises that raw offsets never go back on a partition except in a repeated delivery, and that a message holds all rows of
each raw offset it touches; so rows at or below the highest offset handled are exactly the repeated ones. The positions are kept in the
transaction of what the rows became. Load them after the lock `incidents` is held.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import insert_into
from respond.models import DetectionPosition

Place = tuple[str, int]


class Positions:
    """The highest raw offset handled, by (epoch, partition)."""

    def __init__(self, known: dict[Place, int]) -> None:
        self._known = known
        self._moved: set[Place] = set()

    @classmethod
    def load(cls, session: Session, findings: Iterable[pa.Table]) -> Positions:
        """The positions of the partitions that `findings` come from."""
        epochs = {epoch for table in findings for epoch in pc.unique(table["raw_epoch"]).to_pylist()}
        columns = (DetectionPosition.raw_epoch, DetectionPosition.raw_partition, DetectionPosition.raw_offset)
        found = session.execute(sa.select(*columns).where(DetectionPosition.raw_epoch.in_(epochs)))
        return cls({(epoch, partition): offset for epoch, partition, offset in found})

    def fresh(self, findings: pa.Table) -> pa.Table:
        """The rows of one message that were not handled before; from now on they were."""
        keep = np.ones(findings.num_rows, bool)
        offsets = findings["raw_offset"].to_numpy()
        pairs = findings.select(["raw_epoch", "raw_partition"]).group_by(["raw_epoch", "raw_partition"]).aggregate([])
        for pair in pairs.to_pylist():
            epoch, partition = pair["raw_epoch"], pair["raw_partition"]
            here = pc.and_(pc.equal(findings["raw_epoch"], epoch), pc.equal(findings["raw_partition"], partition)).to_numpy()
            handled, highest = self._known.get((epoch, partition), -1), int(offsets[here].max())
            if highest > handled:
                self._known[epoch, partition] = highest
                self._moved.add((epoch, partition))
            if handled >= 0:
                keep[here & (offsets <= handled)] = False
        return findings if keep.all() else findings.filter(pa.array(keep))

    def save(self, session: Session) -> None:
        """Write the positions that moved."""
        if not self._moved:
            return
        insert = insert_into(session, DetectionPosition)
        upsert = insert.on_conflict_do_update(
            index_elements=["raw_epoch", "raw_partition"], set_={"raw_offset": insert.excluded.raw_offset}
        )
        rows = [{"raw_epoch": place[0], "raw_partition": place[1], "raw_offset": self._known[place]} for place in sorted(self._moved)]
        session.execute(upsert, rows)
