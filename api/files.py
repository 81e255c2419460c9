"""Files people bring and take away: read with a limit, given back only as a download of no type a browser would open."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from fastapi import Request, Response

from core.errors import TooLarge

OCTETS: Final = "application/octet-stream"
_BYTES: Final[dict[str, Any]] = {OCTETS: {"schema": {"type": "string", "format": "binary"}}}
DOWNLOAD: Final[dict[int | str, dict[str, Any]]] = {200: {"content": _BYTES}}


def upload(setting: str) -> dict[str, Any]:
    """How the OpenAPI document describes a body that is a file, at most as large as `setting` says."""
    return {
        "requestBody": {
            "required": True,
            "description": f"The file as it is, at most `{setting}`. It is never opened here.",
            "content": _BYTES,
        }
    }


async def received(request: Request, megabytes: int, setting: str) -> bytes:
    """The body of `request`; TooLarge when it has more than `megabytes` MiB."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > megabytes << 20:
            raise TooLarge(f"a file has at most {megabytes} MiB ({setting})")
    return bytes(content)


def download(name: str, sha256: str, content: bytes) -> Response:
    """A file's bytes; its SHA-256 is the ETag."""
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}", "ETag": f'"{sha256}"'}
    return Response(content, media_type=OCTETS, headers=headers)
