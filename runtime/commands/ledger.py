"""`bongsu ledger`: the intake ledger, for those who have to trust it."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Annotated, Any

import typer

from api.ledger import MEANS
from core import config
from core.clock import KST
from core.config import Settings
from ingest.ledger.checking import Checking
from runtime.asking import Centre, ToOrStore, key_option
from runtime.bootstrap import open_parts
from runtime.commands.options import AsJson, Config

app = typer.Typer(add_completion=False, help="The intake ledger: what was received, stored, quarantined and evaluated.")
_ACTION = "metrics:read"


@app.callback()
def _ledger() -> None:
    """Make `verify` a command of a group."""


@app.command("verify")
def verify(
    to: ToOrStore = "",
    key: Annotated[str, key_option(_ACTION)] = "",
    config_file: Config = None,
    as_json: AsJson = False,
) -> None:
    """Walk the chain, count all again from the store and the bus' offsets, and say what is wrong and where. Exits with 1 if anything is.

    The embedded store belongs to one process at a time: ask a running centre with --to.
    """
    found = Centre(to, key, _ACTION).ask("GET", "/v1/ledger/verify", seconds=3600) if to else asyncio.run(_check(config.load(config_file)))
    typer.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(_told(found)))
    if not found["holds"]:
        raise typer.Exit(1)


async def _check(settings: Settings) -> dict[str, Any]:
    async with open_parts(settings, {"bus", "store", "database"}) as parts:
        return (await Checking(parts.store, parts.bus, parts.database, parts.clock, MEANS).check("whole")).plain()


def _told(found: dict[str, Any]) -> list[str]:
    """The report as lines of text; hours are Seoul's."""
    counted = found["counted"]
    numbers = ", ".join(f"{counted[name]:,} {name}" for name in ("received", "stored", "quarantined", "evaluated"))
    lines = [f"{_place(one)}{one['detail']}" for one in found["problems"]]
    if found["left_out"]:
        lines.append(f"and {found['left_out']:,} more")
    if found["waiting"]:
        waiting = ", ".join(f"{stage} {messages:,}" for stage, messages in found["waiting"].items())
        lines.append(f"not judged yet: hours under way, as messages wait ({waiting})")
    if found["before"]:
        lines.append(f"{found['before']:,} lines in the store are from before the ledger began")
    whole = f"{found['entries']:,} entries, {found['hours']:,} hours counted again ({found['open_hours']:,} of them still open): {numbers}"
    return [*lines, f"the ledger {'holds' if found['holds'] else 'does NOT hold'}: {whole}"]


def _place(one: dict[str, Any]) -> str:
    if not one["hour"]:
        return ""
    hour = datetime.fromisoformat(one["hour"]).astimezone(KST).strftime("%Y-%m-%d %H:00 KST")
    return f"{one['agency']} {one['source'] or '-'}{' (exercise)' if one['exercise'] else ''}, {hour}: "
