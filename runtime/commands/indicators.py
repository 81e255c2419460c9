"""`bongsu indicators`: the feeds of a running centre: take a file in, list, ask for a value, delete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
import zstandard
from rich.console import Console
from rich.progress import wrap_file
from rich.table import Table

from core.errors import FileError
from runtime.asking import LOCAL, Centre, To, key_option
from runtime.commands.options import AsJson

app = typer.Typer(add_completion=False, help="Feeds of known-bad things: take in, list, ask, delete.", no_args_is_help=True)

Reading = Annotated[str, key_option("indicators:read")]
Writing = Annotated[str, key_option("indicators:write")]
_FEEDS = "/v1/indicators/feeds"
_CHUNK = 1 << 20
_HEAD = 4096
_SECONDS = 3600  # a file of a million indicators is answered when the last one is in the store


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A STIX 2.1 bundle, an export of MISP (JSON), or CSV.")],
    feed: Annotated[str, typer.Option("--feed", help="The feed it belongs to; made when there is none of that name.")],
    form: Annotated[str, typer.Option("--format", help="stix, misp or csv; default: by the file.")] = "",
    expire_days: Annotated[int | None, typer.Option("--expire-days", min=0, help="For what has no end of its own; 0: without end.")] = None,
    tlp: Annotated[str, typer.Option("--tlp", help="For what has no marking: clear, green, amber, amber+strict, red.")] = "",
    confidence: Annotated[int | None, typer.Option("--confidence", min=0, max=100, help="For what tells none.")] = None,
    to: To = LOCAL,
    key: Writing = "",
    as_json: AsJson = False,
) -> None:
    """Take a file into a feed. What it brings anew is searched for in the kept history, too."""
    query = {"format": form or _format(file), "expire_days": expire_days, "tlp": tlp or None, "confidence": confidence}
    params = {name: value for name, value in query.items() if value is not None}
    with file.open("rb") as opened, wrap_file(opened, file.stat().st_size, description="import", console=Console(stderr=True)) as shown:
        body = {"content": _compressed(shown), "headers": {"Content-Encoding": "zstd"}}
        done = Centre(to, key, "indicators:write").ask("POST", f"{_FEEDS}/{feed}", params=params, seconds=_SECONDS, **body)
    if as_json:
        typer.echo(json.dumps(done))
        return
    typer.echo(f"import {done['import_id']} into {feed}: {done['accepted']:,} accepted, {done['new']:,} of them new")
    for reason, count in done["refused"].items():
        typer.echo(f"  refused {count:,}: {reason}")


@app.command("list")
def list_(to: To = LOCAL, key: Reading = "", as_json: AsJson = False) -> None:
    """List the feeds, and what of each is in force."""
    found = Centre(to, key, "indicators:read").ask("GET", _FEEDS)["items"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("feed", "in force", "TLP", "confidence", "expire days", "last import", title=f"{len(found)} feeds", title_justify="left")
    for one in found:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(one["in_force"].items()))
        last = (one["last_import"] or {}).get("started_at", "")
        table.add_row(one["name"], kinds, one["tlp"], str(one["confidence"]), str(one["expire_days"]), last)
    Console().print(table)


@app.command("check")
def check(
    value: Annotated[str, typer.Argument(help="Address, network, domain, URL or hash.")],
    to: To = LOCAL,
    key: Reading = "",
    as_json: AsJson = False,
) -> None:
    """Say whether a value is known to be bad: exit code 0 when an indicator in force speaks of it, 1 when none does."""
    found = Centre(to, key, "indicators:read").ask("GET", "/v1/indicators", params={"value": value})
    if as_json:
        typer.echo(json.dumps(found))
    else:
        table = Table(
            "feed", "type", "value", "in force", "TLP", "confidence", "until", "source", title=found["value"], title_justify="left"
        )
        for one in found["items"]:
            force, until = "yes" if one["in_force"] else "no", one["valid_until"] or "without end"
            table.add_row(one["feed"], one["type"], one["value"], force, one["tlp"], str(one["confidence"]), until, one["source"])
        Console().print(table if found["items"] else f"{found['value']} is not known")
    if not any(one["in_force"] for one in found["items"]):
        raise typer.Exit(1)


@app.command("delete")
def delete(
    feed: Annotated[str, typer.Argument(help="The feed.")],
    to: To = LOCAL,
    key: Writing = "",
) -> None:
    """Delete a feed with all its indicators. What they met stays."""
    Centre(to, key, "indicators:write").remove(f"{_FEEDS}/{feed}", seconds=_SECONDS)
    typer.echo(f"deleted {feed}")


def _format(file: Path) -> str:
    """What a file is, by its name and beginning."""
    if file.suffix.lower() == ".csv":
        return "csv"
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        return "csv"
    if any(word in head for word in (b'"Event"', b'"Attribute"')):
        return "misp"
    if any(word in head for word in (b'"bundle"', b'"objects"', b'"spec_version"')):
        return "stix"
    raise FileError(file, "is neither plainly STIX nor plainly MISP: say --format")


def _compressed(file: BinaryIO) -> Iterator[bytes]:
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    while chunk := file.read(_CHUNK):
        yield compressor.compress(chunk)
    yield compressor.flush()
