"""ATT&CK's techniques our rules know, with names and tactics: facts of the framework, kept here as nothing is fetched at run time.

A technique that is not here is shown by its id alone, under the tactics its rule names. MITRE ATT&CK is a registered trademark of The
MITRE Corporation.
"""

from __future__ import annotations

from typing import Final

TACTICS: Final = (
    *("reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation"),
    *("defense-evasion", "credential-access", "discovery", "lateral-movement", "collection", "command-and-control"),
    *("exfiltration", "impact", ""),
)
"""In the order of an attack; '' is for rules that name none."""

TECHNIQUES: Final = {
    "T1003": "OS Credential Dumping",
    "T1018": "Remote System Discovery",
    "T1021": "Remote Services",
    "T1021.001": "Remote Desktop Protocol",
    "T1021.004": "SSH",
    "T1040": "Network Sniffing",
    "T1041": "Exfiltration Over C2 Channel",
    "T1046": "Network Service Discovery",
    "T1048": "Exfiltration Over Alternative Protocol",
    "T1048.003": "Exfiltration Over Unencrypted Non-C2 Protocol",
    "T1052": "Exfiltration Over Physical Medium",
    "T1059": "Command and Scripting Interpreter",
    "T1059.004": "Unix Shell",
    "T1070": "Indicator Removal",
    "T1070.001": "Clear Windows Event Logs",
    "T1070.002": "Clear Linux or Mac System Logs",
    "T1070.006": "Timestomp",
    "T1071": "Application Layer Protocol",
    "T1071.001": "Web Protocols",
    "T1071.004": "DNS",
    "T1078": "Valid Accounts",
    "T1078.001": "Default Accounts",
    "T1078.003": "Local Accounts",
    "T1083": "File and Directory Discovery",
    "T1087": "Account Discovery",
    "T1090.001": "Internal Proxy",
    "T1090.002": "External Proxy",
    "T1090.003": "Multi-hop Proxy",
    "T1098": "Account Manipulation",
    "T1098.007": "Additional Local or Domain Groups",
    "T1102": "Web Service",
    "T1102.002": "Bidirectional Communication",
    "T1105": "Ingress Tool Transfer",
    "T1110": "Brute Force",
    "T1110.001": "Password Guessing",
    "T1110.003": "Password Spraying",
    "T1125": "Video Capture",
    "T1133": "External Remote Services",
    "T1136": "Create Account",
    "T1136.001": "Local Account",
    "T1187": "Forced Authentication",
    "T1189": "Drive-by Compromise",
    "T1190": "Exploit Public-Facing Application",
    "T1199": "Trusted Relationship",
    "T1200": "Hardware Additions",
    "T1203": "Exploitation for Client Execution",
    "T1210": "Exploitation of Remote Services",
    "T1213": "Data from Information Repositories",
    "T1219": "Remote Access Tools",
    "T1219.002": "Remote Desktop Software",
    "T1485": "Data Destruction",
    "T1486": "Data Encrypted for Impact",
    "T1496": "Resource Hijacking",
    "T1496.001": "Compute Hijacking",
    "T1498": "Network Denial of Service",
    "T1498.001": "Direct Network Flood",
    "T1498.002": "Reflection Amplification",
    "T1499": "Endpoint Denial of Service",
    "T1499.002": "Service Exhaustion Flood",
    "T1499.004": "Application or System Exploitation",
    "T1505.003": "Web Shell",
    "T1531": "Account Access Removal",
    "T1548.003": "Sudo and Sudo Caching",
    "T1552.001": "Credentials In Files",
    "T1552.005": "Cloud Instance Metadata API",
    "T1556.006": "Multi-Factor Authentication",
    "T1557.002": "ARP Cache Poisoning",
    "T1558": "Steal or Forge Kerberos Tickets",
    "T1562": "Impair Defenses",
    "T1562.001": "Disable or Modify Tools",
    "T1562.004": "Disable or Modify System Firewall",
    "T1562.006": "Indicator Blocking",
    "T1562.008": "Disable or Modify Cloud Logs",
    "T1566.002": "Spearphishing Link",
    "T1567": "Exfiltration Over Web Service",
    "T1567.002": "Exfiltration to Cloud Storage",
    "T1567.003": "Exfiltration to Text Storage Sites",
    "T1567.004": "Exfiltration Over Webhook",
    "T1568": "Dynamic Resolution",
    "T1568.002": "Domain Generation Algorithms",
    "T1571": "Non-Standard Port",
    "T1572": "Protocol Tunneling",
    "T1573": "Encrypted Channel",
    "T1584.004": "Server",
    "T1589.003": "Employee Names",
    "T1590.002": "DNS",
    "T1592.002": "Software",
    "T1594": "Search Victim-Owned Websites",
    "T1595": "Active Scanning",
    "T1595.001": "Scanning IP Blocks",
    "T1595.002": "Vulnerability Scanning",
    "T1595.003": "Wordlist Scanning",
    "T1598": "Phishing for Information",
    "T1601.001": "Patch System Image",
    "T1602.001": "SNMP (MIB Dump)",
    "T1602.002": "Network Device Configuration Dump",
    "T1609": "Container Administration Command",
    "T1610": "Deploy Container",
}

_WITHIN: Final = {
    "reconnaissance": "T1589 T1590 T1592 T1594 T1595 T1598",
    "resource-development": "T1584",
    "initial-access": "T1078 T1133 T1189 T1190 T1199 T1200 T1566",
    "execution": "T1059 T1203 T1609 T1610",
    "persistence": "T1078 T1098 T1133 T1136 T1505 T1556",
    "privilege-escalation": "T1078 T1098 T1548",
    "defense-evasion": "T1070 T1078 T1548 T1556 T1562 T1601 T1610",
    "credential-access": "T1003 T1040 T1110 T1187 T1552 T1556 T1557 T1558",
    "discovery": "T1018 T1040 T1046 T1083 T1087",
    "lateral-movement": "T1021 T1210",
    "collection": "T1125 T1213 T1557 T1602",
    "command-and-control": "T1071 T1090 T1102 T1105 T1219 T1568 T1571 T1572 T1573",
    "exfiltration": "T1041 T1048 T1052 T1567",
    "impact": "T1485 T1486 T1496 T1498 T1499 T1531",
}
"""The techniques of each tactic; those below a technique have its tactics."""


def places(tags: list[str]) -> list[tuple[str, str]]:
    """Where a rule stands in the matrix, as tactic and technique ('' where it names none of that tactic).

    A technique stands under those of the rule's tactics that are its own; when none is, under its own.
    """
    named = tactics_of(tags)
    found = []
    for technique in techniques_of(tags):
        own = [tactic for tactic, within in _WITHIN.items() if technique[:5] in within.split()] or named
        found += [(tactic, technique) for tactic in ([one for one in named if one in own] or own)]
    held = {tactic for tactic, _ in found}
    return found + [(tactic, "") for tactic in named if tactic not in held and (tactic or not found)]


def tactics_of(tags: list[str]) -> list[str]:
    """The tactics among a rule's tags; [''] when it names none."""
    return [tag.removeprefix("attack.") for tag in tags if tag.removeprefix("attack.") in TACTICS] or [""]


def techniques_of(tags: list[str]) -> list[str]:
    """The techniques among a rule's tags, as T1190."""
    return [tag.removeprefix("attack.").upper() for tag in tags if tag.startswith("attack.t") and tag[8:9].isdigit()]


def name_of(technique: str) -> str:
    """The technique's name, or ''."""
    return TECHNIQUES.get(technique, "")
