"""Log lines as devices write them, with invented content: what the demo feed says in.

Each device renders three things that happen on a network (`Flow`, `Attack`, `Login`) in its vendor's format. Devices of a Korean agency
write local time (KST); where a format carries a zone it says +0900.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zlib import crc32

from core.clock import KST

_PANOS_APPS: Final = {"https": "ssl", "http": "web-browsing"}
_PROTOCOL_NUMBERS: Final = {"icmp": 1, "tcp": 6, "udp": 17}


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection, seen at its end. `outbound`: from inside the agency."""

    src: str
    sport: int
    dst: str
    dport: int
    proto: str
    service: str
    allowed: bool
    outbound: bool
    sent: int = 0
    received: int = 0
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Attack:
    """A match of an intrusion or web signature. `severity` 1 is the gravest."""

    src: str
    sport: int
    dst: str
    dport: int
    signature: int
    name: str
    severity: int
    blocked: bool
    outbound: bool = False
    host: str = ""
    url: str = "/"
    method: str = "GET"
    agent: str = "Mozilla/5.0"


@dataclass(frozen=True, slots=True)
class Login:
    """An attempt to log in, to the VPN or to the device's own administration."""

    src: str
    user: str
    accepted: bool
    vpn: bool


class Device(ABC):
    """A device of an agency. `serial` numbers its sessions."""

    def __init__(self, name: str, public: str) -> None:
        self.name = name
        self.public = public  # the address it translates to
        self._serial = 100_000

    def line(self, at: datetime, what: Flow | Attack | Login) -> bytes:
        """The line the device writes at `at` (aware)."""
        self._serial += 7
        local = at.astimezone(KST)
        if isinstance(what, Flow):
            text = self.flow(local, what)
        elif isinstance(what, Attack):
            text = self.attack(local, what)
        else:
            text = self.login(local, what)
        return text.encode()

    @abstractmethod
    def flow(self, at: datetime, flow: Flow) -> str: ...

    def attack(self, at: datetime, attack: Attack) -> str:
        raise NotImplementedError(f"{type(self).__name__} has no line for {attack} at {at}")

    def login(self, at: datetime, login: Login) -> str:
        raise NotImplementedError(f"{type(self).__name__} has no line for {login} at {at}")


