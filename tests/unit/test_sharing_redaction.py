"""What a recipient must not see is in no byte of what it gets, wherever it stood; what it may see stays."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import FileError
from core.sharing_settings import PeerSettings, SharingSettings
from respond.sharing import stix
from respond.sharing.content import Content
from respond.sharing.policy import LEVELS, load
from respond.sharing.redaction import REMOVED, Redactor, hidden
from respond.sharing.stix import View

NAMES = {"seogu": ("서구청", "Seogu District"), "parks": ("공원녹지사업소", "Parks Office")}
POLICY = load(SharingSettings())
NETWORKS = [ip_network(str(one)) for one in POLICY.internal_networks]
CREATOR = stix.identity("key", "Security Control Center")
SECRETS = st.one_of(
    st.sampled_from(
        ["seogu", "SEOGU", "서구청", "Seogu District", "seogu district", "kim@mail.example", "fd00::17", "FE80::1", "::ffff:10.1.2.3"]
    ),
    st.tuples(st.sampled_from([10, 127]), *[st.integers(0, 255)] * 3).map(lambda four: ".".join(map(str, four))),
    st.tuples(st.integers(0, 255), st.integers(0, 255)).map(lambda two: f"192.168.{two[0]}.{two[1]}"),
)
AROUND = st.text(st.sampled_from(" abc,;()/'\"가나\n"), max_size=8)
TEXT = st.tuples(AROUND, SECRETS, AROUND).map(lambda three: " ".join(three).strip())
CONTENTS = st.fixed_dictionaries(
    {
        "title": TEXT,
        "summary": TEXT,
        "indicators": st.lists(
            st.one_of(
                SECRETS.map(lambda value: {"type": "domain", "value": value, "description": value}),
                TEXT.map(lambda text: {"type": "url", "value": f"http://{text}/a"}),
                TEXT.map(lambda text: {"type": "domain", "value": "bad.example", "description": text}),
                st.just({"type": "address", "value": "203.0.113.5"}),
            ),
            max_size=4,
        ),
        "malware": st.lists(TEXT.map(lambda text: {"name": text, "description": text, "types": [text]}), max_size=2),
        "vulnerabilities": st.lists(TEXT.map(lambda text: {"name": text, "description": text}), max_size=2),
        "techniques": st.lists(TEXT.map(lambda text: {"id": "T1110", "name": text}), max_size=2),
        "measures": st.lists(TEXT.map(lambda text: {"name": text, "description": text}), max_size=2),
        "observed": st.lists(
            st.one_of(SECRETS.map(lambda value: {"type": "domain", "value": value}), st.just({"type": "address", "value": "203.0.113.5"})),
            max_size=3,
        ),
        "sighted": st.just({"first": "2026-05-01T00:00:00Z", "last": "2026-05-01T00:00:00Z", "count": 1}),
    }
)


def view(content: Content, recipient: str, victim: str = "seogu", tlp: str = "amber") -> list[dict[str, Any]]:
    redactor = Redactor(hidden(POLICY.rule(tlp, victim=recipient == victim), recipient, NAMES, NETWORKS))
    at = datetime(2026, 5, 1, tzinfo=UTC)
    seed = stix.seed("key", "SHR-2026-000001")
    made = stix.objects(View("SHR-2026-000001", seed, recipient, tlp, "indicator", redactor.content(content), at, CREATOR, None))
    redactor.check(made)
    return made


def addresses(text: str) -> list[str]:
    """Every IPv4 address of the inside that a plain split of the text finds."""
    words = "".join(one if one.isdigit() or one == "." else " " for one in text).split()
    return [word for word in words if word.count(".") == 3 and all(part.isdigit() for part in word.split(".")) and _inside(word)]


def _inside(word: str) -> bool:
    try:
        return any(ip_address(word) in network for network in NETWORKS)
    except ValueError:
        return False


@settings(max_examples=120, deadline=None)
@given(told=CONTENTS, level=st.sampled_from(LEVELS))
def test_what_is_not_allowed_never_appears_in_bytes(told: dict[str, Any], level: str) -> None:
    objects = [one for one in view(Content.model_validate(told), "parks", tlp=level) if one["type"] != "marking-definition"]
    text = json.dumps(objects, ensure_ascii=False)
    assert [word for word in ("seogu", "서구청", "kim@", "fd00::17", "fe80::1") if word in text.lower()] == []
    assert addresses(text) == []
    kept = {one["value"] for one in told["indicators"]} & {"203.0.113.5", "bad.example"}
    assert {one["name"] for one in objects if one["type"] == "indicator"} >= kept


@settings(max_examples=40, deadline=None)
@given(told=CONTENTS)
def test_the_same_content_gives_the_same_objects_and_distinct_ids(told: dict[str, Any]) -> None:
    content = Content.model_validate(told)
    parks = view(content, "parks")
    assert parks == view(content, "parks")
    assert len({one["id"] for one in parks}) == len(parks)
    own = {one["id"]: one for one in view(content, "seogu")}
    assert all(one == own[one["id"]] for one in parks if one["id"] in own)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("from 10[.]1[.]2[.]3 to 203.0.113.5", f"from {REMOVED} to 203.0.113.5"),
        ("v1.2.3.4.5 at 12:30:45", "v1.2.3.4.5 at 12:30:45"),
        ("fd00::1, 2001:db8::1", f"{REMOVED}, 2001:db8::1"),
        ("999.10.1.2", "999.10.1.2"),
        ("SEOGU and Parks Office", f"{REMOVED} and Parks Office"),
        (unicodedata.normalize("NFD", "서구청에서"), f"{REMOVED}에서"),
        ("서\u200b구청", REMOVED),
        ("１０.１.２.３", REMOVED),
        ("It is the title of IT.", f"{REMOVED} is the title of {REMOVED}."),
    ],
)
def test_texts_keep_what_may_be_seen(text: str, left: str) -> None:
    rule = POLICY.rule("amber", victim=False)
    assert Redactor(hidden(rule, "parks", NAMES | {"it": ()}, NETWORKS)).text(text) == left


def test_the_victim_reads_of_itself() -> None:
    content = Content.model_validate({"title": "서구청 10.1.2.3", "summary": "Parks Office"})
    (report,) = [one for one in view(content, "seogu") if one["type"] == "report"]
    assert (report["name"], report["description"]) == ("서구청 10.1.2.3", REMOVED)


@pytest.mark.parametrize(
    ("text", "why"),
    [("version: x\nkinds: []\n", "kinds"), ("version: [", "is not YAML"), ("{version: x, kinds: [], colour: red}", "kinds|colour|tlp")],
)
def test_a_wrong_policy_is_refused_by_file_and_key(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(FileError, match=why):
        load(SharingSettings(policy_file=file))


def test_a_policy_must_say_what_everybody_gets(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    ours = (Path(__file__).parents[2] / "respond" / "sharing" / "policy.yaml").read_text(encoding="utf-8")
    file.write_text(ours.replace("levels: [green, amber, amber+strict, red]", "levels: [green, amber, red]"), encoding="utf-8")
    with pytest.raises(FileError, match=r"what others get under amber\+strict"):
        load(SharingSettings(policy_file=file))


@pytest.mark.parametrize(
    ("root", "good"), [("http://192.0.2.1/taxii2/root/", False), ("http://127.0.0.1:1/r", True), ("https://p.example/r/", True)]
)
def test_peers_are_reached_over_tls(root: str, good: bool) -> None:
    given = {"name": "p", "root": root, "collections": ["c"]}
    if good:
        assert PeerSettings.model_validate(given).root.endswith("/")
    else:
        with pytest.raises(ValueError, match="over https"):
            PeerSettings.model_validate(given)
