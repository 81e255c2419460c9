"""`docs/story.md` names calls that exist."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from core.clock import FixedClock
from tests.servers.api import running_centre, settings_for

PAGE = Path(__file__).parents[2] / "docs" / "story.md"


async def test_every_call_of_the_story_exists(tmp_path: Path) -> None:
    async with running_centre(settings_for(tmp_path), FixedClock(datetime(2026, 5, 1, tzinfo=UTC))) as centre:
        paths = centre.app.openapi()["paths"]
    known = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    told = set(re.findall(r"`((?:GET|POST) /v1/[^`<]*)`", PAGE.read_text(encoding="utf-8")))
    assert len(told) > 30
    assert told <= known, told - known
