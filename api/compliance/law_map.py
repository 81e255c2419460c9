"""The map from the law to this system, made from `law.yaml`: `python -m api.compliance.law_map > docs/law-map.md`."""

from __future__ import annotations

import sys

from api.compliance import law
from api.compliance.law import Act, Row

_HEAD = """# From the law to the system

Made from `api/compliance/law.yaml` by `python -m api.compliance.law_map > docs/law-map.md`; tests fail when the two differ, when a
paragraph is missing, or when a route, a screen or a test that is named does not exist.

Each row is a paragraph or item in our own words, the routes that carry it out, the screen that shows it and the tests that prove it. The
live evidence behind each row is on the dashboard's page `/compliance` and at `GET /v1/compliance` ([duties.md](duties.md)).
"""
_COLUMNS = "| paragraph | what it asks | routes | screen | tests |\n|---|---|---|---|---|\n"


def render() -> str:
    """The whole page."""
    return _HEAD + "".join(_act(act) for act in law.load().acts)


def _act(act: Act) -> str:
    head = f"\n## {act.id}: {act.en} ({act.ko})\n\n{act.basis}\n\n{_COLUMNS}"
    return head + "".join(_row(row) for row in act.rows)


def _row(row: Row) -> str:
    asks = f"{row.en}<br>{row.ko}"
    if row.outside is not None:
        where = f"outside: {row.outside.en} ({row.outside.ko})"
        return f"| {row.id} | {asks} | {where} | - | {_listed(row.tests) or '-'} |\n"
    return f"| {row.id} | {asks} | {_listed(row.routes) or '-'} | {_listed(row.screens)} | {_listed(row.tests)} |\n"


def _listed(names: tuple[str, ...]) -> str:
    return "<br>".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(render())
