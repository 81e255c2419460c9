"""`bongsu parse`: what the parsers make of lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from core import config
from core.clock import SystemClock
from core.engine import Engine
from core.errors import FileError
from ingest.compile import ParserSet
from ingest.normalise import Normaliser
from ingest.parse_lines import AUTO, parse_lines
from runtime.commands.options import Config

app = typer.Typer(add_completion=False)


@app.command("parse")
def _parse(
    file: Annotated[str, typer.Argument(help="File of lines, or - for standard input.")],
    parser: Annotated[str, typer.Option("--parser", help="A parser's name, or auto to recognise each line.")] = AUTO,
    config_file: Config = None,
) -> None:
    """Print one JSON object per input line, in order: the normalised columns that are set and `parser`, or `quarantine` with the reason."""
    settings = config.load(config_file).intake
    engine = Engine()
    try:
        parsers = ParserSet.open(engine, settings)
        with closing(Normaliser(engine, parsers, settings, SystemClock())) as normaliser:
            for row in parse_lines(normaliser, _lines(file), parser):
                sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
    finally:
        engine.close()


def _lines(file: str) -> Iterator[bytes]:
    if file == "-":
        yield from sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as opened:
            yield from opened
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error
