"""The processes: which services run in one, and how they start and stop.

Services start in the order of the list and stop in the reverse one: what takes lines in starts last and stops first, so nothing is taken
that could not be put down. A service that ends by itself ends the process with its error; the bus keeps what was accepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from core import metrics
from core.bus.contract import Bus
from core.errors import BusError
from core.stage import Stage

_log = structlog.get_logger()
_LAG_EVERY_SECONDS = 2.0
_STOP_WITHIN_SECONDS = 20.0


class Service(Protocol):
    """Something that runs until it is stopped."""

    @property
    def name(self) -> str: ...

    async def start(self) -> None:
        """Return when it is ready; what it does on goes on in tasks of its own."""
        ...

    async def stop(self) -> None:
        """Finish what is under way and return."""
        ...

    def failure(self) -> BaseException | None:
        """Why it ended by itself, when it did."""
        ...


class StageService:
    """A consumer loop as a service."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self._stage.name

    async def start(self) -> None:
        self._task = asyncio.create_task(self._stage.run(), name=self._stage.name)

    async def stop(self) -> None:
        if self._task is None:
            return
        self._stage.stop()
        await finish(self._task)

    def failure(self) -> BaseException | None:
        return failure_of(self._task)


class PairService:
    """A thing with `stop`, and perhaps `start`, coroutines and no task of its own to watch, such as a listener."""

    def __init__(self, name: str, *, stop: Callable[[], Awaitable[None]], start: Callable[[], Awaitable[None]] | None = None) -> None:
        self.name = name
        self._start = start
        self._stop = stop

    async def start(self) -> None:
        if self._start is not None:
            await self._start()

    async def stop(self) -> None:
        await self._stop()

    def failure(self) -> BaseException | None:
        return None


class TaskService:
    """A coroutine that runs for ever, ended by cancelling it."""

    def __init__(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self._run = run
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._main(), name=self.name)

    async def _main(self) -> None:
        await self._run()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await finish(self._task)

    def failure(self) -> BaseException | None:
        return failure_of(self._task)


def failure_of(task: asyncio.Task[None] | None) -> BaseException | None:
    """The error a task ended with, if it did."""
    if task is None or not task.done() or task.cancelled():
        return None
    return task.exception()


async def finish(task: asyncio.Task[None]) -> None:
    """Wait for a task that was asked to end; cancel it when it takes too long. Its own error was reported by `failure`."""
    done, _ = await asyncio.wait({task}, timeout=_STOP_WITHIN_SECONDS)
    if not done:
        _log.warning("service.slow_to_stop", service=task.get_name())
        task.cancel()
        await asyncio.wait({task}, timeout=1.0)


async def run_until(stop: asyncio.Event, services: Sequence[Service], on_ready: Callable[[], Awaitable[None]]) -> None:
    """Start `services`, call `on_ready`, wait for `stop` or the first failure, stop them all; raises that failure."""
    started: list[Service] = []
    try:
        for service in services:
            await service.start()
            started.append(service)
        await on_ready()
        while not stop.is_set():
            _raise_first_failure(started)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.5)
    finally:
        for service in reversed(started):
            try:
                await service.stop()
            except Exception as error:  # noqa: BLE001 - the loop's boundary: the others must still be stopped
                _log.error("service.stop_failed", service=service.name, error=str(error), exc_info=error)


def _raise_first_failure(services: Sequence[Service]) -> None:
    for service in services:
        failure = service.failure()
        if failure is not None:
            _log.error("service.failed", service=service.name, error=str(failure))
            raise failure


@dataclass(frozen=True, slots=True)
class GroupState:
    """How far a consumer group is behind, as last looked at."""

    group: str
    topic: str
    messages: int


class LagMonitor:
    """Looks at the lag of every group now and then, for the metrics, the readiness page and the dashboard."""

    def __init__(self, bus: Bus, groups: Sequence[tuple[str, str]]) -> None:
        self._bus = bus
        self._groups = tuple(groups)
        self.states: dict[str, GroupState] = {}

    async def run(self) -> None:
        while True:
            for group, topic in self._groups:
                await self._look(group, topic)
            await asyncio.sleep(_LAG_EVERY_SECONDS)

    async def _look(self, group: str, topic: str) -> None:
        try:
            messages = sum(lag.messages for lag in await self._bus.lag(group, topic))
        except BusError as error:
            _log.warning("lag.unknown", group=group, error=str(error))
            return
        self.states[group] = GroupState(group, topic, messages)
        metrics.BUS_LAG.labels(group, topic).set(messages)
