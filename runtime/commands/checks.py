"""`bongsu doctor`: is this installation able to run, and if not, what to do."""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer
from cryptography import x509
from rich.console import Console

from core import config
from core.config import Listener, Settings
from core.engine import Engine
from core.errors import BongsuError
from detect.correlation.resolve import resolve
from ingest.compile import ParserSet
from ingest.enrichment.library import Library
from runtime.bootstrap import Need, Parts, open_parts, rule_book
from runtime.commands.options import AsJson, Config

app = typer.Typer(add_completion=False)

_EXPIRES_SOON = timedelta(days=30)
_FILES_WANTED = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `advice` says what to do; `fatal` tells a failure from a warning."""

    check: str
    ok: bool
    detail: str
    advice: str = ""
    fatal: bool = True


@app.command("doctor")
def _doctor(config_file: Config = None, as_json: AsJson = False) -> None:
    """Check settings, folders, ports, certificates, bus, store, database, parsers and rules; say what to mend."""
    settings = config.load(config_file)
    findings = asyncio.run(examine(settings))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    else:
        _print(findings)
    if any(not finding.ok and finding.fatal for finding in findings):
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    console = Console(highlight=False)
    for finding in findings:
        mark = "[green]ok  [/]" if finding.ok else "[red]fail[/]" if finding.fatal else "[yellow]warn[/]"
        console.print(mark, f"{finding.check}:", finding.detail.replace("[", r"\["))
        if finding.advice and not finding.ok:
            console.print("     →", finding.advice)


async def examine(settings: Settings) -> list[Finding]:
    """Every finding about the installation `settings` describes."""
    findings = [_disk(settings), _open_files(), *_ports(settings), *_certificates(settings), _parsers(settings), _rules(settings)]
    findings += [*_masking(settings), *_dictionaries(settings)]
    needs: tuple[Need, ...] = ("database", "bus", "store")
    for need in needs:
        findings.append(await _part(settings, need))
    return findings


def _disk(settings: Settings) -> Finding:
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        free = shutil.disk_usage(folder).free >> 20
    except OSError as error:
        return Finding(
            "data folder", False, f"{folder}: {error.strerror}", "give the user that runs bongsu a folder it may write to (data_dir)"
        )
    least = settings.bus.min_free_disk_mb * 2
    return Finding(
        "data folder", free > least, f"{folder}, {free:,} MiB free", f"make room: senders wait below {settings.bus.min_free_disk_mb} MiB"
    )


def _open_files() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Finding("open files", soft >= _FILES_WANTED, f"limit {soft}", f"raise it to {_FILES_WANTED} or more (ulimit -n)", fatal=False)


def _ports(settings: Settings) -> list[Finding]:
    wanted = [(f"listener {one.name}", one.host, one.port, _socket_kind(one)) for one in settings.intake.listeners]
    wanted.append(("api", settings.api.host, settings.api.port, socket.SOCK_STREAM))
    return [_port(*one) for one in wanted]


def _socket_kind(listener: Listener) -> socket.SocketKind:
    return socket.SOCK_DGRAM if listener.kind == "udp" else socket.SOCK_STREAM


def _port(name: str, host: str, port: int, kind: socket.SocketKind) -> Finding:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            advice = "stop what uses it, or choose another port; if that is bongsu itself, all is well"
            return Finding(name, False, f"{host}:{port} {error.strerror}", advice, fatal=False)
    return Finding(name, True, f"{host}:{port} is free")


def _certificates(settings: Settings) -> list[Finding]:
    sections = [(f"listener {one.name}", one.tls) for one in settings.intake.listeners] + [("api", settings.api.tls)]
    return [_certificate(name, tls.certificate) for name, tls in sections if tls]


def _certificate(name: str, file: Path) -> Finding:
    check = f"certificate of {name}"
    try:
        until = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        return Finding(check, False, f"{file}: {error}", "give a PEM certificate this user may read")
    left = until - datetime.now(UTC)
    return Finding(check, left > _EXPIRES_SOON, f"{file} until {until:%Y-%m-%d}", "renew it", fatal=left < timedelta(0))


def _parsers(settings: Settings) -> Finding:
    engine = Engine()
    try:
        return Finding("parsers", True, f"{len(ParserSet.open(engine, settings.intake).parsers)} parsers")
    except BongsuError as error:
        return Finding("parsers", False, str(error), "mend the parser, or take its file away")
    finally:
        engine.close()


def _rules(settings: Settings) -> Finding:
    loaded = rule_book(settings.detect)
    set_aside = (*loaded.set_aside, *resolve(loaded).set_aside)
    reasons = "; ".join(map(str, set_aside))
    return Finding(
        "rules",
        not set_aside,
        f"{len(loaded.rules)} rules{', set aside: ' + reasons if reasons else ''}",
        "see `bongsu rules list`",
        fatal=False,
    )


def _masking(settings: Settings) -> list[Finding]:
    off = settings.intake.masking.off
    return [
        Finding(
            f"masking of {name}", False, f"off: {kind.reason} ({kind.approved_by})", "turn it on again when the reason is gone", fatal=False
        )
        for name, kind in off.items()
    ] or [Finding("masking", True, "of every kind")]


def _dictionaries(settings: Settings) -> list[Finding]:
    library = Library(settings.enrichment, [agency.id for agency in settings.agencies])
    library.refresh()
    advice = "mend the file; until then what a running centre read of it before stays in use"
    return [
        Finding(f"enrichment.{one.name}", not one.problem, one.problem or f"{one.file}: {one.held}", advice, fatal=False)
        for one in library.states
    ]


async def _part(settings: Settings, need: Need) -> Finding:
    try:
        async with open_parts(settings, {need}) as parts:
            problem = await _ASK[need](parts)
    except BongsuError as error:
        problem = str(error)
    return Finding(need, not problem, problem or "answers")


async def _ask_bus(parts: Parts) -> str:
    return await parts.bus.healthy()


async def _ask_store(parts: Parts) -> str:
    return (await parts.store.health()).problem


async def _ask_database(parts: Parts) -> str:
    return (await asyncio.to_thread(parts.database.health)).problem


_ASK: dict[str, Callable[[Parts], Awaitable[str]]] = {"bus": _ask_bus, "store": _ask_store, "database": _ask_database}
