"""`bongsu hunt`: search history with rules, on a running centre."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from core.clock import SystemClock
from core.errors import ConfigError, FileError
from runtime.asking import LOCAL, Centre, To, key_option
from runtime.commands.options import AsJson

app = typer.Typer(add_completion=False, help="Search history with rules.", no_args_is_help=True)

_AGAIN_SECONDS: Final = 0.5
_STORED_SECONDS: Final = 5.0  # what a search finds is stored a moment after it was found
_SPANS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_OVER: Final = frozenset(("done", "cancelled", "failed"))
_HUNTS: Final = "/v1/hunts"
_PAGE: Final = 200

Key = Annotated[str, key_option("hunts:run")]
Since = Annotated[str, typer.Option("--since", help="From when on: a time with its zone, or so long ago: 90m, 24h, 7d.")]
Until = Annotated[str, typer.Option("--until", help="Before when; default: now.")]
RuleIds = Annotated[list[str] | None, typer.Option("--rule", help="Id of a loaded rule, or a file of Sigma rules. Repeat for several.")]


def _centre(to: str, key: str) -> Centre:
    return Centre(to, key, "hunts:run")


@app.command("run")
def run(
    to: To = LOCAL,
    key: Key = "",
    rule: RuleIds = None,
    since: Since = "24h",
    until: Until = "",
    agency: Annotated[list[str] | None, typer.Option("--agency", help="Only this agency. Repeat for several.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would cost.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until it is done.")] = True,
    as_json: AsJson = False,
) -> None:
    """Say what a hunt costs, run it, and show what it found. Ctrl-C leaves it running: `bongsu hunt cancel` ends it."""
    centre = _centre(to, key)
    wish = {**_span(since, until), **_rules(rule or []), "agencies": agency or None}
    cost = centre.ask("POST", _HUNTS, json={**wish, "dry_run": True})
    if dry_run:
        _say(cost, as_json, f"{cost['rows']:,} events, {_size(cost['bytes'])} to read, about {cost['seconds']:.1f} s")
        return
    if not as_json:
        typer.echo(f"{cost['rows']:,} events, {_size(cost['bytes'])} to read, about {cost['seconds']:.1f} s")
    _follow(centre, centre.ask("POST", _HUNTS, json=wish), wait=wait, as_json=as_json)


@app.command("backfill")
def backfill(
    rule: Annotated[list[str], typer.Option("--rule", help="Id of a loaded rule. Repeat for several.")],
    since: Since,
    until: Until = "",
    to: To = LOCAL,
    key: Key = "",
    agency: Annotated[list[str] | None, typer.Option("--agency", help="Only this agency. Repeat for several.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until it is done.")] = True,
    as_json: AsJson = False,
) -> None:
    """Run rules over what the stream missed, and open incidents of what it has not found yet."""
    centre = _centre(to, key)
    wish = {**_span(since, until), "rule_ids": rule, "agencies": agency or None, "kind": "backfill"}
    _follow(centre, centre.ask("POST", _HUNTS, json=wish), wait=wait, as_json=as_json)


@app.command("list")
def list_hunts(
    to: To = LOCAL,
    key: Key = "",
    kind: Annotated[str, typer.Option("--kind", help="Only hunt, backfill or first_knowable.")] = "",
    most: Annotated[int, typer.Option("--limit", min=1, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the newest searches."""
    asked = {"limit": min(most, _PAGE)} | ({"kind": kind} if kind else {})
    found = list(islice(_centre(to, key).every(_HUNTS, asked), most))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    table = Table("id", "kind", "state", "asked at", "asked by", "events", "rules", "matches")
    for one in found:
        matches = sum(rule["matches"] for rule in one["rules"])
        about = (one["id"], one["kind"], one["state"], one["asked_at"][:19], one["asked_by"])
        table.add_row(*about, f"{one['rows_done']:,} of {one['rows_total']:,}", str(len(one["rules"])), f"{matches:,}")
    Console().print(table)


@app.command("show")
def show(hunt_id: str, to: To = LOCAL, key: Key = "", as_json: AsJson = False) -> None:
    """Show a search: how far it is, and what it found."""
    _show(_centre(to, key).ask("GET", f"{_HUNTS}/{hunt_id}"), as_json=as_json)


