"""The OpenAPI document of the running application, read once per process: every POST with its form, and what each step is."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI

from api.dashboard.steps.fields import Field, of_schema

_BODY: Final = ("requestBody", "content", "application/json", "schema")


@dataclass(frozen=True, slots=True)
class Operation:
    """What a POST takes. `machine` and `action` name the step it is ('' when it is none), `to` the state after it ('' when that stays).

    `law` is the article a step carries out, '' when it is our own.
    """

    path: str
    fields: tuple[Field, ...]
    machine: str = ""
    action: str = ""
    to: str = ""
    needs_reason: bool = False
    law: str = ""


class Document:
    """The operations of an application."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._paths = document["paths"]
        self._schemas = document["components"]["schemas"]
        self._steps = {(step["machine"], path.rpartition("/")[2]): path for path, step in self._marked()}

    def _marked(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for path, operations in self._paths.items():
            if step := operations.get("post", {}).get("x-step"):
                yield path, step

    def steps(self) -> Mapping[tuple[str, str], str]:
        """The path of every step, by machine and action."""
        return self._steps

    def step(self, machine: str, action: str) -> Operation:
        """A step of a machine; KeyError when there is none."""
        return self.operation(self._steps[machine, action])

    def operation(self, path: str) -> Operation:
        """What is sent to `path` (with its parameters in braces) with POST; KeyError when there is no such route."""
        told = self._paths[path]["post"]
        schema: Any = told
        for part in _BODY:
            schema = schema.get(part, {})
        fields = of_schema(schema, self._schemas)
        step = told.get("x-step", {})
        action = path.rpartition("/")[2] if step else ""
        return Operation(path, fields, action=action, **step)


class _Kept:
    """The application of this process and, once somebody asked, its document. Making that takes a second: it is made in a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._app: Callable[[], FastAPI | None] = lambda: None
        self._document: Document | None = None

    def keep(self, app: FastAPI) -> None:
        self._app = weakref.ref(app)  # held for good it would outlive the engine, whose own end that breaks

    def read(self) -> Document:
        with self._lock:
            if self._document is None:
                app = self._app()
                if app is None:
                    raise RuntimeError("no application was installed")
                self._document = Document(app.openapi())
            return self._document


_kept: Final = _Kept()


def keep(app: FastAPI) -> None:
    """Let forms be made of what `app` says of itself; the routes are the same in every application of a process."""
    _kept.keep(app)


async def document() -> Document:
    """The document of this process's application."""
    return await asyncio.to_thread(_kept.read)
