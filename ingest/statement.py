"""Puts one SELECT together from expressions that refer to one another by name.

As WITH aliases they would cost the analyser a copy for each reference, of references inside references: tenths of a second for
every statement. So they become subqueries, one level inside the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from ingest.sql import WORD, arguments

SETTINGS: Final = (
    "SETTINGS max_threads = 1, max_block_size = 4096, query_plan_merge_expressions = 0, output_format_arrow_compression_method = 'none', "
    "extract_key_value_pairs_max_pairs_per_row = 1048576"
)
"""Measured: blocks that stay in the cache take a third less time than whole batches, and melting the levels of a statement into one
makes the engine compute, for every row, what only some need. The result stays in this process: pressing it together is for nothing.
A line of very many pairs is a strange line, but no reason to fail; intake bounds its length."""


def select(aliases: Mapping[str, str], columns: Mapping[str, str]) -> str:
    """One SELECT of `columns` over `Python(rows)`, the aliases in subqueries inside it.

    What is referred to once is put in its place: there the engine can leave it out for the rows that need no such branch of an `if`,
    which it does not over the border of a subquery.
    """
    aliases, columns = _inlined(aliases, columns)
    source = "Python(rows)"
    for level in _levels(aliases):
        source = f"(SELECT *, {', '.join(f'{aliases[name]} AS {name}' for name in level)} FROM {source})"
    return f"SELECT {', '.join(f'{sql} AS {name}' for name, sql in columns.items())} FROM {source} {SETTINGS}"


def _inlined(aliases: Mapping[str, str], columns: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The same with every alias that is referred to once in its place, and without those that are not referred to."""
    kept = dict(aliases)
    used = Counter(word for sql in (*kept.values(), *columns.values()) for word in words(sql) if word in kept)
    singles = {name: sql for name, sql in kept.items() if used[name] == 1}

    def replaced(sql: str) -> str:
        return WORD.sub(lambda found: _bracketed(replaced(singles[found[1]])) if found[1] in singles else found[0], sql)

    return (
        {name: replaced(sql) for name, sql in kept.items() if used[name] > 1},
        {name: replaced(sql) for name, sql in columns.items()},
    )


def _bracketed(sql: str) -> str:
    """`sql` in brackets unless it is one call: the engine's reader of SQL is slow in brackets inside brackets."""
    opening = sql.find("(")
    if opening > 0 and sql[:opening].isidentifier() and arguments(sql, opening)[1] == len(sql):
        return sql
    return f"({sql})"


def _levels(aliases: Mapping[str, str]) -> list[list[str]]:
    """The aliases in groups, each group needing only those before it."""
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            depths[name] = 1 + max((depth(one) for one in words(aliases[name]) if one in aliases), default=-1)
        return depths[name]

    groups: dict[int, list[str]] = {}
    for name in aliases:
        groups.setdefault(depth(name), []).append(name)
    return [groups[number] for number in sorted(groups)]


def words(sql: str) -> list[str]:
    """The names and functions an expression is made of."""
    return [word for word in WORD.findall(sql) if word]
