"""Conditional changes (RFC 9110, 13): a record is read with its version as ETag, and changed with that ETag as If-Match.

428 without it, 412 when the record is of another version by now. Where a PUT makes what is not there yet, `If-None-Match: *` says that
nothing was seen.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Response
from starlette.exceptions import HTTPException

from core.errors import Invalid
from core.versions import ABSENT

_ETAG: Final = re.compile(r'"(\d{1,9})"')
_HOW: Final = "The ETag of the record as you saw it"
CONDITIONAL: Final[dict[int | str, dict[str, Any]]] = {
    412: {"description": "Somebody else changed it meanwhile: read it again"},
    428: {"description": "If-Match is missing"},
}
"""What routes answer that change a record; it goes into `responses` of each."""


def if_match(value: Annotated[str, Header(alias="If-Match", description=_HOW, examples=['"3"'])] = "") -> int:
    """The version the caller saw; 428 when it did not say."""
    if not value:
        raise HTTPException(428, "send If-Match with the ETag of the record as you saw it")
    return _version(value)


def if_match_or_none(
    seen: Annotated[str, Header(alias="If-Match", description=f"{_HOW}, to replace it", examples=['"3"'])] = "",
    nothing: Annotated[str, Header(alias="If-None-Match", description="`*`, to make what is not there yet")] = "",
) -> int:
    """The version the caller saw, ABSENT when it saw that there is nothing; 428 when it did not say."""
    if bool(seen) == bool(nothing):
        raise HTTPException(428, "send If-Match with the ETag of the record as you saw it, or If-None-Match: * when there is none")
    if nothing and nothing != "*":
        raise Invalid("If-None-Match is * here: it says that there is nothing yet")
    return _version(seen) if seen else ABSENT


SeenVersion = Annotated[int, Depends(if_match)]
SeenOrAbsent = Annotated[int, Depends(if_match_or_none)]


def set_etag(response: Response, version: int) -> None:
    """Give the version as ETag."""
    response.headers["ETag"] = f'"{version}"'


def _version(value: str) -> int:
    version = _ETAG.fullmatch(value)
    if version is None:
        raise Invalid('If-Match must be an ETag given by us, such as "3"')
    return int(version[1])
