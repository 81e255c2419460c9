"""`bongsu baselines`: what the detectors beside the rules have learned."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from core.clock import KST
from core.errors import BongsuError, ConfigError
from runtime.commands.options import AsJson

app = typer.Typer(add_completion=False)


class BaselinesRefused(BongsuError):
    """A running centre did not tell its baselines."""


@app.command("baselines")
def _baselines(
    to: Annotated[str, typer.Option("--to", help="The running centre.")] = "http://127.0.0.1:8514",
    key: Annotated[str, typer.Option("--key", envvar="BONGSU_KEY", help="API key with rules:read.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show how far each detector is, how each source stands, and how many values are known. Times are Seoul's; in JSON, UTC."""
    if not key:
        raise ConfigError("--key", "asking a running centre needs an API key with rules:read: `bongsu keys create`")
    found = _asked(to, key)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    console = Console()
    for table in (_detectors(found["detectors"]), _sources(found["sources"]), _terms(found["terms"])):
        console.print(table)


def _asked(url: str, key: str) -> dict[str, Any]:
    try:
        answer = httpx.get(f"{url}/v1/baselines", headers={"Authorization": f"Bearer {key}"}, timeout=90)
    except httpx.TransportError as error:
        raise BaselinesRefused(f"{url} does not answer ({error or type(error).__name__})") from error
    if not answer.is_success:
        raise BaselinesRefused(f"{url} refused with {answer.status_code}: {answer.text[:200]}")
    return dict(answer.json())


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