class FortiGate(Device):
    """FortiOS, key=value."""

    def flow(self, at: datetime, flow: Flow) -> str:
        inside, outside = ("port2", "lan"), ("wan1", "wan")
        source, target = (inside, outside) if flow.outbound else (outside, inside)
        nat = f'trandisp="snat" transip={self.public} transport={flow.sport} ' if flow.outbound and flow.allowed else 'trandisp="noop" '
        rule = 12 if flow.allowed else 0
        return (
            f"{self._head(189, at, '0000000013', 'traffic', 'forward', 'notice')} "
            f'srcip={flow.src} srcport={flow.sport} srcintf="{source[0]}" srcintfrole="{source[1]}" '
            f'dstip={flow.dst} dstport={flow.dport} dstintf="{target[0]}" dstintfrole="{target[1]}" '
            f'srccountry="Reserved" dstcountry="Reserved" sessionid={self._serial} proto={_PROTOCOL_NUMBERS[flow.proto]} '
            f'action="{"close" if flow.allowed else "deny"}" policyid={rule} policytype="policy" '
            f'policyname="{"office to internet" if flow.allowed else "implicit deny"}" service="{flow.service.upper()}" {nat}'
            f"duration={flow.seconds} sentbyte={flow.sent} rcvdbyte={flow.received} sentpkt={flow.sent // 700 + 1} "
            f'rcvdpkt={flow.received // 1200} appcat="unscanned"'
        )

    def attack(self, at: datetime, attack: Attack) -> str:
        level = "alert" if attack.severity == 1 else "warning"
        word = ("critical", "high", "medium", "low")[attack.severity - 1]
        return (
            f'{self._head(185, at, "0419016384", "utm", "ips", level)} eventtype="signature" severity="{word}" '
            f'srcip={attack.src} srccountry="Reserved" dstip={attack.dst} srcport={attack.sport} dstport={attack.dport} '
            f'srcintf="wan1" srcintfrole="wan" dstintf="dmz" dstintfrole="dmz" sessionid={self._serial} proto=6 '
            f'action="{"dropped" if attack.blocked else "detected"}" service="HTTP" policyid=31 attack="{attack.name}" '
            f'hostname="{attack.host}" url="{attack.url}" agent="{attack.agent}" httpmethod="{attack.method}" direction="incoming" '
            f'attackid={attack.signature} profile="dmz-protect" incidentserialno={self._serial} msg="web_server: {attack.name}"'
        )

    def login(self, at: datetime, login: Login) -> str:
        if login.vpn:
            identity, action, level = (
                ("0101039947", "tunnel-up", "information") if login.accepted else ("0101039426", "ssl-login-fail", "alert")
            )
            about = "SSL VPN tunnel up" if login.accepted else "SSL VPN login fail"
            reason = "login successfully" if login.accepted else "sslvpn_login_permission_denied"
            return (
                f'{self._head(185, at, identity, "event", "vpn", level)} logdesc="{about}" action="{action}" tunneltype="ssl-web" '
                f'tunnelid=0 remip={login.src} user="{login.user}" group="N/A" dst_host="N/A" reason="{reason}" msg="{about}"'
            )
        identity, status, level = ("0100032001", "success", "information") if login.accepted else ("0100032002", "failed", "alert")
        about = f"Admin login {'successful' if login.accepted else 'failed'}"
        return (
            f'{self._head(185, at, identity, "event", "system", level)} logdesc="{about}" '
            f'sn={self._serial} user="{login.user}" ui="https({login.src})" method="https" srcip={login.src} dstip={self.public} '
            f'action="login" status="{status}" reason="{"none" if login.accepted else "passwd_invalid"}" '
            f'msg="Administrator {login.user} login {status} from https({login.src})"'
        )

    def _head(self, priority: int, at: datetime, identity: str, kind: str, subkind: str, level: str) -> str:
        return (
            f'<{priority}>date={at:%Y-%m-%d} time={at:%H:%M:%S} devname="{self.name}" devid="FGVM{crc32(self.name.encode()):010d}" '
            f'eventtime={int(at.timestamp() * 1000)}000000 tz="+0900" logid="{identity}" type="{kind}" subtype="{subkind}" '
            f'level="{level}" vd="root"'
        )


class PanOs(Device):
    """PAN-OS, CSV behind an RFC 3164 header."""

    def flow(self, at: datetime, flow: Flow) -> str:
        kind, action, why = ("end", "allow", "tcp-fin") if flow.allowed else ("drop", "deny", "policy-deny")
        if flow.allowed and flow.proto != "tcp":
            why = "aged-out"
        rule = "office-internet" if flow.allowed else "deny-all"
        app = _PANOS_APPS.get(flow.service, flow.service) if flow.allowed else "not-applicable"
        packets = (flow.sent + flow.received) // 900 + 1
        return (
            f"{self._head(at, 'TRAFFIC', kind)},{self._tuple(at, flow, rule, app)},{action},"
            f"{flow.sent + flow.received},{flow.sent},{flow.received},{packets},{at:%Y/%m/%d %H:%M:%S},{flow.seconds},any,0,{self._serial},"
            f"0x8000000000000000,Reserved,Reserved,0,{packets // 2 + 1},{packets // 2},"
            f"{why},0,0,0,0,,{self.name},from-policy,,,0,,0,,N/A,0,0,0,0"
        )

    def attack(self, at: datetime, attack: Attack) -> str:
        flow = Flow(attack.src, attack.sport, attack.dst, attack.dport, "tcp", "web-browsing", not attack.blocked, False)
        word = ("critical", "high", "medium", "low")[attack.severity - 1]
        return (
            f"{self._head(at, 'THREAT', 'vulnerability')},{self._tuple(at, flow, 'web-in', flow.service)},"
            f'{"reset-both" if attack.blocked else "alert"},"{attack.host}{attack.url}",{attack.name}({attack.signature}),any,{word},'
            f"client-to-server,{self._serial},0x8000000000000000,Reserved,Reserved,0,,0,,,1,{attack.agent},,,,,,,0,0,0,0,0,,{self.name},,,,"
            f"{attack.method},0,,0,,N/A,code-execution,AppThreat-8500-7000,0x0,0,4294967295"
        )

    def _head(self, at: datetime, kind: str, subkind: str) -> str:
        stamp = f"{at:%Y/%m/%d %H:%M:%S}"
        return f"<14>{_stamp(at)} {self.name} 1,{stamp},007950000000001,{kind},{subkind},2561,{stamp}"

    def _tuple(self, at: datetime, flow: Flow, rule: str, app: str) -> str:
        inside, outside = ("trust", "ethernet1/2"), ("untrust", "ethernet1/1")
        source, target = (inside, outside) if flow.outbound else (outside, inside)
        nat_src, nat_port = (self.public, flow.sport) if flow.outbound and flow.allowed else ("0.0.0.0", 0)  # noqa: S104 - PAN-OS for "none"
        nat_dst, nat_dport = (flow.dst, flow.dport) if flow.outbound and flow.allowed else ("0.0.0.0", 0)  # noqa: S104 - likewise
        return (
            f"{flow.src},{flow.dst},{nat_src},{nat_dst},{rule},,,{app},vsys1,{source[0]},{target[0]},{source[1]},{target[1]},to-centre,"
            f"{at:%Y/%m/%d %H:%M:%S},{self._serial},1,{flow.sport},{flow.dport},{nat_port},{nat_dport},0x400019,{flow.proto}"
        )


