"""The ways out: e-mail (RFC 5321), a webhook signed with HMAC-SHA-256, CEF over syslog (RFC 5424; TCP with octet counting, RFC 6587).

A webhook carries `X-Bongsu-Signature: t=<unix seconds>,v1=<hex>`: the HMAC over `<t>.<body>`, so that an old call cannot be played again.
Each call sends one message or raises Failed; nothing is kept open between them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from importlib.metadata import version
from typing import Any, Final

import httpx

from core.config import Channel
from core.errors import BongsuError
from respond.notify import messages

_SECONDS: Final = 10.0
_PORTS: Final = {"none": 25, "starttls": 587, "tls": 465}
_SYSLOG_PORT: Final = 514
_PRIORITY: Final = 10 * 8 + 5  # authpriv, notice
_HEADER: Final = "X-Bongsu-Signature"


class Failed(BongsuError):
    """A message did not go out; the reason is for the delivery log and holds no secret."""


def send(channel: Channel, to: str, message: Mapping[str, Any], at: datetime) -> None:
    """Send `message` by `channel`; `to` is a person's address, or '' for whom the channel names."""
    try:
        {"smtp": _mail, "webhook": _post, "syslog": _log}[channel.kind](channel, to, message, at)
    except (OSError, smtplib.SMTPException, httpx.HTTPError, ValueError) as error:
        raise Failed(f"{type(error).__name__}: {error}"[:500]) from error


def signature(secret: str, at: datetime, body: bytes) -> str:
    """The value of the signature header for `body` sent `at`."""
    moment = str(int(at.timestamp()))
    made = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={made}"


def _mail(channel: Channel, to: str, message: Mapping[str, Any], at: datetime) -> None:
    recipients = [to] if to else list(channel.to)
    if not recipients:
        return
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = channel.sender, ", ".join(recipients), messages.subject(message)
    mail["Date"], mail["Message-ID"] = format_datetime(at), make_msgid(domain=channel.sender.rpartition("@")[2] or None)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    mail.set_content(messages.text(message))
    port = channel.port or _PORTS[channel.security]
    context = ssl.create_default_context()
    with _server(channel, port, context) as server:
        if channel.security == "starttls":
            server.starttls(context=context)
        if channel.user:
            server.login(channel.user, channel.password.get_secret_value())
        server.send_message(mail)


def _server(channel: Channel, port: int, context: ssl.SSLContext) -> smtplib.SMTP:
    if channel.security == "tls":
        return smtplib.SMTP_SSL(channel.host, port, timeout=_SECONDS, context=context)
    return smtplib.SMTP(channel.host, port, timeout=_SECONDS)


def _post(channel: Channel, _to: str, message: Mapping[str, Any], at: datetime) -> None:
    body = json.dumps(message, ensure_ascii=False, sort_keys=True).encode()
    headers = {"Content-Type": "application/json", _HEADER: signature(channel.secret.get_secret_value(), at, body)}
    answer = httpx.post(channel.url, content=body, headers=headers, timeout=_SECONDS, follow_redirects=False)
    if not answer.is_success:
        raise Failed(f"{channel.name} answered {answer.status_code}")


def _log(channel: Channel, _to: str, message: Mapping[str, Any], at: datetime) -> None:
    said = f"<{_PRIORITY}>1 {at.isoformat().replace('+00:00', 'Z')} {socket.gethostname()} bongsu - - - "
    packet = (said + messages.cef(message, version("bongsu"))).encode()
    port = channel.port or _SYSLOG_PORT
    if channel.protocol == "udp":
        family, kind, _, _, address = socket.getaddrinfo(channel.host, port, type=socket.SOCK_DGRAM)[0]
        with closing(socket.socket(family, kind)) as out:
            out.sendto(packet, address)
        return
    with closing(socket.create_connection((channel.host, port), timeout=_SECONDS)) as out:
        out.sendall(str(len(packet)).encode() + b" " + packet)
