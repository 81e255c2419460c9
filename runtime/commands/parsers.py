"""`bongsu parsers`: list parsers, try their samples, see how well they serve, begin a new one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from core import config
from core.clock import FixedClock, SystemClock
from core.config import Settings
from core.engine import Engine
from core.errors import ConfigError, FileError, NotFound, ParserError
from core.storage.coverage import coverage as ask
from ingest import parser, samples
from ingest.compile import Parser, ParserSet
from ingest.drafting.draft import draft, messages_of
from ingest.encoding import to_text
from ingest.normalise import Normaliser
from ingest.parse_lines import parse_lines
from ingest.parser import Tier
from runtime.asking import Centre, ToOrStore, key_option
from runtime.bootstrap import open_parts
from runtime.commands.options import AsJson, Config

app = typer.Typer(add_completion=False, help="List, try and begin parsers, and see how well they serve.", no_args_is_help=True)

_MOST_EMPTY_SHOWN = 8
_FEW_LINES = 10
_SAID_OF_EVERY_LINE = frozenset(("parser", "parser_version", "log_class", "event_time", "vendor", "product", "device"))


@app.command("list")
def list_parsers(config_file: Config = None, as_json: AsJson = False) -> None:
    """List the parsers with their versions, in the order they are asked, and how many sample lines each has."""
    rows = [_about(one) for one in _parsers(config.load(config_file)).parsers]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    headings = ("parser", "version", "vendor", "product", "tier", "columns", "samples")
    table = Table(*headings, title=f"{len(rows)} parsers", title_justify="left")
    for row in rows:
        table.add_row(*(str(len(value)) if isinstance(value, list) else str(value) for value in list(row.values())[: len(headings)]))
    Console().print(table)


def _about(one: Parser) -> dict[str, Any]:
    lines = sum(len(file.read_bytes().splitlines()) for file in samples.files_of(one.definition))
    return {
        "parser": one.name,
        "version": one.version,
        "vendor": one.vendor,
        "product": one.product,
        "tier": one.tier.name.lower(),
        "columns": sorted(one.definition.fills),
        "samples": lines,
        "file": str(one.definition.file),
    }


def _parsers(settings: Settings) -> ParserSet:
    """All parsers, read and checked for shape only."""
    own = settings.intake.parsers_folder
    return ParserSet.load(parser.FOLDER, own) if own else ParserSet.load()


@contextmanager
def _normaliser(settings: Settings, parsers: ParserSet) -> Iterator[Normaliser]:
    """One whose clock stands at the time samples are received."""
    engine = Engine()
    try:
        with closing(Normaliser(engine, parsers, settings.intake, FixedClock(samples.RECEIVED))) as normaliser:
            yield normaliser
    finally:
        engine.close()


@app.command("test")
def try_samples(
    names: Annotated[list[str] | None, typer.Argument(help="Parsers; all when none is named.")] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Write what comes out as what must come out. Compare with the lines by eye.")
    ] = False,
    config_file: Config = None,
    as_json: AsJson = False,
) -> None:
    """Run the samples of parsers and show, column by column, where something else comes out than is written beside them."""
    settings = config.load(config_file)
    parsers = _parsers(settings)
    chosen = [_named(parsers, name) for name in names] if names else parsers.parsers
    without = [one.name for one in chosen if not samples.files_of(one.definition)]
    files = [file for one in chosen for file in samples.files_of(one.definition)]
    with _normaliser(settings, parsers) as normaliser:
        if accept:
            for file in files:
                _accept(normaliser, file)
            return
        shown = track(files, "samples", console=Console(stderr=True), transient=True)
        wrong = [difference for file in shown for difference in samples.differences(normaliser, file)]
    if as_json:
        typer.echo(json.dumps({"files": len(files), "without": without, "differences": [_plain(one) for one in wrong]}, ensure_ascii=False))
    else:
        _print_differences(len(files), without, wrong)
    if wrong or without:
        raise typer.Exit(1)


def _accept(normaliser: Normaliser, file: Path) -> None:
    """Write what comes out, unless it holds words we do not know; tell of lines of which little was read."""
    rows = samples.parsed(normaliser, file)
    if complaints := [f"{file}:{line}: {complaint}" for line, complaint in samples.unknown_words(rows)]:
        raise FileError(file, "not accepted:\n" + "\n".join(complaints))
    for number, row in enumerate(rows, 1):
        if "quarantine" in row:
            typer.echo(f"{file}:{number}: goes to quarantine: {row.get('detail', row['quarantine'])}")
        elif not set(row) - _SAID_OF_EVERY_LINE:
            typer.echo(f"{file}:{number}: nothing was read of it")
    samples.accept(file, rows)
    typer.echo(f"wrote {samples.expected_file(file)}")


def _plain(difference: samples.Difference) -> dict[str, Any]:
    return {**asdict(difference), "file": str(difference.file)}


def _print_differences(count: int, without: list[str], wrong: list[samples.Difference]) -> None:
    for difference in wrong:
        typer.echo(str(difference))
    for name in without:
        typer.echo(f"{name}: has no samples: put lines into samples/{name}/ beside its file")
    typer.echo(f"{count} sample files, {len(wrong)} differences")


def _named(parsers: ParserSet, name: str) -> Parser:
    try:
        return parsers.by_name[name]
    except KeyError:
        raise NotFound(f"there is no parser {name!r}; there are {', '.join(sorted(parsers.by_name))}") from None


@app.command("coverage")
def coverage(
    hours: Annotated[float, typer.Option("--hours", min=0.01, max=168, help="How far back, by the time of receipt.")] = 1,
    to: ToOrStore = "",
    key: Annotated[str, key_option("counters:read")] = "",
    config_file: Config = None,
    as_json: AsJson = False,
) -> None:
    """For each source: how many of its recent lines a parser of its product read, and which columns always came out empty."""
    settings = config.load(config_file)
    parsers = _parsers(settings)
    if to:
        found = Centre(to, key, "counters:read").ask("GET", "/v1/coverage", params={"hours": hours})["sources"]
    else:
        found = asyncio.run(_of_the_store(settings, hours))
    rows = [_share(source, parsers) for source in found]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
    else:
        _print_coverage(rows, hours)


async def _of_the_store(settings: Settings, hours: float) -> list[dict[str, Any]]:
    async with open_parts(settings, {"store"}) as parts:
        now = parts.clock.now()
        found = await ask(parts.store, now - timedelta(hours=hours), now, None)
    return [{**asdict(one), "lines": one.lines} for one in found]


def _share(source: dict[str, Any], parsers: ParserSet) -> dict[str, Any]:
    """A source's figures with the shares, and by parser the columns it could fill and never did."""
    read = {"product": 0, "generic": 0}
    for one in source["parsers"]:
        known = parsers.by_name.get(one["parser"])
        read["generic" if known and known.tier is Tier.GENERIC else "product"] += one["lines"]
    empty = {
        one["parser"]: sorted(parsers.by_name[one["parser"]].definition.fills - set(one["filled"]))
        for one in source["parsers"]
        if one["parser"] in parsers.by_name
    }
    lines = max(source["lines"], 1)
    return {**source, "parsed": round(read["product"] / lines, 4), "generic": round(read["generic"] / lines, 4), "empty": empty}


