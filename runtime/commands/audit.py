"""`bongsu audit`: the audit trail, for those who have to trust it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from core import config
from core.config import Settings
from core.errors import FileError
from core.signing import Verifier, load_signer
from respond import trail
from respond.trail import Checked, TrailBroken
from respond.trail_copy import TrailCopy
from runtime.bootstrap import open_parts
from runtime.commands.options import AsJson, Config

app = typer.Typer(add_completion=False, help="The audit trail: verify it, export it, show the key that signs it.", no_args_is_help=True)


@app.command("verify")
def verify(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Exports, or the files of a copy in their order; none: the database and its copy.")
    ] = None,
    key: Annotated[str, typer.Option(help="The public key the trail must be signed with, as `bongsu audit key` prints it.")] = "",
    config_file: Config = None,
    as_json: AsJson = False,
) -> None:
    """Find any row that was changed, removed or moved. With FILES neither the database nor a settings file is needed."""
    if files:
        found = {"files": trail.verify_lines(_texts(files), Verifier.of(key) if key else None)}
    else:
        found = asyncio.run(_installation(config.load(config_file), key))
    if as_json:
        typer.echo(json.dumps({where: {**asdict(one), "keys": sorted(one.keys)} for where, one in found.items()}))
    else:
        for where, one in found.items():
            typer.echo(_told(where, one))
        if files and not key:
            typer.echo("no --key was given: the keys are those the files name themselves, compare them with one you trust")
    if any(one.problem for one in found.values()):
        raise typer.Exit(1)


@app.command("export")
def export(file: Annotated[Path, typer.Argument(help="Where to write it; it must not exist.")], config_file: Config = None) -> None:
    """Write the whole trail with its signatures as JSON lines."""
    count = asyncio.run(_export(config.load(config_file), file))
    typer.echo(f"{file}: {count} rows; check it with `bongsu audit verify {file} --key KEY`")


@app.command("key")
def key(config_file: Config = None, as_json: AsJson = False) -> None:
    """Print the public key: give it to those who verify, by another way than what they verify."""
    signer = load_signer(config.load(config_file).signing_key)
    typer.echo(json.dumps({"key": signer.text, "id": signer.key_id}) if as_json else f"{signer.text}  ({signer.key_id})")


async def _installation(settings: Settings, key: str) -> dict[str, Checked]:
    verifier = Verifier.of(key) if key else load_signer(settings.signing_key)
    copy = TrailCopy(settings.audit_copy)
    async with open_parts(settings, {"database"}) as parts:
        with parts.database.session(readonly=True) as session:
            found = trail.verify_database(session, verifier)
            copied = trail.verify_lines(copy.texts(), verifier)
            try:
                copy.compare(session)
            except TrailBroken as error:
                copied.problem = copied.problem or str(error)
    return {"database": found, f"copy in {settings.audit_copy}": copied}


async def _export(settings: Settings, file: Path) -> int:
    signer = load_signer(settings.signing_key)
    async with open_parts(settings, {"database"}) as parts:
        with parts.database.session() as session:
            trail.make_checkpoint(session, signer)
        with parts.database.session(readonly=True) as session:
            try:
                with file.open("x", encoding="ascii") as out:
                    return sum(_written(out.write(f"{text}\n"), text) for text in trail.lines(session))
            except OSError as error:
                raise FileError(file, f"cannot be written: {error.strerror}") from error


def _written(_characters: int, text: str) -> int:
    """1 for a row, 0 for a checkpoint."""
    return int('"seq":' in text and not text.startswith('{"checkpoint"'))


def _texts(files: list[Path]) -> Iterator[str]:
    for file in files:
        try:
            with file.open(encoding="utf-8") as opened:
                yield from opened
        except (OSError, UnicodeError) as error:
            raise FileError(file, f"cannot be read: {error}") from error


def _told(where: str, checked: Checked) -> str:
    keys = ", ".join(sorted(checked.keys)) or "none"
    whole = f"{checked.entries} rows, signed until row {checked.signed_until} ({checked.checkpoints} checkpoints, key {keys})"
    return f"{where}: BROKEN: {checked.problem}; {whole}" if checked.problem else f"{where}: whole: {whole}"
