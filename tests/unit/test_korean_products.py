"""What Korean products write means what the rules ask for: a line of each kind, through all parsers and our own rules.

The table gives for each line its parser, its log class, what it comes to, and the rule of ours, by its file, that must fire on it, if any.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from core.bus.contract import Record
from core.clock import FixedClock
from core.config import IntakeSettings
from core.engine import Engine
from detect.rules import OWN_RULES, load
from detect.stream import Detector
from ingest import rawbatch
from ingest.compile import ParserSet
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin

NOW = datetime(2026, 3, 5, 6, 0, tzinfo=UTC)
HEAD = "<190>1 2026-03-05T05:00:00.796286Z "
AT = "2026-03-05 14:00:00"
REMOTE = "remote_management_allowed_from_internet"
SQL = "sql_injection_attempt"
SIGN_IN = "admin_login_failed_from_internet"
SEVERE = "severe_signature_not_blocked"
ACCOUNT = "generic_account_on_vpn"


class Case(NamedTuple):
    parser: str
    line: str
    log_class: str
    disposition: str
    rule: str = ""


CASES = [
    Case(
        "secui",
        f"{HEAD}[fw4_allow] [192.0.2.1] {AT},{AT},0,F,5,Undefined,203.0.113.9,40000,198.51.100.10,3389,TCP,EXT,9,8,1400,3300, ,-,-",
        *("firewall", "allow", REMOTE),
    ),
    Case("secui", f"{HEAD}[audit] [192.0.2.1] {AT},F,admin,203.0.113.9,관리자,로그인,로그인,실패,-", "auth", "deny", SIGN_IN),
    Case("secui", f"{HEAD}[audit] [192.0.2.1] {AT},F,admin,10.8.0.1,관리자,정책,정책 삭제,성공,-,-", "config", ""),
    Case("secui", f"{HEAD}[sslvpn_act_auth] [192.0.2.1] {AT},F,77,test,203.0.113.9,SUCCESS", "vpn", "allow", ACCOUNT),
    Case(
        "secui",
        f"{HEAD}[app_act_webserver_protect] [192.0.2.1] {AT},F,1,p,2,SQL Injection,203.0.113.9,5,198.51.100.10,80,/a,1,60,높음,차단,-,0",
        *("waf", "deny", SQL),
    ),
    Case(
        "trusguard",
        "3`0`1`1`6cfe35`6020`20260305`14:00:00`1`6`WEB`203.0.113.9`50000`198.51.100.10`23`eth1`eth0````900`8`724`7``31`2``1`E`D`1`2`4````",
        *("firewall", "allow", REMOTE),
    ),
    Case(
        "trusguard",
        "3`0`2`1`6cfe35`6010`20260305`14:00:00`5``````0`admin1`운영 로그`관리자 로그인에 실패했습니다.``1`1223`1`1`203.0.113.9`",
        *("auth", "deny", SIGN_IN),
    ),
    Case(
        "sniper",
        "<36>[S-1] [Attack_Name=(0006)UDP Flooding], [Time=2026/03/05 14:00:00], [Hacker=203.0.113.9], [Victim=198.51.100.10], "
        "[Protocol=udp/53], [Risk=High], [Handling=Alarm], [Information=], [SrcPort=161]",
        *("ips", "alert", SEVERE),
    ),
    Case(
        "genian_nac",
        "2026-03-05 14:00:00 WARNING 901 NONE 0.0.0.0 NONE 관리자 로그인 실패. ADMIN=admin, ADMIN_IP=203.0.113.9 NONE",
        *("auth", "deny", SIGN_IN),
    ),
    Case("genian_nac", "2026-03-05 14:00:00 ALERT 301 S-1 10.8.0.23 02:00:5E:00:53:03 IP 충돌이 감지됨. NONE", "nac", "alert"),
    Case(
        "monitorapp",
        "DETECT|192.0.2.6|v3|2026-03-05 14:00:00|1|SQL_INJECTION|1:S|203.0.113.9|5|198.51.100.10|80|x|BLOCK|HIGH|http|a.example|9|GET /a",
        *("waf", "deny", SQL),
    ),
    Case(
        "piolink",
        '<44>Mar  5 14:00:00 w1 (warn) kernel: [WEBFRONT/0x00726001] Violated SQL Injection - the form field. (log_id="1",app_name="a",'
        'app_id="7",src_if="w",src_ip="203.0.113.9",src_port="5",dest_ip="198.51.100.10",dest_port="80",host="a.example",url="/a",block="no")',
        *("waf", "allow", SQL),
    ),
    Case(
        "wapples",
        "<182>Mar  5 14:00:00 penta wplogd: [WAPPLES] INTRUSION [WAPPLES] DETECTION TIME : 2026-03-05 14:00:00 +0900 [WAPPLES] "
        "RULE NAME : SQL Injection [WAPPLES] (client 203.0.113.9 [WAPPLES]) -> (server 198.51.100.10:443)",
        *("waf", "alert", SQL),
    ),
    Case(
        "axgate",
        "Mar  5 14:00:00 gw kernel: ver:3,time:2026-03-05 14:00:00,src:203.0.113.9,nat_src:0.0.0.0,dst:198.51.100.10,nat_dst:0.0.0.0,"
        "priority:high,sport:5,nat_sport:5,dport:80,nat_dport:0,proto:6,sid:21,category:web,action:pass,sessid:6,message:WEB sample",
        *("ips", "allow", SEVERE),
    ),
    Case(
        "nexg_vforce",
        "2026-03-05 14:00:00 INET-NOTICE: NAME=a PROTO=TCP SRC=203.0.113.9 SPT=5 DST=198.51.100.10 DPT=445 ACT=OPEN USER=NONE",
        *("firewall", "allow", REMOTE),
    ),
    Case(
        "weguardia",
        "0;20260305 140000; ;203.0.113.9;203.0.113.9;5;5;198.51.100.10;198.51.100.10;3306;3306;6;1;5;4;gu;Open R[3]; ; ;3; ;0;;eth1;",
        *("firewall", "allow", REMOTE),
    ),
    Case(
        "shadowwall",
        "<142>Mar  5 14:00:00 ShadowWall sm[1]: ipslog\t"
        "1\t1772686800\t1\t0\t1\tD\t3\t1\t2\t3\tET SQL Injection\t21\t1\t6\t203.0.113.9\t5\t198.51.100.10\t80",
        *("ips", "alert", SQL),
    ),
    Case("secui_nxg", f"<214>[LOG_DENIED] {AT},17,203.0.113.9,198.51.100.10,80/tcp,54576,80,DENY,1,External", "firewall", "deny"),
    Case("video_access", f"VMS 일시={AT} 사용자=kim 접속IP=10.8.0.7 행위=영상 반출 카메라=공원 02 결과=성공", "video", "allow"),
    Case(
        "nx_witness",
        '{"authSession":{"userHost":"10.8.0.6","userName":"lee"},"createdTimeSec":1772686800,"eventType":"AR_ExportVideo","resources":[]}',
        *("video", "allow"),
    ),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


def test_lines_have_their_class_and_fire_their_rules(engine: Engine) -> None:
    normaliser = Normaliser(engine, ParserSet.load(), IntakeSettings(), FixedClock(NOW))
    book = load([OWN_RULES])
    names = {rule.id: Path(rule.file).stem for rule in book.rules}
    detector = Detector(engine, book, FixedClock(NOW))
    message = rawbatch.message(Origin("gu", "samples", "file"), NOW, [case.line.encode() for case in CASES])
    done = normaliser.normalise([Record("logs.raw", 0, 0, message.value, message.headers, NOW)], "e1")
    assert done.quarantine.num_rows == 0, done.quarantine.select(["raw", "reason", "detail"]).to_pylist()
    rows = done.events.select(["parser", "log_class", "disposition"]).to_pylist()
    assert [(row["parser"], row["log_class"], row["disposition"]) for row in rows] == [case[:1] + case[2:4] for case in CASES]
    fired = {(row["raw_line"], names[row["rule_id"]]) for row in detector.detect(done.events).to_pylist()}
    wanted = {(place, case.rule) for place, case in enumerate(CASES) if case.rule}
    assert wanted <= fired, sorted(wanted - fired)
    detector.close()
    normaliser.close()
