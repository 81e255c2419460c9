"""`bongsu rules explain` and `convert`: why a rule does or does not match an event, and the SQL it becomes."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer
from sqlalchemy.engine import make_url

from core import config, level_effects
from core.clock import SystemClock
from core.config import DetectSettings, IntakeSettings, Settings
from core.database import Database
from core.engine import Engine
from core.errors import ConfigError, FileError, RuleError
from detect import explain, lint
from detect.compiled import compile_rule
from detect.convert import converted
from detect.explain import Part
from detect.fields import EventFields
from detect.rules import Rule, load_file
from detect.ruleset import SETTINGS, compile_rules
from detect.tuning import facts_of
from ingest import parser
from ingest.compile import ParserSet
from runtime import logs, rule_samples
from runtime.bootstrap import rule_folders
from runtime.commands.options import AsJson, Config

RuleFile = Annotated[Path, typer.Option("--rule", help="The file of the rule.")]
RuleTitle = Annotated[str, typer.Option("--id", help="Which rule, where the file holds several: its id or title.")]

_MOST_ALTERNATIVES = 5  # shown of an `any of` that holds, where most do not


def show(
    rule_file: RuleFile,
    line: Annotated[str, typer.Option("--line", help="A raw line, read by the parsers.")] = "",
    event: Annotated[str, typer.Option("--event", help="An event as a JSON object, its fields used as they are named.")] = "",
    rule_id: RuleTitle = "",
    config_file: Config = None,
    as_json: AsJson = False,
) -> None:
    """For one event and one rule: which parts of the condition held and which did not, with the values that decided. 1: no match.

    Where the level of a warning changes something about the rule (the database of the settings says so), that is told too.
    """
    if bool(line) == bool(event):
        raise ConfigError("--line", "give either --line RAW or --event JSON")
    logs.configure("error")
    settings = config.load(config_file)
    rule = _rule(rule_file, rule_id, settings.detect)
    engine = Engine()
    try:
        with closing(engine.session(SETTINGS)) as session:
            if event:
                told = explain.of_object(session, rule, _object(event))
            else:
                told = explain.of_event(session, rule, _event(engine, line, settings.intake))
    finally:
        engine.close()
    levels = _levels(settings, rule)
    if as_json:
        typer.echo(json.dumps({**told.plain(), "levels": levels}, ensure_ascii=False))
    else:
        _print(told, 0)
        for agency, reason in levels.items():
            typer.echo(f"at {agency or 'every agency not named'}: {reason}")
        typer.echo("the rule matches" if told.holds else "the rule does not match")
    if not told.holds:
        raise typer.Exit(1)


def _levels(settings: Settings, rule: Rule) -> dict[str, str]:
    """What the level of a warning does to the rule now, by agency ('': every other); nothing where there is no database yet."""
    file = make_url(settings.database_url).database if settings.database_url.startswith("sqlite") else ""
    if file and not Path(file).exists():
        return {}
    database = Database(settings.database_url, SystemClock())
    database.start()
    try:
        with database.session(readonly=True) as session:
            found = level_effects.rulings(level_effects.in_force(session), facts_of(rule))
    finally:
        database.close()
    return {agency: level_effects.reason(*told) for agency, told in found.items()}


def convert(rule_file: RuleFile, rule_id: RuleTitle = "", config_file: Config = None, as_json: AsJson = False) -> None:
    """Show the ClickHouse SQL a rule becomes, a whole SELECT to hunt with, and what pySigma says of the rule."""
    logs.configure("error")
    rule = _rule(rule_file, rule_id, config.load(config_file).detect)
    compiled = compile_rule(rule, EventFields())
    engine = Engine()
    try:
        with closing(engine.session(SETTINGS)) as session:
            for error in compile_rules([rule], session).set_aside:
                raise RuleError(error.file, error.reason, error.line)
    finally:
        engine.close()
    found = converted(compiled)
    remarks = [one.reason for one in lint.warnings([rule_file], [compiled])]
    if as_json:
        typer.echo(json.dumps({"id": rule.id, "title": rule.title, **asdict(found), "remarks": remarks}, ensure_ascii=False))
        return
    typer.echo(f"-- {rule.title} ({rule.id})\n-- classes: {', '.join(found.classes)}\n-- columns: {', '.join(found.columns)}")
    typer.echo(f"-- looked for first: {', '.join(found.witnesses) or 'nothing, every row of these classes is checked'}")
    for remark in remarks:
        typer.echo(f"-- remark: {remark}")
    typer.echo(f"\n{found.condition}\n\n{found.hunt}")


def _rule(file: Path, wanted: str, settings: DetectSettings) -> Rule:
    """The rule of a file with the filters that the rule folders of the settings lay over it; the file's first error when it has none."""
    book = load_file(file, rule_folders(settings))
    found = [rule for rule in book.rules if not wanted or wanted in (rule.id, rule.title, rule.name)]
    if len(found) == 1:
        return found[0]
    if not found:
        for error in book.set_aside:
            raise RuleError(error.file, error.reason, error.line)
        what = "correlations, which look at more than one event" if book.correlations else f"no rule {wanted}".rstrip()
        raise FileError(file, f"holds {what}")
    raise ConfigError("--id", f"{file} holds several rules: name one of {', '.join(rule.id for rule in found)}")


def _object(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except ValueError as error:
        raise ConfigError("--event", f"is not JSON: {error}") from error
    if not isinstance(event, dict):
        raise ConfigError("--event", "must be a JSON object")
    return event


def _event(engine: Engine, line: str, intake: IntakeSettings) -> pa.Table:
    """The event that the parsers make of the line, as a sample of a rule is read."""
    parsers = ParserSet.load(parser.FOLDER, intake.parsers_folder) if intake.parsers_folder else ParserSet.load()
    with rule_samples.normaliser(engine, parsers, intake) as reader:
        events, refused = rule_samples.events_of(reader, [[line]])
    if not events.num_rows:
        raise ConfigError("--line", f"no event comes of the line, it goes to quarantine: {'; '.join(refused.values())}")
    return events


def _print(part: Part, depth: int) -> None:
    name = f"{part.name}: " if part.name else ""
    value = "" if part.parts or part.what.startswith("the line ") else f"   [{'absent' if part.value is None else part.value}]"
    remark = f"   ({part.remark})" if part.remark else ""
    typer.echo(f"{'  ' * depth}{'yes' if part.holds else 'no '} {name}{part.what}{value}{remark}")
    shown = part.parts
    if part.what == "any of" and part.holds and len(shown) > _MOST_ALTERNATIVES:
        shown = tuple(inner for inner in shown if inner.holds)
    for inner in shown:
        _print(inner, depth + 1)
    if others := len(part.parts) - len(shown):
        typer.echo(f"{'  ' * (depth + 1)}no  {others} others")
