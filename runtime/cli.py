"""The command `bongsu`. Every error a person can mend is one line on stderr: what happened, where, what to do."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console

from core.errors import BongsuError, ConfigError
from runtime.commands import accounts, bench, checks, database, lines, processes, replay, rules

_CONTEXT = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    name="bongsu",
    help="The software of a city's Security Control Center: agencies' logs in, incidents and the ordinance's duties out.",
    no_args_is_help=True,
    context_settings=_CONTEXT,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
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


for _module in (processes, replay, lines, checks, bench):
    _module.register(app)
app.add_typer(rules.app, name="rules")
app.add_typer(database.app, name="db")
app.add_typer(accounts.users, name="users")
app.add_typer(accounts.keys, name="keys")


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
