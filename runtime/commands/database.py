"""`bongsu db`: the schema of the two databases."""

from __future__ import annotations

import asyncio

import typer

from core import config
from core.config import Settings
from runtime.bootstrap import open_parts
from runtime.commands.options import Config

app = typer.Typer(add_completion=False, help="The schema of the store and the database.", no_args_is_help=True)


@app.command("migrate")
def migrate(config_file: Config = None) -> None:
    """Apply the migrations that are missing. Safe to repeat; `up` and every stage do it at their start too."""
    applied = asyncio.run(_migrate(config.load(config_file)))
    for name in applied:
        typer.echo(f"applied {name}")
    typer.echo("the schema is up to date")


async def _migrate(settings: Settings) -> list[str]:
    async with open_parts(settings, {"store", "database"}) as parts:
        revisions = await asyncio.to_thread(parts.database.migrate)
        return [*revisions, *await parts.store.migrate()]
