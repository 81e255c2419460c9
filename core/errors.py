"""The one tree of errors.

    BongsuError
    ├── ConfigError           a setting is wrong; the start stops             (key, reason)
    ├── BusError
    │   ├── BusFull           backlog or disk limit reached; try again later  -> HTTP 503, a TCP reader waits
    │   ├── BusUnavailable    the broker does not answer; try again later
    │   └── BadMessage        a message's value is not what its headers say; it goes to quarantine
    ├── StoreError
    │   ├── StoreUnavailable  the store does not answer, is locked or its disk is full; try again later
    │   └── QueryTooCostly    a query passed its limit of rows, time or memory
    ├── ParserError           a parser definition is wrong                    (file, line, reason)
    ├── DictionaryError       an inventory or a list of the operator's is wrong; what was read before stays (file, line, reason)
    ├── RuleError             a Sigma rule is wrong or unsupported; it is set aside (file, line, reason)
    └── DomainError           a request the domain refuses; carries an HTTP status and a stable code
        ├── NotFound 404 · Forbidden 403 · Unauthenticated 401 · Conflict 409 (Stale 412) · Invalid 422 · TooMany 429
        └── TooLarge 413 · Unsupported 415

Every message says what happened, where, and what to do. Secrets never appear in one.
"""

from __future__ import annotations

from pathlib import Path


class BongsuError(Exception):
    """Root of every error this product raises on purpose."""


class ConfigError(BongsuError):
    """A setting is wrong. `key` is its dotted path, as written in the settings file."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"setting {key!r}: {reason}")
        self.key = key
        self.reason = reason


class FileError(ConfigError):
    """A file a person named cannot be used. `key` is its path, with `:line` where a line is at fault."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(str(path), reason)
        self.args = (f"{path}: {reason}",)


class BusError(BongsuError):
    """The bus could not do what was asked."""


class BusFull(BusError):
    """The backlog or the disk is full: nothing was accepted. `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BusUnavailable(BusError):
    """The broker does not answer; nothing is known to be accepted."""


class BadMessage(BusError):
    """A message's value is not what its headers say."""


class StoreError(BongsuError):
    """The store refused or failed."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, is locked, or has no room; the same call may succeed later."""


class QueryTooCostly(StoreError):
    """A query passed its limit of rows, time or memory."""


class DefinitionError(BongsuError):
    """Something a person wrote (a parser, a rule) is wrong. `line` counts from 1; 0 when unknown."""

    def __init__(self, file: Path | str, reason: str, line: int = 0) -> None:
        where = f"{file}:{line}" if line else str(file)
        super().__init__(f"{where}: {reason}")
        self.file = str(file)
        self.line = line
        self.reason = reason


class ParserError(DefinitionError):
    """A parser definition is wrong."""


class DictionaryError(DefinitionError):
    """An inventory, a list or a database of the operator's is wrong."""


class RuleError(DefinitionError):
    """A Sigma rule is wrong, or uses what is not supported."""


class DomainError(BongsuError):
    """A request the domain refuses. `status` is the HTTP status, `code` a stable word for machines."""

    status = 400
    code = "bad_request"


class Unauthenticated(DomainError):
    """No valid identity came with the request."""

    status = 401
    code = "unauthenticated"


class Forbidden(DomainError):
    """The identity may not do this."""

    status = 403
    code = "forbidden"


class NotFound(DomainError):
    """It does not exist, or not within the caller's scope."""

    status = 404
    code = "not_found"


class Conflict(DomainError):
    """The state does not allow this step."""

    status = 409
    code = "conflict"


class Stale(Conflict):
    """Somebody else changed it since it was seen."""

    status = 412
    code = "stale"


class Invalid(DomainError):
    """The content cannot be accepted."""

    status = 422
    code = "invalid"


class TooLarge(DomainError):
    """The content is larger than the limit the message names."""

    status = 413
    code = "too_large"


class Unsupported(DomainError):
    """The content is of a type or in an encoding that is not read here."""

    status = 415
    code = "unsupported"


class TooMany(DomainError):
    """Too many requests or failed attempts. `retry_after` is in seconds."""

    status = 429
    code = "too_many"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
