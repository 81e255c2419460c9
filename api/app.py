"""The FastAPI application of one centre: the API under /v1, the dashboard beside it, one gate before both."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES

from api import dashboard, exports, openapi, problems
from api.auth.gate import Gate
from api.auth.sessions import Rules
from api.centre import Centre
from api.dashboard.beacons import STATIC
from api.envelope import Envelope
from api.idempotency import Idempotency
from api.rates import Rates
from api.routes import (
    account,
    account_changes,
    agency_health,
    alerts,
    assignees,
    audit,
    baselines,
    blocks,
    campaigns,
    centres,
    clocks,
    compliance,
    counters,
    coverage,
    delegations,
    drills,
    duties,
    event_views,
    events,
    evidence,
    feed,
    figures,
    health,
    hunts,
    incident_cases,
    incident_reasons,
    incident_work,
    incidents,
    indicators,
    investigations,
    keys,
    ledger,
    live,
    login,
    logs,
    notifications,
    personal,
    quarantine,
    readiness,
    reports,
    requests,
    rule_drafts,
    rule_figures,
    rule_tunings,
    rules,
    share_receipts,
    sharing,
    silences,
    sources,
    system,
    taxii,
    team_members,
    teams,
    users,
    views,
    warning_notices,
    warnings,
)
from api.sections import Section

_ROUTES: Final = (
    *(health, login, logs, event_views, events, live, incidents, incident_work, keys, counters, coverage, sources, quarantine),
    *(incident_reasons, incident_cases, assignees, views, rule_figures, rule_tunings, rules, rule_drafts),
    *(silences, hunts, indicators, baselines),
    *(requests, reports, feed, figures, investigations, personal, audit, evidence, notifications, blocks),
    *(warnings, warning_notices, readiness, teams, team_members, drills, sharing, share_receipts, taxii),
    *(centres, delegations, alerts, campaigns, duties, compliance, clocks, ledger, agency_health),
    *(account, users, account_changes, system),
)
_COMPRESSED_FROM: Final = 1024  # bytes
_COMPRESSED_ALREADY: Final = (*DEFAULT_EXCLUDED_CONTENT_TYPES, exports.FORMATS["parquet"].media_type)
_ABOUT: Final = """Logs in, events and incidents out. People log in and carry a session cookie; machines carry a key
or show a registered certificate.

Times are ISO 8601 in UTC. Errors are problem documents (RFC 9457). Lists give `next_cursor`, to be sent as `cursor` for the next page.
Every answer has an `X-Request-ID`; yours is kept if you send one. A POST with an `Idempotency-Key` is done once, however often it is sent.
Who sends too many requests gets 429 with `Retry-After`."""


def create_app(centre: Centre) -> FastAPI:
    """The application that serves `centre`. Its parts must be started already, and are not closed by it."""
    app = FastAPI(
        title="Bongsu",
        version=version("bongsu"),
        description=_ABOUT,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,  # these pages load their scripts from the internet
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        responses={
            code: {"model": problems.Problem, "description": text, "content": {problems.MEDIA_TYPE: {}}}
            for code, text in (("4XX", "The request is refused"), ("5XX", "The centre failed"))
        },
    )
    problems.install(app)
    for module in _ROUTES:
        app.include_router(Section(module.router))
    openapi.install(app)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    dashboard.install(app)
    app.add_middleware(Idempotency, database=centre.database)
    rates = Rates(centre.settings.api.requests_per_minute)
    app.add_middleware(Gate, database=centre.database, rates=rates, rules=Rules.of(centre.settings.api))
    app.add_middleware(GZipMiddleware, minimum_size=_COMPRESSED_FROM, compresslevel=4, exclude_content_types=_COMPRESSED_ALREADY)
    app.add_middleware(Envelope, centre=centre)
    return app