class Asa(Device):
    """Cisco ASA, message texts by number."""

    def flow(self, at: datetime, flow: Flow) -> str:
        inside, outside = f"inside:{flow.src}/{flow.sport}", f"outside:{flow.dst}/{flow.dport}"
        if not flow.allowed:
            source, target = ("inside", "outside") if flow.outbound else ("outside", "inside")
            return self._message(
                at,
                4,
                106023,
                f"Deny {flow.proto} src {source}:{flow.src}/{flow.sport} dst {target}:{flow.dst}/{flow.dport} "
                f'by access-group "{source}_in" [0x0, 0x0]',
            )
        if not flow.outbound:
            inside, outside = f"outside:{flow.src}/{flow.sport}", f"dmz:{flow.dst}/{flow.dport}"
        hours, minutes, seconds = flow.seconds // 3600, flow.seconds // 60 % 60, flow.seconds % 60
        number, last = (302014, " TCP FINs") if flow.proto == "tcp" else (302016, "")
        return self._message(
            at,
            6,
            number,
            f"Teardown {flow.proto.upper()} connection {self._serial} for {outside} to {inside} "
            f"duration {hours}:{minutes:02d}:{seconds:02d} bytes {flow.sent + flow.received}{last}",
        )

    def login(self, at: datetime, login: Login) -> str:
        if login.accepted:
            text = f"AAA user authentication Successful : local database : user = {login.user}"
            return self._message(at, 6, 113012, text)
        text = (
            f"AAA user authentication Rejected : reason = Invalid password : local database : user = {login.user} : user IP = {login.src}"
        )
        return self._message(at, 6, 113015, text)

    def _message(self, at: datetime, level: int, number: int, text: str) -> str:
        return f"<{160 + level}>{at:%b %d %Y %H:%M:%S} {self.name} : %ASA-{level}-{number}: {text}"


class Suricata(Device):
    """Suricata EVE, JSON behind an RFC 3164 header."""

    def flow(self, at: datetime, flow: Flow) -> str:
        counts = {
            "pkts_toserver": flow.sent // 700 + 1,
            "pkts_toclient": flow.received // 1200,
            "bytes_toserver": flow.sent,
            "bytes_toclient": flow.received,
            "state": "closed",
            "alerted": False,
        }
        more: dict[str, object] = {"app_proto": "tls" if flow.service == "https" else flow.service, "flow": counts}
        return self._event(at, "flow", flow.src, flow.sport, flow.dst, flow.dport, flow.proto, more)

    def attack(self, at: datetime, attack: Attack) -> str:
        alert = {
            "action": "blocked" if attack.blocked else "allowed",
            "gid": 1,
            "signature_id": attack.signature,
            "rev": 3,
            "signature": attack.name,
            "category": "A Network Trojan was detected" if attack.outbound else "Web Application Attack",
            "severity": attack.severity,
        }
        http = {
            "hostname": attack.host,
            "url": attack.url,
            "http_user_agent": attack.agent,
            "http_method": attack.method,
            "protocol": "HTTP/1.1",
            "status": 403 if attack.blocked else 200,
            "length": 512,
        }
        more: dict[str, object] = {"alert": alert, "http": http, "app_proto": "http"}
        return self._event(at, "alert", attack.src, attack.sport, attack.dst, attack.dport, "tcp", more)

    def _event(self, at: datetime, kind: str, src: str, sport: int, dst: str, dport: int, proto: str, more: dict[str, object]) -> str:
        event: dict[str, object] = {
            "timestamp": f"{at:%Y-%m-%dT%H:%M:%S.%f%z}",
            "flow_id": 1_000_000_000_000 + self._serial,
            "in_iface": "span0",
            "event_type": kind,
            "src_ip": src,
            "src_port": sport,
            "dest_ip": dst,
            "dest_port": dport,
            "proto": proto.upper(),
        }
        return f"<141>{_stamp(at)} {self.name} suricata[811]: {json.dumps(event | more, separators=(',', ':'))}"


