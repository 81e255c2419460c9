"""`bongsu rules test`: run the samples of rules."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from core import config
from core.engine import Engine
from core.errors import NotFound
from detect.correlation.definition import Correlation
from detect.rules import Rule
from detect.ruleset import SETTINGS, compile_rules
from ingest import parser
from ingest.compile import ParserSet
from runtime import logs, rule_samples, rule_sequences
from runtime.bootstrap import rule_book
from runtime.commands.options import AsJson, Config


def try_samples(
    names: Annotated[list[str] | None, typer.Argument(help="Ids, titles or files of rules; all when none is named.")] = None,
    config_file: Config = None,
    as_json: AsJson = False,
) -> None:
    """Run the raw lines beside rules through the real parsers and rules, and show what comes out otherwise than they say."""
    logs.configure("error")
    settings = config.load(config_file)
    own = settings.intake.parsers_folder
    parsers = ParserSet.load(parser.FOLDER, own) if own else ParserSet.load()
    book = rule_book(settings.detect)
    files = _by_file([*book.rules, *book.correlations], names or ())
    with_samples = {rule_samples.file_of(file): rules for file, rules in files.items() if rule_samples.file_of(file).exists()}
    correlations = [one for some in with_samples.values() for one in some if isinstance(one, Correlation)]
    rules = {file: [one for one in some if isinstance(one, Rule)] for file, some in with_samples.items()}
    without = [str(file) for file in files if rule_samples.file_of(file) not in with_samples]
    engine = Engine()
    try:
        with closing(engine.session(SETTINGS)) as session, rule_samples.normaliser(engine, parsers, settings.intake) as reader:
            plan = compile_rules(book.rules, session, book.set_aside)
            wrong = list(rule_samples.differences(reader, session, plan, {file: some for file, some in rules.items() if some}))
            wrong += rule_sequences.differences(reader, engine, book, correlations)
    finally:
        engine.close()
    aside = [error for error in plan.set_aside if not names or _is_of(error.file, names)]
    if as_json:
        told: list[dict[str, Any]] = [
            {"file": str(one.file), "sample": one.sample, "because": one.because, "problem": one.problem} for one in wrong
        ]
        set_aside = [{"file": error.file, "line": error.line, "reason": error.reason} for error in aside]
        answer = {"files": len(with_samples), "without": without, "set_aside": set_aside, "differences": told}
        typer.echo(json.dumps(answer, ensure_ascii=False))
    else:
        _print(len(with_samples), without, [*map(str, aside), *map(str, wrong)])
    if wrong or aside:
        raise typer.Exit(1)


def _by_file(rules: Sequence[Rule | Correlation], names: Collection[str]) -> dict[Path, list[Rule | Correlation]]:
    """The rules that are named, by their files; NotFound when a name is of none."""
    for name in names:
        if not any(_is_named(rule, name) for rule in rules):
            raise NotFound(f"no rule that loads has the id, title or file {name!r}: `bongsu rules list` shows them")
    found: dict[Path, list[Rule | Correlation]] = {}
    for rule in rules:
        if not names or any(_is_named(rule, name) for name in names):
            found.setdefault(Path(rule.file), []).append(rule)
    return found


def _is_named(rule: Rule | Correlation, name: str) -> bool:
    return name in (rule.id, rule.title, rule.name) or _is_of(rule.file, [name])


def _is_of(file: str, names: Collection[str]) -> bool:
    path = Path(file)
    return any(name in (path.stem, path.name) or Path(name).absolute() == path.absolute() for name in names)


def _print(count: int, without: Sequence[str], wrong: Sequence[str]) -> None:
    for line in wrong:
        typer.echo(line)
    for file in without:
        typer.echo(f"{file}: has no samples: put lines into {rule_samples.file_of(Path(file)).name} beside it")
    typer.echo(f"{count} sample files, {len(wrong)} differences")
