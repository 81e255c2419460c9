"""Correlations over events that are all at hand: what hunts, samples of rules and tests ask for. The rule of firing is the stream's."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from core.engine import Engine
from core.events import FIRINGS
from detect.correlation.firing import FIRED, Nested, firings
from detect.correlation.members import Members
from detect.correlation.resolve import Resolved, resolve
from detect.rules import RuleBook
from detect.ruleset import SETTINGS, compile_rules


def fires(book: RuleBook, events: pa.Table, engine: Engine) -> pa.Table:
    """What every correlation of `book` that runs fires on `events` (columns of EVENTS), whatever their order; columns of FIRED.

    A correlation's firings stand after those it is made of. StoreError when the engine fails.
    """
    resolved = resolve(book)
    session = engine.session(SETTINGS)
    try:
        plan = compile_rules(book.rules, session)
        members = Members(resolved, plan, engine)
        try:
            return judged(resolved, members.rows(events, plan.run(session, events)))
        finally:
            members.close()
    finally:
        session.close()


def judged(resolved: Resolved, rows: pa.Table) -> pa.Table:
    """The firings over `rows` (columns of ROWS, of any number of batches), of correlations of correlations too; columns of FIRED."""
    nested = Nested(resolved)
    found = [FIRED.empty_table()]
    for correlation in resolved.correlations:
        mine = rows.filter(pc.equal(rows["correlation"], correlation.hash))
        found.append(firings(correlation, mine))
        rows = pa.concat_tables([rows, nested.rows(placed(found[-1]))])
    return pa.concat_tables(found)


def placed(fired: pa.Table) -> pa.Table:
    """Firings (of FIRED) as matches have the place of the event that completed them; a position of their own nobody asks for here."""
    blank = {field.name: pa.repeat(pa.scalar("" if field.name == "raw_epoch" else 0, field.type), fired.num_rows) for field in _POSITION}
    return pa.table({**blank, **{name: fired[name] for name in FIRED.names}})


_POSITION = [field for field in FIRINGS.schema if field.name not in (*FIRED.names, "fired_at")]
