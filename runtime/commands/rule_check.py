"""`bongsu rules check`: load and compile rules, and say what is wrong with them and what could be better."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from core import config
from core.engine import Engine
from detect import lint
from detect.correlation.resolve import resolve
from detect.rules import load, rule_files
from detect.ruleset import SETTINGS, compile_rules
from runtime import logs
from runtime.bootstrap import rule_folders
from runtime.commands.options import AsJson, Config


def check(
    folders: Annotated[list[Path] | None, typer.Argument(help="Folders or files of rules; default: those of the settings.")] = None,
    config_file: Config = None,
    as_json: AsJson = False,
) -> None:
    """Load and compile rules together: each that is refused with file, line and reason, then warnings. Ends with 1 when one is refused."""
    logs.configure("error")
    wanted = folders or rule_folders(config.load(config_file).detect)
    book = load(wanted)
    resolved = resolve(book)
    engine = Engine()
    try:
        with closing(engine.session(SETTINGS)) as session:
            plan = compile_rules(book.rules, session, (*book.set_aside, *resolved.set_aside))
    finally:
        engine.close()
    found = list(lint.warnings([file for folder in wanted for file in rule_files(folder)], plan.rules))
    runs = len(plan.active) + len(resolved.correlations)
    if as_json:
        errors = [{"file": error.file, "line": error.line, "reason": error.reason} for error in plan.set_aside]
        typer.echo(json.dumps({"rules": runs, "errors": errors, "warnings": [asdict(one) for one in found]}, ensure_ascii=False))
    else:
        for error in plan.set_aside:
            typer.echo(f"error: {error}")
        for warning in found:
            typer.echo(f"warning: {warning}")
        typer.echo(f"{runs} rules run, {len(plan.set_aside)} are refused, {len(found)} warnings")
    if plan.set_aside:
        raise typer.Exit(1)
