"""What a process serves over HTTP: the API and the dashboard on its own event loop, or a stage's metrics.

With `api.tls.client_ca` a client may show a certificate (or must: `require_client_certificate`). The handshake verifies it against that
authority or fails; the SHA-256 of a verified one goes into the state of every ASGI scope of the connection, where no request can write.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from wsgiref.simple_server import WSGIServer

import uvicorn
from fastapi import FastAPI
from prometheus_client import start_http_server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.auth.certificates import fingerprint
from api.auth.gate import CERTIFICATE
from core.config import ApiSettings, StageMetricsSettings
from core.errors import ConfigError
from runtime.services import failure_of, finish


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the process decides when to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _CertificateProtocol(HttpToolsProtocol):
    """A connection whose scopes tell which certificate its client proved to have."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        der = connection.getpeercert(binary_form=True) if connection is not None else None
        if der:
            self.app_state = {**self.app_state, CERTIFICATE: fingerprint(der)}


class MetricsService:
    """`/metrics` of a stage's own process, on a thread of its own."""

    name = "metrics"

    def __init__(self, settings: StageMetricsSettings) -> None:
        self._settings = settings
        self._server: WSGIServer | None = None

    async def start(self) -> None:
        where = f"{self._settings.host}:{self._settings.port}"
        try:
            self._server, _ = start_http_server(self._settings.port, self._settings.host)
        except OSError as error:
            raise ConfigError("stage_metrics.port", f"cannot listen on {where}: {error.strerror}") from error

    async def stop(self) -> None:
        if self._server is not None:
            await asyncio.to_thread(self._server.shutdown)
            self._server.server_close()

    def failure(self) -> BaseException | None:
        return None


class WebService:
    """Serves `app` at the address of the settings; `url` is where people reach it."""

    name = "api"

    def __init__(self, app: FastAPI, settings: ApiSettings) -> None:
        self._settings = settings
        tls = settings.tls
        authority = tls.client_ca if tls else None
        needed = ssl.CERT_REQUIRED if tls and tls.require_client_certificate else ssl.CERT_OPTIONAL
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_CertificateProtocol if authority else "auto",
                ssl_ca_certs=str(authority) if authority else None,
                ssl_cert_reqs=needed if authority else ssl.CERT_NONE,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=3,
                ssl_certfile=str(tls.certificate) if tls else None,
                ssl_keyfile=str(tls.key) if tls else None,
            )
        )
        self._task: asyncio.Task[None] | None = None
        self._port = settings.port

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self._settings.host in ("0.0.0.0", "::") else self._settings.host  # noqa: S104 - compared, not bound
        return f"{'https' if self._settings.tls else 'http'}://{host}:{self._port}"

    async def start(self) -> None:
        listening = self._bind()
        self._port = listening.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]), name=self.name)
        while not self._server.started and not self._task.done():  # noqa: ASYNC110 - uvicorn tells its start by an attribute
            await asyncio.sleep(0.02)

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._settings.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((self._settings.host, self._settings.port))
        except OSError as error:
            listening.close()
            raise ConfigError("api.port", f"cannot listen on {self._settings.host}:{self._settings.port}: {error.strerror}") from error
        listening.listen(512)
        listening.setblocking(False)
        return listening

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await finish(self._task)

    def failure(self) -> BaseException | None:
        return failure_of(self._task)