class WebGuard(Device):
    """A web application firewall that writes CEF; an invented product."""

    def flow(self, at: datetime, flow: Flow) -> str:
        extension: dict[str, object] = {
            "proto": flow.proto.upper(),
            "act": "allow" if flow.allowed else "deny",
            "out": flow.received,
            "in": flow.sent,
        }
        return self._cef(at, "100", "Request passed", 1, flow, extension)

    def attack(self, at: datetime, attack: Attack) -> str:
        flow = Flow(attack.src, attack.sport, attack.dst, attack.dport, "tcp", "https", not attack.blocked, False)
        extension: dict[str, object] = {
            "act": "blocked" if attack.blocked else "detected",
            "requestMethod": attack.method,
            "request": f"https://{attack.host}{attack.url}",
            "requestClientApplication": attack.agent,
            "msg": attack.name,
        }
        return self._cef(at, str(attack.signature), attack.name, 11 - 2 * attack.severity, flow, extension)

    def _cef(self, at: datetime, number: str, name: str, severity: int, flow: Flow, extension: dict[str, object]) -> str:
        pairs = {
            "rt": int(at.timestamp() * 1000),
            "dvchost": self.name,
            "src": flow.src,
            "spt": flow.sport,
            "dst": flow.dst,
            "dpt": flow.dport,
            **extension,
        }
        text = " ".join(f"{key}={_cef_value(value)}" for key, value in pairs.items())
        title = name.replace("\\", "\\\\").replace("|", "\\|")
        return f"<134>{_stamp(at)} {self.name} CEF:0|Hanul|WebGuard|4.2|{number}|{title}|{severity}|{text}"


class Bluemax(Device):
    """SECUI MF2/BLUEMAX, CSV: UTC in the header, KST in the body."""

    def flow(self, at: datetime, flow: Flow) -> str:
        proto, zone = flow.proto.upper(), "INT" if flow.outbound else "EXT"
        span = f"{at:%Y-%m-%d %H:%M:%S},{at:%Y-%m-%d %H:%M:%S},{flow.seconds}"
        packets = flow.sent // 700 + 1
        ends = f"{flow.src},{flow.sport},{flow.dst},{flow.dport},{proto},{zone}"
        if not flow.allowed:
            return f"{self._head(at, 'fw4_deny')}{span},{self.name},5,Undefined,{ends},{packets},{flow.sent}, ,-,Deny by Deny Rule"
        counts = f"{packets},{flow.received // 1200},{flow.sent},{flow.received}"
        return (
            f"{self._head(at, 'fw4_allow')}{span},{self.name},12,Undefined,{ends},{counts}, ,-,{'TCP FIN' if proto == 'TCP' else 'Timeout'}"
        )

    def _head(self, at: datetime, kind: str) -> str:
        return f"<190>1 {at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z [{kind}] [{self.public}] "


DEVICES: Final[dict[str, type[Device]]] = {
    "fortigate": FortiGate,
    "paloalto": PanOs,
    "asa": Asa,
    "suricata": Suricata,
    "webguard": WebGuard,
    "bluemax": Bluemax,
}


def _stamp(at: datetime) -> str:
    """The time of an RFC 3164 header: the day is padded by a space."""
    return f"{at:%b} {at.day:2d} {at:%H:%M:%S}"


def _cef_value(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n")
