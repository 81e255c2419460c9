"""The command `bongsu`. Every error a person can mend is one line on stderr: what happened, where, what to do.

A command's module is imported when it is run, so that `bongsu --help` answers at once.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

from core.errors import BongsuError, ConfigError

_CLUSTER = "Stages of a cluster"


@dataclass(frozen=True, slots=True)
class _Command:
    """Where a command is: the attribute `app` of `module` is a Typer that has it, or that it is."""

    module: str
    help: str
    panel: str | None = None
    app: str = "app"


COMMANDS = {
    "up": _Command("processes", "Run the whole centre in one process."),
    "replay": _Command("replay", "Put the lines of a file on the bus, or send them to a running centre."),
    "parse": _Command("lines", "Show what the parsers make of lines: one JSON object a line."),
    "parsers": _Command("parsers", "List, try and begin parsers, and see how well they serve."),
    "rules": _Command("rules", "Try, check, explain and list Sigma rules, and see what they cover."),
    "indicators": _Command("indicators", "Feeds of known-bad things: take in, list, ask, delete."),
    "baselines": _Command("baselines", "What the detectors beside the rules have learned of each source."),
    "hunt": _Command("hunts", "Search history with rules, on a running centre."),
    "users": _Command("accounts", "Accounts of people.", app="users"),
    "keys": _Command("accounts", "API keys of machines.", app="keys"),
    "audit": _Command("audit", "The audit trail: verify it, export it, show the key that signs it."),
    "ledger": _Command("ledger", "The intake ledger: verify that every line received is stored or quarantined, and evaluated."),
    "evidence": _Command("evidence", "Evidence of incidents: take it out, verify it offline."),
    "drill": _Command("drills", "Scenarios of drills: check them before they are used."),
    "share": _Command("share", "Shared threat information: verify it offline."),
    "db": _Command("database", "The schema of the store and the database."),
    "doctor": _Command("checks", "Find out whether this installation can run, and what to mend."),
    "bench": _Command("bench", "Measure what this machine does a second."),
    "receive": _Command("processes", "Take lines in by syslog and put them on the bus.", _CLUSTER),
    "normalise": _Command("processes", "Parse raw lines into events.", _CLUSTER),
    "store": _Command("processes", "Write events, quarantine and detections to the store.", _CLUSTER),
    "detect": _Command("processes", "Run the rules over events.", _CLUSTER),
    "correlate": _Command("processes", "Find what correlation rules find in their matches.", _CLUSTER),
    "watch": _Command("processes", "Find what is unusual: silent sources, new and rare values, beacons, outbound volume.", _CLUSTER),
    "respond": _Command("processes", "Turn detections into incidents.", _CLUSTER),
    "api": _Command("processes", "Serve the REST API and the dashboard, and take lines in by HTTP.", _CLUSTER),
}


class _Commands(TyperGroup):
    """Lists commands by the table above, and imports the one that is run."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the table is the list
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - as above
        """A command's name and help, for lists; it cannot be run."""
        known = COMMANDS.get(cmd_name)
        return TyperCommand(cmd_name, help=known.help, rich_help_panel=known.panel) if known else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else load(name), rest


def load(name: str) -> Any:
    """The command called `name`, imported; KeyError when there is none."""
    known = COMMANDS[name]
    group: Any = typer.main.get_group(getattr(importlib.import_module(f"runtime.commands.{known.module}"), known.app))
    group.name = name
    return group.commands.get(name, group)


app = typer.Typer(
    cls=_Commands,
    name="bongsu",
    help="The software of a city's Security Control Center: agencies' logs in, incidents and the ordinance's duties out.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bongsu {version('bongsu')}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")] = False,
) -> None:
    """Start with `bongsu up --demo`, or `bongsu up --config FILE`."""


def main() -> None:
    """The entry point: 0 done, 1 failed, 2 used or set up wrongly, 130 interrupted."""
    errors = Console(stderr=True, highlight=False)
    try:
        app()
    except ConfigError as error:
        errors.print(f"[bold red]error:[/] {_plain(error)}", soft_wrap=True)
        sys.exit(2)
    except BongsuError as error:
        errors.print(f"[bold red]error:[/] {_plain(error)}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _plain(error: BongsuError) -> str:
    return str(error).replace("[", r"\[")
