"""`bongsu drill`: check scenarios of drills before they are used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from core import config
from core.errors import FileError
from detect.rules import RuleBook
from respond.drills.scenario import Scenario, load
from runtime.bootstrap import rule_book
from runtime.commands.options import AsJson, Config

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _drill() -> None:
    """Scenarios of drills."""


@app.command("check")
def check(
    files: Annotated[list[Path], typer.Argument(help="Scenarios (YAML).", exists=True, dir_okay=False)],
    config_file: Config = None,
    as_json: AsJson = False,
) -> None:
    """Read scenarios, say in which line what is wrong, and which rules they expect that are not loaded. Ends with 1 when anything is."""
    book = rule_book(config.load(config_file).detect)
    found: list[Scenario] = []
    problems: list[str] = []
    for file in files:
        try:
            scenario = load(file)
        except FileError as error:
            problems.append(str(error))
            continue
        found.append(scenario)
        problems += [f"{file}: {problem}" for problem in _unknown_rules(scenario, book)]
    if as_json:
        typer.echo(json.dumps({"scenarios": [_told(one) for one in found], "errors": problems}, ensure_ascii=False))
    else:
        for one in found:
            agencies = "any number of agencies" if len(one.roles) == 1 else f"{len(one.roles)} agencies"
            lines = sum(role.count for role in one.roles)
            typer.echo(f"{one.id} {one.version}: {lines} lines in {one.seconds:g} s for {agencies}, {_expected(one)} expected finds")
        for problem in problems:
            typer.echo(f"error: {problem}")
    if problems:
        raise typer.Exit(1)


def _unknown_rules(scenario: Scenario, book: RuleBook) -> list[str]:
    """A find that no loaded rule and no tag can bring would be missed whatever people do."""
    known = {one.id for one in book.rules} | {one.id for one in book.correlations}
    return [
        f"{role.name}.{find.name}: no such rule is loaded: {rule}"
        for role in scenario.roles
        for find in role.expect
        for rule in find.rules
        if rule not in known
    ]


def _expected(scenario: Scenario) -> int:
    return sum(len(role.expect) for role in scenario.roles)


def _told(one: Scenario) -> dict[str, object]:
    lines = sum(role.count for role in one.roles)
    return {
        "id": one.id,
        "version": one.version,
        "roles": len(one.roles),
        "lines": lines,
        "seconds": one.seconds,
        "expected": _expected(one),
    }
