"""A real browser on a real server of the API and dashboard: the fixtures `centre`, `browser`, `visit`, and what they hold.

Whatever the browser complains about fails the test, as does any request to another host. Pictures of the pages are kept in the folder
SCREENSHOTS_FOLDER names, when it is set.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import axe_playwright_python
import pytest
import uvicorn
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright

from core.clock import FixedClock
from core.config import Settings
from tests.servers.api import PASSWORD, TestCentre, running_centre, settings_for

CHROMIUM: Final = shutil.which("chromium")
NEEDS_CHROMIUM: Final = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian package chromium)")
QUIET: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--no-first-run", "--disable-component-update", "--disable-sync"),
)
PICTURES: Final = os.environ.get("SCREENSHOTS_FOLDER")
NOW: Final = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
AXE: Final = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
_SETTLED: Final = """() => !document.querySelector("[class*=-enter-active], [class*=-leave-active]")
    && document.getAnimations().every(one => one.playState !== "running" || !isFinite(one.effect.getComputedTiming().endTime))"""
_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PHONE: Final = {"width": 390, "height": 844}


@dataclass
class Visit:
    """One browser profile on the centre, and everything it complained about or asked others for."""

    centre: TestCentre
    url: str
    context: BrowserContext
    page: Page
    language: str
    complaints: list[str] = field(default_factory=list)

    async def log_in(self, name: str, password: str = PASSWORD) -> None:
        await self.page.fill("#name", name)
        await self.page.fill("#password", password)
        await self.page.click("button[type=submit]")

    @property
    def korean(self) -> bool:
        return self.language == "ko"

    async def open(self, path: str, name: str = "analyst") -> None:
        """Log in and go to `path`."""
        await self.page.goto(f"{self.url}/login?next={path}")
        await self.log_in(name)
        await self.page.wait_for_selector("main.page")
        await self.page.wait_for_function("window.did_handshake")  # what is typed and clicked earlier may arrive in another order

    async def barriers(self) -> list[str]:
        """What on the page as it is stands in people's way, by the rules of WCAG 2.2 AA (axe).

        What is fading in or out has not its own colours: it is waited for.
        """
        await self.page.wait_for_function(_SETTLED)
        await self.page.evaluate(AXE)
        found = await self.page.evaluate("rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", _RULES)
        return [f"{one['id']}: {node['html'][:200]} ({node['failureSummary']})" for one in found["violations"] for node in one["nodes"]]

    async def too_wide(self) -> int:
        """By how many pixels the page is wider than the window: 0 when nothing has to be scrolled sideways."""
        wide: int = await self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return wide

    async def picture(self, name: str) -> None:
        if PICTURES:
            await self.page.wait_for_timeout(600)  # the chart is drawn by now; no test depends on it
            await self.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[tuple[TestCentre, str]]:
    """A centre served by uvicorn, and its address."""
    async with served(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


@asynccontextmanager
async def served(settings: Settings, clock: FixedClock) -> AsyncIterator[tuple[TestCentre, str]]:
    """A centre of these settings served by uvicorn, and its address."""
    async with running_centre(settings, clock) as made:
        server = uvicorn.Server(uvicorn.Config(made.app, host="127.0.0.1", port=0, log_level="error"))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            assert not serving.done()
            await asyncio.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield made, f"http://127.0.0.1:{port}"
        server.should_exit = True
        await serving


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield started
        await started.close()


BOTH = pytest.mark.parametrize("visit", [("ko", "light"), ("en", "dark")], ids=["ko-light", "en-dark"], indirect=True)
ONE = pytest.mark.parametrize("visit", [("ko", "light")], ids=["ko-light"], indirect=True)


@pytest.fixture
async def visit(request: pytest.FixtureRequest, centre: tuple[TestCentre, str], browser: Browser) -> AsyncIterator[Visit]:
    """A visitor with a language and a theme."""
    language, theme = request.param
    made, url = centre
    locale = {"ko": "ko-KR", "en": "en-GB"}[language]
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, locale=locale, color_scheme=theme)
    page = await context.new_page()
    page.set_default_timeout(60_000)  # navigations on a machine that runs other tests too
    found = Visit(made, url, context, page, language)

    def asked(sent: Request) -> None:
        if not sent.url.startswith((url, "data:")):
            found.complaints.append(f"asked {sent.url}")

    def said(message: ConsoleMessage) -> None:
        refused_login = "401" in message.text and "/login" in message.location["url"]  # the browser reports it by itself
        if message.type in ("error", "warning") and not refused_login:
            found.complaints.append(f"{message.type}: {message.text}")

    page.on("request", asked)
    page.on("console", said)
    page.on("pageerror", lambda error: found.complaints.append(f"error: {error}"))
    yield found
    await context.close()
    assert found.complaints == []


async def choose_file(page: Page, name: str, content: bytes = b"") -> None:
    """Press the button that brings a file, and choose one; without `content` its name is in it."""
    async with page.expect_file_chooser() as opened:
        await page.click(".pick-file")
    await (await opened.value).set_files({"name": name, "mimeType": "text/plain", "buffer": content or name.encode()})
