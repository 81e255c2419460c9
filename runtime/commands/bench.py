"""`bongsu bench`: what this machine does a second."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from runtime import bench, logs
from runtime.commands.options import AsJson

app = typer.Typer(add_completion=False)


@app.command("bench")
def _bench(
    lines: Annotated[int, typer.Option("--lines", min=10_000, help="How many lines each step gets.")] = 1_000_000,
    as_json: AsJson = False,
) -> None:
    """Measure receive, normalise, store and detect alone, then all together over TCP, on invented FortiGate lines of about 600 bytes."""
    logs.configure("warning")
    console = Console(stderr=True)
    with console.status("") as status:
        results = list(bench.run(lines, lambda step: status.update(f"measuring {step}")))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"
    if as_json:
        rows = [{"step": one.step, "lines": one.lines, "wall_seconds": one.wall, "cpu_seconds": one.cpu} for one in results]
        typer.echo(json.dumps({"machine": machine, "steps": rows}))
        return
    table = Table("step", "lines/s", "lines per CPU second", title=machine, title_justify="left")
    for one in results:
        table.add_row(one.step, f"{one.per_second:,.0f}", f"{one.per_cpu_second:,.0f}")
    Console().print(table)
