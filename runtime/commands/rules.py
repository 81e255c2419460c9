"""`bongsu rules`: try and list rules."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table

from core import config
from core.engine import Engine
from core.errors import ConfigError, FileError
from detect.correlation.definition import Correlation
from detect.correlation.resolve import resolve
from detect.correlation.sequences import match_sequences
from detect.match import match_cases
from detect.rules import Rule
from runtime.bootstrap import rule_book
from runtime.commands import rule_check, rule_coverage, rule_explain
from runtime.commands.options import AsJson, Config
from runtime.commands.rule_test import try_samples

app = typer.Typer(add_completion=False, help="Try, list and check Sigma rules.", no_args_is_help=True)
app.command("test")(try_samples)
app.command("check")(rule_check.check)
app.command("explain")(rule_explain.show)
app.command("coverage")(rule_coverage.show)
app.command("convert")(rule_explain.convert)


@app.command("match")
def match(
    cases: Annotated[Path | None, typer.Option("--cases", help='JSON lines {"id", "rule_yaml", "event"}.')] = None,
    sequences: Annotated[
        Path | None, typer.Option("--sequences", help='JSON lines {"id", "rules_yaml", "steps": [{"t" (seconds), "event"}]}.')
    ] = None,
) -> None:
    """Print for each case, in order, {"id", "match"}, for each sequence {"id", "fires"}; the compiler and engine are production's."""
    if (cases is None) == (sequences is None):
        raise ConfigError("--cases", "give either --cases or --sequences")
    engine = Engine()
    try:
        for result in match_cases(engine, _objects(cases)) if cases else match_sequences(engine, _objects(cast(Path, sequences))):
            sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
    finally:
        engine.close()


@app.command("list")
def list_rules(config_file: Config = None, as_json: AsJson = False) -> None:
    """List the rules that run, and those set aside with the reason."""
    loaded = rule_book(config.load(config_file).detect)
    resolved = resolve(loaded)
    running: list[Rule | Correlation] = [*loaded.rules, *resolved.correlations]
    set_aside = (*loaded.set_aside, *resolved.set_aside)
    if as_json:
        rows = [{"id": rule.id, "title": rule.title, "level": rule.level, "file": str(rule.file)} for rule in running]
        aside = [{"file": error.file, "line": error.line, "reason": error.reason} for error in set_aside]
        typer.echo(json.dumps({"rules": rows, "set_aside": aside}, ensure_ascii=False))
        return
    table = Table("level", "title", "id", title=f"{len(running)} rules", title_justify="left")
    for rule in running:
        table.add_row(rule.level, rule.title, rule.id)
    console = Console()
    console.print(table)
    for error in set_aside:
        console.print(f"set aside: {error}", markup=False)


def _objects(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with file.open(encoding="utf-8") as opened:
            for number, line in enumerate(opened, 1):
                if line.strip():
                    yield _object(file, number, line)
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error


def _object(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        case = json.loads(line)
    except ValueError as error:
        raise FileError(f"{file}:{number}", f"is not JSON: {error}") from error
    if not isinstance(case, dict):
        raise FileError(f"{file}:{number}", "must be an object")
    return case
