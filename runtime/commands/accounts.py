"""`bongsu users` and `bongsu keys`: identities from the command line, for the first account and for automation."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from api.auth.keys import KeyWish, create_key, list_keys, revoke_key
from api.auth.tables import ApiKey
from api.auth.users import disable_user, ensure_user, list_users
from core import config
from core.clock import SystemClock
from core.database import Database
from core.errors import ConfigError, FileError
from runtime.commands.options import Config

users = typer.Typer(add_completion=False, help="Accounts of people.", no_args_is_help=True)
keys = typer.Typer(add_completion=False, help="API keys of machines.", no_args_is_help=True)

Agency = Annotated[str, typer.Option("--agency", help="Reach only this agency.")]


@contextmanager
def _session(config_file: Path | None) -> Iterator[Session]:
    settings = config.load(config_file)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings.database_url, SystemClock())
    database.start()
    try:
        database.migrate()
        with database.session() as session:
            yield session
    finally:
        database.close()


def _actor() -> str:
    return f"console:{getpass.getuser()}"


@users.command("set")
def set_user(
    name: str,
    role: Annotated[list[str], typer.Option("--role", help="Repeat for several.")],
    password: Annotated[str, typer.Option(prompt=True, confirmation_prompt=True, hide_input=True, envvar="BONGSU_PASSWORD")],
    agency: Agency = "",
    config_file: Config = None,
) -> None:
    """Make an account, or give an existing one this password, these roles and this agency."""
    shortest = config.load(config_file).api.identity.password_length
    with _session(config_file) as session:
        ensure_user(session, name, password, role, agency, actor=_actor(), shortest=shortest)
    typer.echo(f"{name}: {', '.join(role)}{f' of {agency}' if agency else ''}")


@users.command("list")
def show_users(config_file: Config = None) -> None:
    """List the accounts."""
    with _session(config_file) as session:
        for user in list_users(session):
            typer.echo(f"{user.name}\t{user.roles}\t{user.agency or 'all'}\t{'disabled' if user.disabled_at else 'enabled'}")


@users.command("disable")
def shut_out(name: str, config_file: Config = None) -> None:
    """Shut an account out at once, its sessions included."""
    with _session(config_file) as session:
        disable_user(session, name, actor=_actor())
    typer.echo(f"{name}: disabled")


@keys.command("create")
def make_key(
    name: str,
    action: Annotated[list[str] | None, typer.Option("--action", help="What it may do, such as logs:write. Repeat for several.")] = None,
    role: Annotated[str, typer.Option("--role", help="linked_centre or log_source: stands for its actions.")] = "",
    centre: Annotated[str, typer.Option("--centre", help="Number of the linked centre it is of.")] = "",
    certificate: Annotated[Path | None, typer.Option("--certificate", help="A certificate (PEM) that is shown instead of a key.")] = None,
    agency: Agency = "",
    source: Annotated[str, typer.Option("--source", help="The log source it writes as.")] = "",
    days: Annotated[int, typer.Option("--days", min=1, help="How long it lives.")] = 365,
    config_file: Config = None,
) -> None:
    """Make an API key and print it, this once; or let a certificate in, and print its SHA-256."""
    if agency and agency not in {known.id for known in config.load(config_file).agencies}:
        raise ConfigError("--agency", f"{agency!r} is not an agency of the settings")
    pem = _read(certificate) if certificate else ""
    with _session(config_file) as session:
        wish = KeyWish(name, action or (), agency, source, timedelta(days=days), role=role, centre=centre, certificate=pem)
        row, text = create_key(session, wish, actor=_actor())
    typer.echo(text or row.certificate)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise FileError(file, f"cannot be read as PEM: {error}") from error


@keys.command("list")
def show_keys(config_file: Config = None) -> None:
    """List the keys, newest first; their secrets are not kept."""
    with _session(config_file) as session:
        for key in _every_key(session):
            state = "revoked" if key.revoked_at else f"until {key.expires_at:%Y-%m-%d}"
            shown = f"certificate {key.certificate}" if key.certificate else "key"
            typer.echo(f"{key.id}\t{key.name}\t{key.actions}\t{key.centre or key.agency or 'all'}\t{state}\t{shown}")


def _every_key(session: Session) -> Iterator[ApiKey]:
    page = list_keys(session)
    while page:
        yield from page
        page = list_keys(session, after=(page[-1].created_at, page[-1].id))


@keys.command("revoke")
def end_key(key_id: str, config_file: Config = None) -> None:
    """End a key at once."""
    with _session(config_file) as session:
        revoke_key(session, key_id, actor=_actor())
    typer.echo(f"{key_id}: revoked")
