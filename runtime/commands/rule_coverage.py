"""`bongsu rules coverage`: the table of ATT&CK, and which rules can fire at each agency."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from core import config
from core.config import Settings
from core.errors import BongsuError
from core.storage import rule_queries
from detect import coverage
from detect.compiled import compile_rule
from detect.correlation.resolve import resolve
from detect.fields import EventFields
from detect.needs import Delivered
from detect.published import Snapshot, State, describe
from detect.rules import Rule, RuleBook
from respond.grouping import LEVELS
from runtime import logs
from runtime.asking import Centre, ToOrStore, key_option
from runtime.bootstrap import open_parts, rule_book
from runtime.commands.options import AsJson, Config

_MOST_SHOWN = 5


def show(
    hours: Annotated[float, typer.Option("--hours", min=0.01, max=168, help="How far back, by the time of receipt.")] = 24,
    to: ToOrStore = "",
    key: Annotated[str, key_option("rules:read")] = "",
    config_file: Config = None,
    as_json: AsJson = False,
) -> None:
    """How many rules know each technique of ATT&CK, and which rules can fire at each agency by the columns its sources really fill."""
    logs.configure("error")
    told = _asked(Centre(to, key, "rules:read"), hours) if to else asyncio.run(_of_the_store(config.load(config_file), hours))
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        _print_techniques(told["techniques"])
        _print_agencies(told["agencies"], hours)


def _asked(centre: Centre, hours: float) -> dict[str, Any]:
    found = centre.ask("GET", "/v1/rules/coverage", params={"hours": hours})
    return {"techniques": found["techniques"], "agencies": found["agencies"]}


async def _of_the_store(settings: Settings, hours: float) -> dict[str, Any]:
    states = _states(rule_book(settings.detect))
    async with open_parts(settings, {"store"}) as parts:
        await parts.store.migrate()
        until = parts.clock.now()
        found = await rule_queries.deliveries(parts.store, until - timedelta(hours=hours), until, None)
    delivered: dict[str, list[Delivered]] = {agency.id: [] for agency in settings.agencies}
    for one in found:
        filled = coverage.ALWAYS.union(one.filled)
        delivered.setdefault(one.agency, []).append(Delivered(one.log_class, one.vendor, one.product, filled))
    return {
        "techniques": [{"tactic": one.tactic, "technique": one.technique, "levels": one.levels} for one in coverage.techniques(states)],
        "agencies": [
            {
                "agency": one.agency,
                "can": list(one.can),
                "techniques": list(one.techniques),
                "cannot": [{"because": because, "rules": list(rules)} for because, rules in one.cannot.items()],
            }
            for one in coverage.at_agencies(states, delivered)
        ],
    }


def _states(book: RuleBook) -> list[State]:
    """The rules that could run, without asking the engine."""
    fields = EventFields()
    rules: list[Rule] = []
    for rule in book.rules:
        try:
            compile_rule(rule, fields)
        except BongsuError:
            continue
        rules.append(rule)
    return describe(Snapshot(rules, resolve(book).correlations, ()))


def _print_techniques(techniques: list[dict[str, Any]]) -> None:
    levels = LEVELS[::-1]
    table = Table("tactic", "technique", "rules", *levels, title="Rules by technique of ATT&CK", title_justify="left")
    for one in techniques:
        counts = [one["levels"].get(level, 0) for level in levels]
        table.add_row(one["tactic"] or "(none)", one["technique"] or "(none)", str(sum(counts)), *(str(n) if n else "" for n in counts))
    Console().print(table)


def _print_agencies(agencies: list[dict[str, Any]], hours: float) -> None:
    table = Table("agency", "can fire", "cannot", "techniques", "why not (rules)", title=f"By the lines of the last {hours:g} h")
    for one in agencies:
        reasons: dict[str, int] = defaultdict(int)
        for unable in one["cannot"]:
            reasons[unable["because"]] += len(unable["rules"])
        most = sorted(reasons.items(), key=lambda pair: -pair[1])
        more = [f"and {len(most) - _MOST_SHOWN} other reasons: --json"] if len(most) > _MOST_SHOWN else []
        why = "\n".join([*(f"{count}: {because}" for because, count in most[:_MOST_SHOWN]), *more])
        table.add_row(one["agency"], str(len(one["can"])), str(sum(reasons.values())), str(len(one["techniques"])), why)
    Console().print(table)
