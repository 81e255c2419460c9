"""What every Kafka client of ours has in common: how to reach the cluster, and what its errors mean here.

Invariant: no call waits for a broker without a limit; a broker that does not answer is BusUnavailable.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, KafkaStorageError, MessageSizeTooLargeError

from core.config import KafkaSettings
from core.errors import BusError, BusFull, BusUnavailable, ConfigError

LARGEST_MESSAGE = 32 << 20
ANSWER_SECONDS = 10.0  # for a question; a write has the limit of its caller
_REQUEST_MS = 20_000
_RECORD_OVERHEAD = 64 << 10  # headers, key and framing of a message of the largest size


def options(settings: KafkaSettings) -> dict[str, Any]:
    """Arguments of an aiokafka client. ConfigError when the CA file cannot be read."""
    given: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": "bongsu",
        "request_timeout_ms": _REQUEST_MS,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        given["ssl_context"] = _tls(settings)
    if settings.security_protocol.startswith("SASL"):
        given["sasl_mechanism"] = settings.sasl_mechanism
        given["sasl_plain_username"] = settings.sasl_username
        given["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return given


def largest_request() -> int:
    """Bytes of the largest batch: what `max.message.bytes` of a topic must allow."""
    return LARGEST_MESSAGE + _RECORD_OVERHEAD


@asynccontextmanager
async def answering(what: str, settings: KafkaSettings, seconds: float = ANSWER_SECONDS) -> AsyncIterator[None]:
    """Run calls of aiokafka within `seconds`, its errors turned into ours; `what` says what was tried."""
    where = f"Kafka at {settings.bootstrap_servers}"
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise BusUnavailable(f"{what}: {where} did not answer within {seconds:g} s") from error
    except (CommitFailedError, IllegalStateError) as error:
        raise BusError(f"{what}: the partitions of this group were shared out anew: {error}") from error
    except MessageSizeTooLargeError as error:
        raise BusError(f"{what}: larger than the topic takes; raise its max.message.bytes to {largest_request()}") from error
    except KafkaStorageError as error:
        raise BusFull(f"{what}: {where} cannot write to its disk", retry_after=5.0) from error
    except (KafkaError, OSError) as error:
        raise BusUnavailable(f"{what}: {where}: {error or type(error).__name__}") from error


def _tls(settings: KafkaSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:  # ssl.SSLError is one too
        raise ConfigError("bus.kafka.ca_file", f"{settings.ca_file} cannot be used: {error}") from error
