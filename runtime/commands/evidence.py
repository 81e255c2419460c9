"""`bongsu evidence`: taking the evidence of an incident out, and verifying it anywhere."""

from __future__ import annotations

import asyncio
import getpass
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from core import config
from core.config import Settings
from core.errors import FileError
from core.signing import Verifier, load_signer
from respond import bundle
from respond.incidents.queries import get_incident
from respond.incidents.sight import WHOLE_CITY
from runtime.bootstrap import open_parts
from runtime.commands.options import AsJson, Config

app = typer.Typer(add_completion=False, help="Evidence of incidents: take it out, verify it offline.", no_args_is_help=True)


@app.command("export")
def export(
    number: Annotated[str, typer.Argument(help="The incident, such as INC-2026-000001.")],
    file: Annotated[Path, typer.Argument(help="Where to write the bundle; it must not exist.")],
    reason: Annotated[str, typer.Option(help="Why it is taken out; it stands in the audit trail.")],
    config_file: Config = None,
) -> None:
    """Write an incident's evidence as a signed bundle, on the centre's own machine."""
    content = asyncio.run(_made(config.load(config_file), number, reason))
    try:
        with file.open("xb") as out:
            out.write(content)
    except OSError as error:
        raise FileError(file, f"cannot be written: {error.strerror}") from error
    typer.echo(f"{file}: {len(content):,} bytes; check it with `bongsu evidence verify {file} --key KEY`")


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A bundle.")],
    key: Annotated[str, typer.Option(help="The public key it must be signed with, as `bongsu audit key` prints it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Find anything that was changed since the bundle was made. Needs neither the centre nor a network."""
    try:
        with file.open("rb") as opened:
            found = bundle.verify(opened, Verifier.of(key) if key else None)
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    elif found.problems:
        typer.echo(f"{file}: BROKEN")
        for problem in found.problems:
            typer.echo(f"  {problem}")
    else:
        typer.echo(f"{file}: whole: {found.incident}, {found.lines} lines, made {found.made_at}, signed with the key {found.signed_by}")
        if not key:
            typer.echo("no --key was given: the key is the one the file names itself, compare its id with one you trust")
    if found.problems:
        raise typer.Exit(1)


async def _made(settings: Settings, number: str, reason: str) -> bytes:
    signer = load_signer(settings.signing_key)
    async with open_parts(settings, {"database"}) as parts:
        with parts.database.session() as session:
            return bundle.make(session, get_incident(session, WHOLE_CITY, number), f"system:{getpass.getuser()}", signer, reason)