def _print_coverage(rows: list[dict[str, Any]], hours: float) -> None:
    title = f"Lines received in the last {hours:g} h" if rows else f"No lines were received in the last {hours:g} h"
    headings = ("agency", "source", "lines", "parsed", "generic", "masked", "refused", "parsers", "always empty")
    table = Table(*headings, title=title, title_justify="left")
    for row in rows:
        parsers = ", ".join(f"{one['parser']} {one['lines']:,}" for one in row["parsers"])
        refused = ", ".join(f"{reason} {count:,}" for reason, count in row["refused"].items())
        shares = (f"{row['parsed']:.1%}", f"{row['generic']:.1%}", f"{row['masked']:,}")
        table.add_row(row["agency"], row["source"], f"{row['lines']:,}", *shares, refused, parsers, _empty(row["empty"]))
    Console().print(table)


def _empty(by_parser: dict[str, list[str]]) -> str:
    parts = []
    for name, columns in by_parser.items():
        more = f" and {len(columns) - _MOST_EMPTY_SHOWN} more" if len(columns) > _MOST_EMPTY_SHOWN else ""
        parts.append(f"{name}: {', '.join(columns[:_MOST_EMPTY_SHOWN])}{more}" if columns else "")
    return "\n".join(filter(None, parts))


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="The parser's name, such as acme_fw.")],
    file: Annotated[Path, typer.Argument(help="Some ten lines of the product, of every kind it writes.")],
    vendor: Annotated[str, typer.Option("--vendor", help="Who makes it.")],
    product: Annotated[str, typer.Option("--product", help="What it is called.")],
    folder: Annotated[Path | None, typer.Option("--folder", help="Where to; default: the setting intake.parsers_folder.")] = None,
    config_file: Config = None,
) -> None:
    """Write a first draft of a parser from sample lines, keep them as its samples, and show what it makes of them."""
    settings = config.load(config_file)
    into = folder or settings.intake.parsers_folder
    if into is None:
        raise ConfigError("--folder", "say where to, or set intake.parsers_folder to a folder of your own parsers")
    target = into / f"{name}.yaml"
    if target.exists():
        raise FileError(target, "is there already")
    lines = _lines_of(file)
    engine = Engine()
    try:
        with closing(engine.session()) as session:
            text = draft(name, vendor, product, messages_of(session, SystemClock(), lines))
    finally:
        engine.close()
    sample = into / "samples" / name / f"{file.stem}.log"
    sample.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")
    sample.write_text("\n".join(lines) + "\n", "utf-8")
    _print_draft(settings, target, sample, lines)


def _lines_of(file: Path) -> list[str]:
    try:
        lines = to_text(file.read_bytes().splitlines()).text.to_pylist()
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error
    if not lines:
        raise FileError(file, "holds no lines")
    return [str(line) for line in lines]


def _print_draft(settings: Settings, target: Path, sample: Path, lines: list[str]) -> None:
    one = Parser(parser.load(target))
    typer.echo(f"wrote {target}\nwrote {sample}\n")
    with _normaliser(settings, ParserSet([one])) as normaliser:
        try:
            rows = list(parse_lines(normaliser, [line.encode() for line in lines], one.name))
        except ParserError as error:
            typer.echo(f"the draft does not compile yet: {error}")
            return
    read = [row for row in rows if "parser" in row]
    typer.echo(f"{len(read)} of {len(rows)} lines are recognised; of them have")
    for column in sorted(one.definition.fills):
        typer.echo(f"  {column:14s} {sum(column in row for row in read)}")
    if len(lines) < _FEW_LINES:
        typer.echo(f"\n{len(lines)} lines are few: ten or more of every kind make a better draft.")
    typer.echo(
        "\nNext: correct what is guessed in the file, look again with\n"
        f"  bongsu parse --parser {one.name} {sample}\n"
        f"and when every object is right: bongsu parsers test {one.name} --accept"
    )
