"""Container health: 0 when the API of this container answers /healthz, else 1. Reads the settings the API itself was started with."""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from pathlib import Path

from core import config


def healthy() -> bool:
    """Whether /healthz answers 200 on loopback. Its certificate bears the public name, so only the connection is checked here."""
    file = os.environ.get("BONGSU_CONFIG")
    api = config.load(Path(file) if file else None).api
    if api.tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection("127.0.0.1", api.port, timeout=4, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=4)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if healthy() else 1)
