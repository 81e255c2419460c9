"""What the OpenAPI document says beyond the routes themselves: the headers every route of a kind takes, and examples."""

from __future__ import annotations

import threading
from typing import Any, Final

from fastapi import FastAPI

from api import examples
from api.idempotency import HEADER, is_taken

_IDEMPOTENCY: Final[dict[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "A word of your own for this request: sent again within a day it does nothing, and gives the first answer",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
}


def install(app: FastAPI) -> None:
    """Let `app` tell of these headers. Call it when its routes are complete."""
    plain = app.openapi

    making = threading.Lock()  # FastAPI's own making of the document does not bear two threads at once

    def complete() -> dict[str, Any]:
        with making:
            if app.openapi_schema is None:
                document = plain()
                for path, operations in document["paths"].items():
                    if "post" in operations and is_taken(path):
                        operations["post"].setdefault("parameters", []).append(_IDEMPOTENCY)
                examples.complete(document)
            return plain()

    app.openapi = complete  # type: ignore[method-assign]
