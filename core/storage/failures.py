"""What an error of the ClickHouse engine means to us, by its number: the same for the embedded engine and a server.

Numbers: ClickHouse `src/Common/ErrorCodes.cpp`; they never change their meaning.
"""

from __future__ import annotations

import re
from typing import Final

from core.errors import QueryTooCostly, StoreError, StoreUnavailable

_TOO_COSTLY: Final = frozenset(
    {
        158,  # TOO_MANY_ROWS
        159,  # TIMEOUT_EXCEEDED
        160,  # TOO_SLOW
        241,  # MEMORY_LIMIT_EXCEEDED
        307,  # TOO_MANY_BYTES
        396,  # TOO_MANY_ROWS_OR_BYTES
    }
)
_MAY_PASS: Final = frozenset(
    {
        3,  # UNEXPECTED_END_OF_FILE
        74,  # CANNOT_READ_FROM_FILE_DESCRIPTOR
        75,  # CANNOT_WRITE_TO_FILE_DESCRIPTOR
        76,  # CANNOT_OPEN_FILE
        95,  # CANNOT_READ_FROM_SOCKET
        96,  # CANNOT_WRITE_TO_SOCKET
        198,  # DNS_ERROR
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        242,  # TABLE_IS_READ_ONLY: a replica lost its Keeper
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS: merges are behind
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        319,  # UNKNOWN_STATUS_OF_INSERT: the token makes a repeat safe
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        999,  # KEEPER_EXCEPTION
    }
)
_CODE = re.compile(r"Code: (\d+)\.")


def store_error(message: str, code: int | None = None) -> StoreError:
    """The error to raise for an engine's `message`; `code` is read from it ("Code: 159. ...") when not given."""
    if code is None:
        found = _CODE.search(message)
        code = int(found[1]) if found else 0
    if code in _TOO_COSTLY:
        return QueryTooCostly(message)
    if code in _MAY_PASS:
        return StoreUnavailable(message)
    return StoreError(message)
