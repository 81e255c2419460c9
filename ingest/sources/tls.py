"""The server's side of TLS for syslog (RFC 5425): TLS 1.2 or newer, client certificates when a CA for them is set.

The session works on bytes instead of being left to the event loop: a loop's own TLS reads ahead of a protocol that has paused, and
uvloop drops what it read ahead when the sender closes meanwhile. Here everything read from the socket is decrypted at once.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any, Final

from core.config import Listener, TlsSettings
from core.errors import ConfigError

_RECORDS: Final = 1 << 18


def server_context(listener: Listener, tls: TlsSettings) -> ssl.SSLContext:
    """The context of a listener; ConfigError names the file that cannot be used.

    With `client_ca` a client may show a certificate, which must then be valid; with `require_client_certificate` it must show one.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A TLS 1.3 ticket lies unread at a sender that only writes; its close then resets the connection, and what we had not read is gone.
    context.num_tickets = 0
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"intake.listeners.{listener.name}.tls.certificate", _reason(error)) from error
    if tls.client_ca is not None:
        try:
            context.load_verify_locations(tls.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"intake.listeners.{listener.name}.tls.client_ca", _reason(error)) from error
        context.verify_mode = ssl.CERT_REQUIRED if tls.require_client_certificate else ssl.CERT_OPTIONAL
    return context


class TlsSession:
    """One connection's session. Bytes from the peer go into `receive`, plain text comes out of it; `to_send` is owed to the peer."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.established = False
        self.broken = ""
        self.ended = False  # the peer said that it sends no more
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def receive(self, data: bytes) -> bytes:
        """The plain text that `data` completes. Afterwards `established`, `ended` and `broken` may have changed."""
        self._incoming.write(data)
        plain: list[bytes] = []
        try:
            if not self.established:
                self._object.do_handshake()
                self.established = True
            while piece := self._object.read(_RECORDS):
                plain.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            self.broken = error.reason or str(error)
        return b"".join(plain)

    def certificate(self) -> dict[str, Any] | None:
        """The certificate the peer has shown, as `ssl.SSLSocket.getpeercert` gives it."""
        return self._object.getpeercert()

    def end(self) -> None:
        """Say goodbye: leaves a close_notify in `to_send`."""
        with suppress(ssl.SSLError):
            self._object.unwrap()

    def to_send(self) -> bytes:
        return self._outgoing.read()


def _reason(error: OSError) -> str:
    return f"cannot be used: {error.strerror or error}"
