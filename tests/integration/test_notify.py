"""News on its way out: real mail, real HTTP calls, real syslog, and what happens when they fail."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from hypothesis import given
from hypothesis import strategies as st

from core.clock import KST, FixedClock
from core.config import NotifySettings, QuietHours
from core.database import Database
from respond import outbox
from respond.cases.models import Outgoing
from respond.notify import dispatch, messages, oncall, routing
from respond.notify.models import Delivery
from respond.notify.oncall import NewShift
from tests.servers.centre import free_port

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)  # noon in Seoul


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/t.db" if request.param == "sqlite" else request.getfixturevalue("postgres_server").new_database()
    made = Database(url, clock)
    made.migrate()
    made.start()
    yield made
    made.close()


class Mailbox:
    """What an SMTP server of ours was given."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], Message]] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - the library's name
        self.mails.append((list(envelope.rcpt_tos), message_from_bytes(envelope.content, policy=default)))
        return "250 taken"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


class Hook:
    """An HTTP server that answers with `status` and keeps what it was sent."""

    def __init__(self) -> None:
        self.status = 204
        self.calls: list[tuple[dict[str, str], bytes]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.calls.append((dict(self.headers), body))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


def notify(*channels: dict[str, Any], routes: tuple[dict[str, Any], ...] = (), **more: Any) -> NotifySettings:
    names = [channel["name"] for channel in channels]
    return NotifySettings.model_validate({"channels": channels, "routes": routes or ({"channels": names},), **more})


def mail(port: int, **more: Any) -> dict[str, Any]:
    fixed = {"name": "mail", "kind": "smtp", "host": "127.0.0.1", "port": port, "security": "none", "sender": "centre@soc.example"}
    return {**fixed, "to": ["duty@soc.example"], **more}


def webhook(url: str, **more: Any) -> dict[str, Any]:
    return {"name": "hook", "kind": "webhook", "url": url, "secret": "a secret", **more}


def tell(database: Database, kind: str = "incident.confirm", severity: str = "high", **more: Any) -> None:
    with database.session() as session:
        outbox.tell(session, kind, "incident/INC-2026-000001", agency="seogu", severity=severity, data={"title": "무차별 대입"}, **more)


def states(database: Database) -> list[tuple[str, str, int]]:
    with database.session(readonly=True) as session:
        return [(one.channel, one.state, one.attempts) for one in session.scalars(sa.select(Delivery).order_by(Delivery.id))]


def test_mail_says_it_in_two_languages(database: Database, mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    tell(database)
    settings = notify(mail(port))
    dispatch.work(database, settings)
    dispatch.work(database, settings)
    ((recipients, told),) = box.mails
    assert recipients == ["duty@soc.example"]
    assert told["Subject"] == "[봉수] 사건 INC-2026-000001 confirm: 무차별 대입 / Incident INC-2026-000001 confirm: 무차별 대입"
    assert told["Auto-Submitted"] == "auto-generated"
    body = told.get_content()
    assert "2026-05-01 12:00:30 KST" in body
    assert states(database) == [("mail", "sent", 1)]


def test_a_webhook_is_signed(database: Database, hook: Hook) -> None:
    tell(database)
    dispatch.work(database, notify(webhook(hook.url)))
    ((headers, body),) = hook.calls
    moment, given = (part.split("=")[1] for part in headers["X-Bongsu-Signature"].split(","))
    assert moment == str(int(NOW.timestamp()))
    assert given == hmac.new(b"a secret", moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    told = json.loads(body)
    assert (told["kind"], told["agency"], told["at"], told["data"]) == (
        "incident.confirm",
        "seogu",
        "2026-05-01T03:00:30Z",
        {"title": "무차별 대입"},
    )


@contextmanager
def listening(kind: type[socketserver.BaseServer]) -> Iterator[tuple[int, list[bytes], threading.Event]]:
    received: list[bytes] = []
    came = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            received.append(self.request[0] if isinstance(self.request, tuple) else self.request.recv(1 << 16))
            came.set()

    server = kind(("127.0.0.1", 0), Handler)  # type: ignore[call-arg, arg-type]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], received, came  # type: ignore[misc]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("protocol", "kind"), [("tcp", socketserver.TCPServer), ("udp", socketserver.UDPServer)])
def test_cef_goes_to_a_siem(database: Database, protocol: str, kind: type[socketserver.BaseServer]) -> None:
    tell(database)
    with listening(kind) as (port, received, came):
        dispatch.work(database, notify({"name": "siem", "kind": "syslog", "host": "127.0.0.1", "port": port, "protocol": protocol}))
        assert came.wait(10)
    (packet,) = received
    if protocol == "tcp":
        length, _, packet = packet.partition(b" ")
        assert int(length) == len(packet)
    text = packet.decode()
    assert text.startswith("<85>1 2026-05-01T03:00:30Z ")
    assert "CEF:0|Bongsu|Security Control Center|" in text
    assert "|incident.confirm|Incident INC-2026-000001 confirm: 무차별 대입|8|externalId=incident/INC-2026-000001 " in text


def test_a_channel_that_fails_is_tried_again_then_put_aside_and_sent_when_asked(database: Database, clock: FixedClock, hook: Hook) -> None:
    settings = notify(webhook(hook.url), attempts=3)
    hook.status = 503
    tell(database)
    for attempt, pause in ((1, 30), (2, 60), (3, 0)):
        dispatch.work(database, settings)
        dispatch.work(database, settings)  # too early: nothing is tried
        assert states(database) == [("hook", "dead" if attempt == 3 else "waiting", attempt)]
        clock.advance(timedelta(seconds=pause))
    clock.advance(timedelta(days=1))
    dispatch.work(database, settings)
    assert len(hook.calls) == 3
    with database.session() as session:
        (given_up,) = dispatch.dead(session, "user:lead", None, 10)
        assert given_up.problem == "hook answered 503"
        dispatch.again(session, "user:lead", given_up.id)
    hook.status = 200
    dispatch.work(database, settings)
    assert states(database) == [("hook", "sent", 1)]


def test_a_process_killed_between_sending_and_writing_sends_again_with_the_same_id(
    database: Database, clock: FixedClock, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = notify(webhook(hook.url))
    tell(database)
    dispatch.sort_out(database, settings)
    leased = dispatch._lease(database)
    dispatch.channels.send(settings.channels[0], "", leased[0].message, NOW)  # and here it is killed
    assert dispatch.deliver(database, settings) == 0  # leased: nobody else takes it meanwhile
    clock.advance(timedelta(minutes=6))
    dispatch.work(database, settings)
    ids = {json.loads(body)["id"] for _, body in hook.calls}
    assert (len(hook.calls), len(ids), states(database)) == (2, 1, [("hook", "sent", 2)])


def test_news_of_a_change_that_did_not_happen_is_never_told(database: Database, hook: Hook) -> None:
    def rolled_back() -> None:
        with database.session() as session:
            outbox.tell(session, "incident.confirm", "incident/INC-2026-000001")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        rolled_back()
    dispatch.work(database, notify(webhook(hook.url)))
    assert hook.calls == []


ROUTES: dict[str, tuple[dict[str, Any], bool]] = {
    "every kind": ({}, True),
    "a kind": ({"kinds": ["incident.*"]}, True),
    "another kind": ({"kinds": ["report.*"]}, False),
    "a severity": ({"severities": ["high", "critical"]}, True),
    "another severity": ({"severities": ["critical"]}, False),
    "an agency": ({"agencies": ["seogu"]}, True),
    "another agency": ({"agencies": ["parks"]}, False),
}


@pytest.mark.parametrize(("route", "goes"), ROUTES.values(), ids=ROUTES)
def test_routes_decide(route: dict[str, Any], goes: bool) -> None:
    settings = notify(webhook("http://127.0.0.1/"), routes=({**route, "channels": ["hook"]},))
    news = Outgoing(kind="incident.confirm", agency="seogu", severity="high", exercise=False)
    assert bool(routing.wanted(settings, news).channels) == goes


@pytest.mark.parametrize("drills", [True, False])
def test_an_exercise_never_leaves_the_building(drills: bool) -> None:
    settings = notify(webhook("http://127.0.0.1/", drills=drills))
    news = Outgoing(kind="incident.confirm", agency="seogu", severity="critical", exercise=True)
    assert bool(routing.wanted(settings, news).channels) == drills
    assert messages.subject({**messages.of(Outgoing(**sample(exercise=True)))}).startswith("[봉수] [훈련] ")


def sample(**more: Any) -> dict[str, Any]:
    fixed = {"id": 1, "kind": "incident.open", "object": "incident/INC-2026-000001", "agency": "", "severity": "", "at": NOW, "data": {}}
    return {**fixed, "exercise": False, **more}


@given(st.integers(0, 365 * 86_400), st.times(), st.times())
def test_quiet_hours_hold_back_until_they_end_and_never_what_is_critical(second: int, begin: Any, end: Any) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    quiet = QuietHours(begin=begin, end=end)
    when = routing.not_before(quiet, "high", at)
    assert routing.not_before(quiet, "critical", at) == routing.not_before(None, "high", at) == at
    assert at <= when < at + timedelta(days=1)
    local = at.astimezone(KST).time()
    inside = begin <= local < end if begin <= end else local >= begin or local < end
    if not inside:
        assert when == at
    else:
        assert when.astimezone(KST).time().replace(microsecond=0) == end.replace(microsecond=0)


def rota(database: Database, *people: tuple[str, int]) -> None:
    with database.session() as session:
        for name, tier in people:
            wanted = NewShift(name, f"{name}@soc.example", tier, NOW - timedelta(hours=1), NOW + timedelta(hours=8))
            oncall.plan(session, "user:lead", wanted)


def test_nobody_answers_so_the_next_is_called(database: Database, clock: FixedClock, mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    route = {"kinds": ["incident.*"], "severities": ["critical"], "channels": ["mail"], "page": True}
    settings = notify(mail(port, to=[]), routes=(route,), page_channel="mail", acknowledge_minutes=10)
    rota(database, ("kim", 0), ("lee", 1), ("park", 1))
    tell(database, severity="critical")

    def called() -> list[str]:
        dispatch.work(database, settings)
        found = [recipient for recipients, _ in box.mails for recipient in recipients]
        box.mails.clear()
        return sorted(found)

    assert called() == ["kim@soc.example"]
    clock.advance(timedelta(minutes=9))
    assert called() == []
    clock.advance(timedelta(minutes=2))
    assert called() == ["lee@soc.example", "park@soc.example"]
    clock.advance(timedelta(minutes=11))
    assert called() == ["kim@soc.example"]  # from the first again
    with database.session() as session:
        ((page, news),) = oncall.open_pages(session, "user:lead", 0, 10)
        assert news.kind == "incident.confirm"
        oncall.acknowledge(session, "user:lee", page.id)
    clock.advance(timedelta(hours=1))
    assert called() == []


@pytest.mark.parametrize("drills", [True, False])
def test_nobody_is_called_outside_about_an_exercise(database: Database, mailbox: tuple[Mailbox, int], drills: bool) -> None:
    box, port = mailbox
    settings = notify(mail(port, to=[], drills=drills), routes=({"channels": ["mail"], "page": True},), page_channel="mail")
    rota(database, ("kim", 0))
    tell(database, exercise=True)
    dispatch.work(database, settings)
    assert [recipients for recipients, _ in box.mails] == ([["kim@soc.example"]] if drills else [])
    with database.session(readonly=True) as session:
        assert len(oncall.open_pages(session, "", 0, 10)) == 1, "on screen it stands all the same"


def test_somebody_put_on_call_later_is_called(database: Database, clock: FixedClock, mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    route = {"channels": ["mail"], "page": True}
    settings = notify(mail(port, to=[]), routes=(route,), page_channel="mail", acknowledge_minutes=5)
    tell(database)
    dispatch.work(database, settings)
    assert box.mails == []
    rota(database, ("kim", 0))
    clock.advance(timedelta(minutes=6))
    dispatch.work(database, settings)
    assert [recipients for recipients, _ in box.mails] == [["kim@soc.example"]]


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a channel without its server": (lambda: notify({"name": "mail", "kind": "smtp"}), "needs host and sender"),
    "a route to nowhere": (lambda: notify(routes=({"channels": ["x"]},)), "unknown channel x"),
    "two of one name": (lambda: notify(webhook("http://a/"), webhook("http://a/")), "two channels have the same name"),
    "calls by something else": (lambda: notify(webhook("http://a/"), page_channel="hook"), "name of an smtp channel"),
}


@pytest.mark.parametrize(("make", "told"), WRONG.values(), ids=WRONG)
def test_settings_that_cannot_work_are_refused(make: Callable[[], object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()


def test_a_server_that_is_not_there_is_a_failure_like_any_other(database: Database) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        tell(database)
        dispatch.work(database, notify(mail(port), webhook(f"http://127.0.0.1:{port}/")))
    assert states(database) == [("mail", "waiting", 1), ("hook", "waiting", 1)]
