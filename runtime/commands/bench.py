"""`bongsu bench`: what this machine does a second."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from runtime import bench, bench_detect, logs
from runtime.commands.options import AsJson

app = typer.Typer(add_completion=False, invoke_without_command=True)


@app.callback()
def _bench(
    context: typer.Context,
    lines: Annotated[int, typer.Option("--lines", min=10_000, help="How many lines each step gets.")] = 1_000_000,
    as_json: AsJson = False,
) -> None:
    """Measure receive, normalise, store and detect alone, then all together over TCP, on invented FortiGate lines of about 600 bytes."""
    if context.invoked_subcommand:
        return
    logs.configure("warning")
    console = Console(stderr=True)
    with console.status("") as status:
        results = list(bench.run(lines, lambda step: status.update(f"measuring {step}")))
    machine = _machine()
    if as_json:
        rows = [{"step": one.step, "lines": one.lines, "wall_seconds": one.wall, "cpu_seconds": one.cpu} for one in results]
        typer.echo(json.dumps({"machine": machine, "steps": rows}))
        return
    table = Table("step", "lines/s", "lines per CPU second", title=machine, title_justify="left")
    for one in results:
        table.add_row(one.step, f"{one.per_second:,.0f}", f"{one.per_cpu_second:,.0f}")
    Console().print(table)


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"


@app.command("detect")
def _detect(
    rules: Annotated[Path, typer.Option("--rules", help="A folder of Sigma rules, or one file.")],
    events: Annotated[Path, typer.Option("--events", help="JSON lines of events, with the field names of the rules.")],
    raw: Annotated[bool, typer.Option("--raw", help="The lines are logs: parse them first, and route rules as production does.")] = False,
    as_json: AsJson = False,
) -> None:
    """Judge events by rules on one core: events a second net of start-up, and how often each rule matched.

    Of JSON events, log sources are passed over and reading the JSON counts.
    """
    logs.configure("warning")
    judged = bench_detect.run(rules, events, raw=raw)
    if as_json:
        typer.echo(json.dumps(_as_object(judged), ensure_ascii=False))
        return
    table = Table("matches", "rule", "id", title=_machine(), title_justify="left")
    for rule, count in judged.by_rule:
        table.add_row(f"{count:,}", rule.title, rule.id)
    console = Console()
    console.print(table)
    console.print(
        f"{judged.events:,} events, {judged.rules:,} rules, {judged.matches:,} matches: {judged.events / judged.cpu:,.0f} events per CPU "
        f"second, {judged.events / judged.wall:,.0f} a second; {judged.load:.1f} s to load, {judged.compile:.1f} s to compile; "
        f"{judged.unreadable:,} lines unreadable, {len(judged.set_aside):,} rules set aside"
    )


def _as_object(judged: bench_detect.Judged) -> dict[str, Any]:
    return {
        "machine": _machine(),
        "rules": judged.rules,
        "set_aside": list(judged.set_aside),
        "load_seconds": judged.load,
        "compile_seconds": judged.compile,
        "events": judged.events,
        "unreadable": judged.unreadable,
        "wall_seconds": judged.wall,
        "cpu_seconds": judged.cpu,
        "events_per_second": judged.events / judged.wall,
        "events_per_cpu_second": judged.events / judged.cpu,
        "matches": judged.matches,
        "by_rule": [{"id": rule.id, "title": rule.title, "matches": count} for rule, count in judged.by_rule],
    }
