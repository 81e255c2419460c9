"""`bongsu replay`: lines of a file into a centre."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from core import config
from core.config import Settings
from core.errors import ConfigError, FileError
from core.events import IntakeFlag
from ingest.attribution import Attribution
from ingest.sources import file as file_source
from ingest.sources.intake import Intake
from runtime.asking import LOCAL, Centre, key_option
from runtime.bootstrap import open_parts
from runtime.commands.options import Config
from runtime.push import push

app = typer.Typer(add_completion=False)


@app.command("replay")
def _replay(
    file: Annotated[str, typer.Argument(help="File of lines (plain, gzip, zstd), or - for standard input.")],
    to: Annotated[str, typer.Option("--to", help=f"A running centre, such as {LOCAL}; without it, straight onto the bus.")] = "",
    key: Annotated[str, key_option("logs:write")] = "",
    agency: Annotated[str, typer.Option("--agency", help="Whose lines they are, without --to.")] = "",
    source: Annotated[str, typer.Option("--source", help="Which source of the agency, without --to.")] = "replay",
    config_file: Config = None,
) -> None:
    """Put every line of FILE on the bus: through a running centre (--to), or straight onto Kafka or the bus of a centre that is stopped."""
    centre = Centre(to, key, "logs:write") if to else None
    settings = config.load(config_file)
    if not to and agency not in {known.id for known in settings.agencies}:
        raise ConfigError("--agency", f"{agency!r} is not an agency of the settings")
    with _opened(file) as (stream, size), _bar(size) as progress:
        if centre is None:
            lines = asyncio.run(_onto_the_bus(settings, stream, agency, source, progress))
        else:
            lines = push(stream, size, centre, progress)
    typer.echo(f"{lines:,} lines are on the bus")


async def _onto_the_bus(settings: Settings, stream: BufferedReader, agency: str, source: str, progress: file_source.Progress) -> int:
    async with open_parts(settings, {"bus"}) as parts:
        intake = Intake(parts.bus, settings.intake, parts.clock)
        try:
            origin = replace(Attribution(settings).by_key(agency, source, peer=""), transport="file", flags=IntakeFlag.REPLAY)
            return (await file_source.replay(stream, origin, intake, progress)).lines
        finally:
            await intake.close()


@contextmanager
def _opened(file: str) -> Iterator[tuple[BufferedReader, int]]:
    if file == "-":
        yield cast(BufferedReader, sys.stdin.buffer), 0
        return
    path = Path(file)
    try:
        stream = path.open("rb")
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error
    with stream:
        yield stream, path.stat().st_size


@contextmanager
def _bar(size: int) -> Iterator[file_source.Progress]:
    """A progress bar on the terminal's error stream; of unknown length when `size` is 0."""
    columns = (TextColumn("{task.fields[lines]:,} lines"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("replay", total=size or None, lines=0)

        def show(done: int, _size: int, lines: int) -> None:
            bar.update(task, completed=done, lines=lines)

        yield show
