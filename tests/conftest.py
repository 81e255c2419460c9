"""Fixtures every test may use, and the rule that nothing skips in CI."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # how long an example takes says nothing on a busy machine
settings.load_profile("untimed")

structlog.configure(processors=[structlog.processors.format_exc_info, structlog.dev.ConsoleRenderer(colors=False)])
pytest_plugins = [
    "tests.browser",
    "tests.servers.kafka",
    "tests.servers.clickhouse",
    "tests.servers.debian_clickhouse",
    "tests.servers.postgres",
]

SAMPLES = Path(__file__).resolve().parents[2] / "shared" / "samples"


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of public samples beside the checkout."""
    if not SAMPLES.is_dir():
        pytest.skip("the folder of public samples is not beside this checkout (../shared/samples)")
    return SAMPLES


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """In CI a skipped test is a failed one: what it needs must be installed."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} skipped in CI: {report.longrepr}"
    return report