@app.command("detections")
def detections(
    hunt_id: str,
    to: To = LOCAL,
    key: Annotated[str, key_option("hunts:run and logs:read")] = "",
    rule: Annotated[str, typer.Option("--rule", help="Only of the rule of this id.")] = "",
) -> None:
    """Print the detections a search made, with their events and raw lines: one JSON object a line, in order of time."""
    centre, asked = _centre(to, key), {"limit": _PAGE} | ({"rule_id": rule} if rule else {})
    path = f"{_HUNTS}/{hunt_id}"
    made = sum(one["kept"] for one in centre.ask("GET", path)["rules"] if rule in ("", one["id"]))
    deadline = time.monotonic() + _STORED_SECONDS
    while time.monotonic() < deadline and sum(1 for _ in centre.every(f"{path}/detections", asked)) < made:
        time.sleep(_AGAIN_SECONDS)
    for one in centre.every(f"{path}/detections", asked):
        typer.echo(json.dumps(one, ensure_ascii=False))


@app.command("cancel")
def cancel(hunt_id: str, to: To = LOCAL, key: Key = "", as_json: AsJson = False) -> None:
    """End a search. What it has found stays."""
    ended = _centre(to, key).remove(f"{_HUNTS}/{hunt_id}")
    _say(ended, as_json, f"{ended['id']}: {ended['state']}")


def _follow(centre: Centre, hunt: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    if not wait:
        _say(hunt, as_json, hunt["id"])
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f} events"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True, disable=as_json) as progress:
        bar = progress.add_task(f"{hunt['kind']} {hunt['id']}", total=1)
        while hunt["state"] not in _OVER:
            time.sleep(_AGAIN_SECONDS)
            hunt = centre.ask("GET", f"{_HUNTS}/{hunt['id']}")
            progress.update(bar, total=max(hunt["rows_total"], 1), completed=hunt["rows_done"])
    _show(hunt, as_json=as_json)
    if hunt["state"] != "done":
        raise typer.Exit(1)


def _show(hunt: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(hunt, ensure_ascii=False))
        return
    title = f"{hunt['kind']} {hunt['id']}: {hunt['state']}, {hunt['rows_done']:,} of {hunt['rows_total']:,} events"
    table = Table("rule", "matches", "kept", "agency", "first match", "event", title=title, title_justify="left")
    for rule in hunt["rules"]:
        kept = f"{rule['kept']:,}{' (the earliest)' if rule['capped'] else ''}"
        off = f" (off at {', '.join(agency or 'all others' for agency in rule['off_at'])})" if rule["off_at"] else ""
        table.add_row(rule["title"] + off, rule["problem"] or f"{rule['matches']:,}", kept, "", "", "")
        for one in rule["agencies"]:
            table.add_row("", f"{one['matches']:,}", "", one["agency"], one["first_event_at"], one["first_event_id"])
    console = Console()
    console.print(table)
    if hunt["problem"]:
        console.print(hunt["problem"], markup=False)


def _say(answer: dict[str, Any], as_json: bool, text: str) -> None:
    typer.echo(json.dumps(answer, ensure_ascii=False) if as_json else text)


def _rules(named: list[str]) -> dict[str, Any]:
    files = [Path(one) for one in named if one.endswith((".yml", ".yaml"))]
    try:
        texts = [file.read_text("utf-8") for file in files]
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(getattr(error, "filename", None) or "--rule", f"cannot be read: {error}") from error
    return {"rule_ids": [one for one in named if not one.endswith((".yml", ".yaml"))], "rules": "\n---\n".join(texts)}


def _span(since: str, until: str) -> dict[str, str]:
    now = SystemClock().now()
    return {"since": _instant("--since", since, now).isoformat(), "until": (_instant("--until", until, now) if until else now).isoformat()}


def _instant(option: str, text: str, now: datetime) -> datetime:
    if text[-1:] in _SPANS and text[:-1].isdecimal():
        return now - int(text[:-1]) * _SPANS[text[-1]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(option, f"{text!r} is neither a time such as 2026-01-02T03:04:05+09:00 nor so long ago, such as 24h") from None
    if at.tzinfo is None:
        raise ConfigError(option, f"{text!r} says no zone: write 2026-01-02T03:04:05+09:00, or Z for UTC")
    return at.astimezone(UTC)


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
