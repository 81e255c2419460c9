"""`bongsu baselines`: what the detectors beside the rules have learned."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from core.clock import KST
from runtime.asking import LOCAL, Centre, To, key_option
from runtime.commands.options import AsJson

app = typer.Typer(add_completion=False)


@app.command("baselines")
def _baselines(
    to: To = LOCAL,
    key: Annotated[str, key_option("rules:read")] = "",
    as_json: AsJson = False,
) -> None:
    """Show how far each detector is, how each source stands, and how many values are known. Times are Seoul's; in JSON, UTC."""
    found = Centre(to, key, "rules:read").ask("GET", "/v1/baselines")
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    console = Console()
    for table in (_detectors(found["detectors"]), _sources(found["sources"]), _terms(found["terms"])):
        console.print(table)


def _detectors(rows: list[dict[str, Any]]) -> Table:
    table = Table("detector", "what it tells", "level", "every", "looked at until", title="Detectors", title_justify="left")
    for row in rows:
        until = _time(row["until"]) if row["enabled"] else "off"
        table.add_row(row["detector"], row["title"], row["level"], f"{row['every_minutes']} min", until)
    return table


def _sources(rows: list[dict[str, Any]]) -> Table:
    headings = ("agency", "source", "state", "last heard", "slots missed", "lines usual this hour", "silence told")
    table = Table(*headings, title=f"{len(rows)} sources", title_justify="left")
    for row in rows:
        usual = "" if row["usual_lines"] is None else f"{row['usual_lines']:,.0f}"
        missed = f"{row['missed_slots']:g}" if row["missed_slots"] else ""
        table.add_row(row["agency"], row["source"], row["state"], _time(row["last"]), missed, usual, _time(row["silence_told"]))
    return table


def _terms(rows: list[dict[str, Any]]) -> Table:
    table = Table("agency", "term", "values known", "new ones are told from", title="First seen", title_justify="left")
    for row in rows:
        table.add_row(row["agency"], row["term"], f"{row['values']:,}", _time(row["told_from"]))
    return table


def _time(text: str | None) -> str:
    return datetime.fromisoformat(text).astimezone(KST).strftime("%Y-%m-%d %H:%M") if text else ""
