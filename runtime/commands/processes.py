"""`bongsu up`, and one command per stage for a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from core import config
from runtime import demo, logs, process
from runtime.commands.options import Config
from runtime.process import EVERY_ROLE, Role, Running

app = typer.Typer(add_completion=False)


@app.command("up")
def _up(
    config_file: Config = None,
    with_demo: Annotated[bool, typer.Option("--demo", help="With demo agencies, accounts and a feed of invented logs.")] = False,
) -> None:
    """Run the whole centre in one process: Ctrl-C stops it, the data stays."""
    settings = config.load(config_file or (demo.SETTINGS if with_demo else None))
    logs.configure(settings.log_level)

    async def ready(running: Running) -> None:
        accounts = await asyncio.to_thread(demo.ensure_accounts, running.parts.database, settings.data_dir) if with_demo else []
        _greet(running, accounts)

    _run(process.run(settings, EVERY_ROLE, ready, demo=with_demo))


def _stage_command(role: Role) -> Callable[[Config], None]:
    def command(config_file: Config = None) -> None:
        """Run one stage as a process of its own, on Kafka, ClickHouse and PostgreSQL. SIGTERM stops it."""
        settings = config.load(config_file)
        logs.configure(settings.log_level)

        async def ready(running: Running) -> None:
            where = ", ".join([*(f"{name} on port {port}" for name, port in running.syslog_ports.items()), running.url]).strip(", ")
            typer.echo(f"bongsu {role.value}: running{': ' + where if where else ''}")

        _run(process.run(settings, [role], ready))

    return command


for _role in EVERY_ROLE:
    app.command(_role.value)(_stage_command(_role))


def _run(main: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def _greet(running: Running, accounts: list[demo.DemoAccount]) -> None:
    console = Console(highlight=False)
    console.print(f"\n[bold]봉수 Bongsu[/] is running: [bold cyan]{running.url}[/]")
    for name, port in running.syslog_ports.items():
        console.print(f"  syslog {name}: port {port}")
    if accounts:
        table = Table("account", "password", "role", "agency", title="Demo accounts", title_justify="left")
        for account in accounts:
            table.add_row(account.name, account.password, account.role, account.agency or "all")
        console.print(table)
    console.print("Ctrl-C stops it; the data stays.\n")
