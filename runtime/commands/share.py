"""`bongsu share`: verifying shared threat information anywhere."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from core.errors import FileError
from core.signing import Verifier
from respond.sharing import signed
from runtime.commands.options import AsJson

app = typer.Typer(add_completion=False, help="Shared threat information: verify it offline.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """So that `verify` stays a word of its own beside commands to come."""


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A STIX bundle, or a TAXII answer with objects.")],
    key: Annotated[str, typer.Option(help="The public key it must be signed with, as `bongsu audit key` prints it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Find anything that was changed or left out since the centre signed it. Needs neither the centre nor a network."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error
    found = signed.verify(content, Verifier.of(key) if key else None)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    elif found.problems:
        typer.echo(f"{file}: BROKEN")
        for problem in found.problems:
            typer.echo(f"  {problem}")
    else:
        revoked = f", {found.revoked} of them revoked" if found.revoked else ""
        typer.echo(f"{file}: whole: {found.objects} objects{revoked}, signed with the key {found.signed_by}")
        if not key:
            typer.echo("no --key was given: the key is the one the file names itself, compare its id with one you trust")
    if found.problems:
        raise typer.Exit(1)
