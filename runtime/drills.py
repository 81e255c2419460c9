"""The service that sends drills: where it sends them to, and what it signs their tickets with."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import timedelta

from core.config import Settings
from core.signing import load_signer
from respond.drills import scenario
from respond.drills.links import Access
from respond.drills.runner import DrillRunner
from runtime.bootstrap import Parts
from runtime.services import Service, TaskService


def drill_service(parts: Parts, own_port: Callable[[], int]) -> Service:
    """The runner of drills; `own_port` is that of this process's TCP listener, or 0. FileError when a scenario of the city's is wrong."""
    settings = parts.settings.respond.drills
    scenario.library(settings.scenarios_folder)
    tls = ssl.create_default_context(cafile=settings.target_ca) if settings.target_ca else None
    access = Access(lambda: _target(parts.settings, own_port()), load_signer(parts.settings.signing_key), tls, parts.clock)
    runner = DrillRunner(parts.database, access, timedelta(minutes=settings.resume_minutes))
    return TaskService("drills", runner.run)


def _target(settings: Settings, own_port: int) -> tuple[str, int]:
    """The settings' target, else this process's own listener, else the first of the settings. ConnectionError when there is none."""
    wanted = settings.respond.drills
    told = next((one.port for one in settings.intake.listeners if one.kind == "tcp"), 0)
    port = wanted.target_port or own_port or told
    if not port:
        raise ConnectionError("there is no TCP listener to send to: set respond.drills.target_host and target_port")
    return wanted.target_host, port
