"""The server's side of TLS for syslog (RFC 5425): TLS 1.2 or newer, client certificates when a CA for them is set."""

from __future__ import annotations

import ssl

from core.config import Listener, TlsSettings
from core.errors import ConfigError


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


def _reason(error: OSError) -> str:
    return f"cannot be used: {error.strerror or error}"
