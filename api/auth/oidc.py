"""Logging in by OpenID Connect: the authorization code flow with PKCE (RFC 7636), state and nonce, as the provider's client.

The provider's addresses come from its discovery document, whose issuer must be the configured one; its keys are read again when a token
bears one that is not known (rotation). An ID token counts only when one of those keys signed it with an asymmetric algorithm, for us, from
this issuer, within its time, with the nonce of this very log-in. Calls block, for seconds at most.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from api.auth.steps import NotLetIn
from core.crypto import same
from core.identity_settings import OidcSettings

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
LEEWAY_SECONDS: Final = 60
_TIMEOUT: Final = 10.0
_LARGEST_ANSWER: Final = 1 << 20
_DISCOVERED_FOR: Final = 3600.0
_KEY_TYPES: Final = ("RSA", "EC", "OKP")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was sent along with somebody, and is looked for when they come back."""

    state: str
    nonce: str
    verifier: str
    redirect_url: str
    following: str

    @classmethod
    def new(cls, redirect_url: str, following: str) -> Asked:
        """With fresh secrets of 256 bits."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48), redirect_url, following)


class Provider:
    """The provider as this process knows it. `clock` gives seconds since the epoch."""

    def __init__(self, settings: OidcSettings, now: Callable[[], datetime]) -> None:
        self.settings = settings
        self._now = now
        self._lock = threading.Lock()
        self._metadata: Mapping[str, Any] = {}
        self._read_at: float = 0.0
        self._keys: KeySet | None = None

    def authorization_url(self, asked: Asked) -> str:
        """Where somebody is sent to log in. NotLetIn when the provider does not answer."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(asked.verifier.encode()).digest()).decode().rstrip("=")
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": asked.redirect_url,
            "scope": " ".join(dict.fromkeys(("openid", *self.settings.scopes))),
            "state": asked.state,
            "nonce": asked.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return _with_query(self._address("authorization_endpoint"), query)

    def logout_url(self, back: str) -> str:
        """Where somebody may end their log-in at the provider, too (RP-Initiated Logout 1.0); '' when it offers that nowhere."""
        try:
            where = self._discovered().get("end_session_endpoint")
        except NotLetIn:
            return ""
        return _with_query(str(where), {"client_id": self.settings.client_id, "post_logout_redirect_uri": back}) if where else ""

    def claims(self, asked: Asked, *, state: str, code: str, issuer: str = "") -> Mapping[str, Any]:
        """What the provider says of who came back with `code`. NotLetIn when any part of it does not hold."""
        if not same(state, asked.state):
            raise NotLetIn("expired", "this answer belongs to another log-in: begin again")
        if issuer and issuer != self.settings.issuer:
            raise NotLetIn("refused", "this answer comes from another provider (RFC 9207)")
        if not code:
            raise NotLetIn("refused", "the provider let nobody in")
        token = self._redeem(asked, code)
        try:
            decoded = self._decode(token)
            registry = jwt.JWTClaimsRegistry(
                now=int(self._now().timestamp()),
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": self.settings.issuer},
                sub={"essential": True},
                aud={"essential": True, "value": self.settings.client_id},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": asked.nonce},
            )
            registry.validate(decoded.claims)
        except (JoseError, ValueError) as error:
            raise NotLetIn("refused", f"the provider's ID token does not hold: {type(error).__name__}") from error
        return self._of_us(decoded.claims)

    def _of_us(self, claims: Mapping[str, Any]) -> Mapping[str, Any]:
        """The claims, where no other audience is trusted besides us (Core 1.0, 3.1.3.7)."""
        audience = claims["aud"]
        several = isinstance(audience, list) and len(audience) > 1
        if (several or "azp" in claims) and claims.get("azp") != self.settings.client_id:
            raise NotLetIn("refused", "the provider's ID token is for somebody else")
        return claims

    def _redeem(self, asked: Asked, code: str) -> str:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": asked.redirect_url, "code_verifier": asked.verifier}
        secret = self.settings.client_secret.get_secret_value()
        methods: Sequence[str] = self._discovered().get("token_endpoint_auth_methods_supported") or ("client_secret_basic",)
        basic = None
        if secret and "client_secret_basic" in methods:
            basic = httpx.BasicAuth(self.settings.client_id, secret)
        else:
            form |= {"client_id": self.settings.client_id} | ({"client_secret": secret} if secret else {})
        answer = self._ask("POST", self._address("token_endpoint"), data=form, auth=basic)
        if answer.status_code >= 500:
            raise NotLetIn("provider", "the provider's token endpoint failed")
        token = _object(answer).get("id_token") if answer.status_code == httpx.codes.OK else None
        if not isinstance(token, str):
            raise NotLetIn("refused", "the provider gave no ID token for this code")
        return token

    def _decode(self, token: str) -> jwt.Token:
        """The token, whose signature holds; its key may be newer than what was read."""
        fresh = self._keys is None
        try:
            return jwt.decode(token, self._key_set(again=False), algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            if fresh:
                raise
            return jwt.decode(token, self._key_set(again=True), algorithms=list(ALGORITHMS))

    def _key_set(self, *, again: bool) -> KeySet:
        with self._lock:
            if self._keys is not None and not again:
                return self._keys
        found = _object(self._ask("GET", self._address("jwks_uri"))).get("keys")
        usable = [one for one in found or () if isinstance(one, dict) and one.get("kty") in _KEY_TYPES and one.get("use", "sig") == "sig"]
        keys = KeySet.import_key_set({"keys": usable})
        with self._lock:
            self._keys = keys
        return keys

    def _address(self, name: str) -> str:
        where = self._discovered().get(name)
        if not isinstance(where, str):
            raise NotLetIn("provider", f"the provider's discovery document names no {name}")
        return where

    def _discovered(self) -> Mapping[str, Any]:
        at = self._now().timestamp()
        with self._lock:
            if self._metadata and at - self._read_at < _DISCOVERED_FOR:
                return self._metadata
        found = _object(self._ask("GET", f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"))
        if found.get("issuer") != self.settings.issuer:
            raise NotLetIn("provider", "the provider's discovery document is of another issuer")
        with self._lock:
            self._metadata, self._read_at = found, at
        return found

    def _ask(self, method: str, url: str, **sent: Any) -> httpx.Response:
        """One call, of bounded time and size; the provider's certificate is verified, and no redirect is followed."""
        authority = self.settings.ca_file
        verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=str(authority)) if authority else True
        try:
            with (
                httpx.Client(timeout=_TIMEOUT, verify=verify, follow_redirects=False) as client,
                client.stream(method, url, **sent) as answer,
            ):
                content = b""
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > _LARGEST_ANSWER:
                        raise NotLetIn("provider", "the provider's answer is too large")
                return httpx.Response(answer.status_code, content=content)
        except (httpx.HTTPError, OSError) as error:
            raise NotLetIn("provider", f"the provider does not answer: {type(error).__name__}") from error


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError as error:
        raise NotLetIn("provider", "the provider's answer is not JSON") from error
    if not isinstance(found, dict):
        raise NotLetIn("provider", "the provider's answer is no JSON object")
    return found


def _with_query(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"
