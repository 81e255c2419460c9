"""A real OpenID provider of one person in a process thread: discovery, authorization, token and keys over HTTP, with keys of its own.

It checks what a client must send (PKCE, redirect URI, client secret, codes that are good once), and can be told to lie in its ID tokens.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from core.clock import Clock

CLIENT, SECRET = "bongsu-centre", "a secret of tests & signs"


def _key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": secrets.token_hex(8), "use": "sig"})


@dataclass
class OpenIdProvider:
    """The provider. `person` are the claims of whoever logs in; `lies` go over those of the next ID tokens; `signer` signs in place of
    the published key."""

    clock: Clock
    address: str = ""
    person: dict[str, Any] = field(default_factory=dict)
    lies: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=_key)
    signer: RSAKey | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def rotate(self) -> None:
        """Sign and publish another key from now on."""
        self.key = _key()

    def authorize(self, query: Mapping[str, str]) -> str:
        """Where somebody who logged in is sent back to."""
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = dict(query)
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state'], 'iss': self.address})}"

    def redeem(self, form: Mapping[str, str], authorization: str) -> dict[str, Any] | None:
        """The answer of the token endpoint; None for a request that does not hold."""
        given = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        asked = self.codes.pop(form.get("code", ""), None)
        if authorization != f"Basic {given}" or asked is None or asked["redirect_uri"] != form.get("redirect_uri"):
            return None
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != asked["code_challenge"]:
            return None
        at = int(self.clock.now().timestamp())
        claims = {"iss": self.address, "aud": CLIENT, "iat": at, "exp": at + 300, "nonce": asked["nonce"], **self.person, **self.lies}
        key = self.signer or self.key
        token = jwt.encode({"alg": "RS256", "kid": self.key.kid}, {k: v for k, v in claims.items() if v is not None}, key)
        return {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "expires_in": 300, "id_token": token}

    def discovery(self) -> dict[str, Any]:
        where = self.address
        return {
            "issuer": where,
            "authorization_endpoint": f"{where}/authorize",
            "token_endpoint": f"{where}/token",
            "jwks_uri": f"{where}/keys",
            "end_session_endpoint": f"{where}/end",
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }


@contextmanager
def open_id_provider(clock: Clock) -> Iterator[OpenIdProvider]:
    """The provider on a free port of this machine."""
    provider = OpenIdProvider(clock)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            provider.asked.append(parts.path)
            match parts.path:
                case "/.well-known/openid-configuration":
                    self._json(200, provider.discovery())
                case "/keys":
                    self._json(200, KeySet([provider.key]).as_dict(private=False))
                case "/authorize":
                    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                    self.send_response(302)
                    self.send_header("Location", provider.authorize(query))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                case _:
                    self._json(404, {})

        def do_POST(self) -> None:
            provider.asked.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            answer = provider.redeem(form, self.headers.get("Authorization", "")) if self.path == "/token" else None
            self._json(200 if answer else 400, answer or {"error": "invalid_grant"})

        def _json(self, status: int, content: dict[str, Any]) -> None:
            sent = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
