"""What is masked, what is left, and that neither lengths nor line ends ever change."""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, date, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from core.clock import FixedClock
from core.config import MaskedKind, MaskingSettings, validate
from core.errors import ConfigError
from ingest.privacy.masking import Masker
from ingest.privacy.runs import EDGE, find
from tests.personal_numbers import card, cards, grouped, rrn, rrns

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MASKER = Masker(MaskingSettings(), FixedClock(NOW))
for _size in (1, 1 << 20):  # the first calls compile the patterns, which is longer than hypothesis lets an example take
    MASKER.mask(b"x" * _size)
PERSON = rrn("900101123456", hyphen="")
CARD = card("411111111111111")

surrounding = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=40)


def masked(text: str) -> str:
    return MASKER.mask(text.encode()).data.decode()


def stays(text: str) -> bool:
    result = MASKER.mask(text.encode())
    return result.data == text.encode() and not result.counts and not len(result.places)


# --- registration numbers


@given(surrounding, rrns(), surrounding)
def test_a_hyphenated_registration_number_is_masked_in_any_surroundings(before: str, number: str, after: str) -> None:
    assume(not before[-1:].isdigit() and not after[:1].isdigit())
    text = f"{before}{number[:6]}-{number[6:]}{after}"
    assert f"{number[:6]}-*******" in masked(text)
    assert number[6:] not in masked(text).replace(before, "").replace(after, "")


BEFORE = ("", " ", ",", "|", "`", '"', "'", "=", "?id=", "&jumin=", "\t", "[", "(", "가", "%20", "%3D", "\\n", ">", "/", "번호:")
AFTER = ("", " ", ",", "|", "`", '"', "'", "&x=1", "\t", "]", ")", "가", "%20", "\r", "<", "/", ";", ".")


@given(st.sampled_from(BEFORE), rrns(), st.sampled_from(AFTER))
def test_a_bare_registration_number_is_masked_between_delimiters(before: str, number: str, after: str) -> None:
    assert masked(before + number + after) == f"{before}{number[:6]}*******{after}"


@given(rrns(centuries=(1800, 1900, 2000)), st.sampled_from(["-", "%2D", "%2d", " ", "+"]))
def test_separators_and_every_century(number: str, separator: str) -> None:
    assert masked(f"a {number[:6]}{separator}{number[6:]} b") == f"a {number[:6]}{separator}******* b"


@given(rrns(until=date(2020, 10, 4)), st.integers(1, 9))
def test_with_a_wrong_check_digit_it_stays(number: str, off: int) -> None:
    wrong = number[:12] + str((int(number[12]) + off) % 10)
    assume(number[6] not in "5678" or off not in (2, 8))  # of a foreigner's number two check digits are told
    assert stays(f"x {wrong} y")
    assert stays(f"x {wrong[:6]}-{wrong[6:]} y")


@given(st.dates(date(2020, 10, 5), date(2026, 10, 31)), st.sampled_from("3478"), st.text("0123456789", min_size=6, max_size=6))
def test_a_number_given_since_they_are_random_needs_its_hyphen_only(born: date, sex: str, rest: str) -> None:
    assert masked(f"id={born:%y%m%d}-{sex}{rest}&a") == f"id={born:%y%m%d}-*******&a"


@pytest.mark.parametrize(
    "text", ["backup-210101-3123456.tar", "2021/210101-3123456/x", "201004-3123450", "991301-1234567", "900230-1234567"]
)
def test_what_only_looks_random_stays(text: str) -> None:
    assert stays(text)


@pytest.mark.parametrize(
    "text", ["주민번호 800101-1111111", "jumin=8001011111111", '"rrn":"800101-1111111"', "외국인등록번호: 800101-5111111"]
)
def test_where_the_words_before_say_so_the_check_digit_does_not_matter(text: str) -> None:
    assert "800101" in masked(text)
    assert masked(text).count("*") == 7


def test_the_words_before_are_read_in_cp949_too() -> None:
    line = "주민번호 8001011111111".encode("cp949")
    assert MASKER.mask(line).data == line[:-7] + b"*******"


def test_someone_not_yet_born_is_nobody() -> None:
    assert stays(rrn("270101312345"))
    assert Masker(MaskingSettings(), FixedClock(NOW + timedelta(days=400))).mask(rrn("270101312345").encode()).counts == {"rrn": 1}


@pytest.mark.parametrize(
    "key", ["account", "passport", "birthdate", "birth_date", "userid", "id", "no", "ssn", "country", "name", "cust_no", "q"]
)
def test_under_any_other_key_a_bare_number_is_one(key: str) -> None:
    assert masked(f'a {key}={PERSON}&b "{key}":"{PERSON}"').count("*") == 14


# --- what only looks alike


@given(st.datetimes(NOW.replace(tzinfo=None) - timedelta(days=700), NOW.replace(tzinfo=None), timezones=st.just(UTC)))
@example(datetime(2026, 10, 31, 23, 59, 59, 999000, UTC))
def test_the_time_in_milliseconds_stays(at: datetime) -> None:
    assert stays(f"{int(at.timestamp() * 1000)},x")


@given(
    st.integers(10**12, 2 * 10**12),
    st.sampled_from(["timestamp=", '"ts":', "eventtime=", '"start_time":"', "session_id=", '"flow_id":', "seq:", "bytes="]),
)
@example(int(PERSON), "session_id=")
def test_what_its_key_says_is_something_else_stays(number: int, key: str) -> None:
    assert stays(f"a=b {key}{number}")


@given(st.uuids(), st.integers(0, 2**48 - 1), st.ip_addresses(v=4), st.ip_addresses(v=6))
def test_addresses_and_uuids_stay(uuid: object, mac: int, four: IPv4Address, six: IPv6Address) -> None:
    pairs = re.findall("..", f"{mac:012x}")
    assert stays(f"{uuid} {':'.join(pairs)} {'-'.join(pairs)} {four} {six} [{six}]:443")


@given(st.binary(min_size=16, max_size=32))
def test_hex_stays(value: bytes) -> None:
    assume(not value.hex().isdigit())
    assert stays(f"md5={value.hex()} {value.hex().upper()}")


@given(st.integers(0, 99), st.integers(0, 9999), st.integers(0, 9999))
def test_telephone_numbers_stay(area: int, middle: int, last: int) -> None:
    number = f"{middle:04}-{last:04}"
    assert stays(f"tel 010-{number} 02-{number} 0{area:02}-{number} +82-10-{number} 010{middle:04}{last:04}")


@pytest.mark.parametrize(
    "text",
    [
        "eventtime=1557771654587081441",
        f"{PERSON}5",
        f"5{PERSON}",
        f"A{PERSON}",
        f"{PERSON}f",
        f"0.{PERSON}",
        f"{PERSON}.25",
        f"7-{PERSON}",
        f"0.{CARD}",
        f"x{CARD}",
        "1234-5678-9012-3456",
        "0000-0000-0000-0000",
        "2026-11-01 10:20:30 2026-11-01T10:20:30.123456",
        "id=4111111111111112",
    ],
)  # fmt: skip
def test_parts_of_something_longer_stay(text: str) -> None:
    assert stays(text)


# --- cards


@given(
    cards(),
    st.sampled_from(["-", " ", "+", "%20", "%2D", "%2d"]),
    st.sampled_from(["", "card=", "카드 ", '"', "|"]),
    st.sampled_from(["", " x", '"', "|", "&"]),
)
def test_a_card_number_in_groups_keeps_its_issuer(number: str, separator: str, before: str, after: str) -> None:
    hidden = grouped(number[:6] + "*" * (len(number) - 6), separator)
    assert masked(before + grouped(number, separator) + after) == before + hidden + after


@given(cards(), st.sampled_from(["", "card=", "카드 ", '"', "|", "%3D", "%20"]), st.sampled_from(["", " x", '"', "|", "&", "%26"]))
def test_a_bare_card_number_keeps_its_issuer(number: str, before: str, after: str) -> None:
    assert masked(before + number + after) == before + number[:6] + "*" * (len(number) - 6) + after


@given(cards(), st.integers(1, 9))
def test_a_card_number_with_a_wrong_check_digit_stays(number: str, off: int) -> None:
    wrong = number[:-1] + str((int(number[-1]) + off) % 10)
    assert stays(f"x {wrong} {grouped(wrong, '-')}")


# --- passwords


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("GET /login?user=a&password=hunter2&x=1 HTTP/1.1", "hunter2"),
        ("passwd=hunter2 next=x", "hunter2"),
        ("userPwd=hunter2", "hunter2"),
        ("PW=hunter2;x", "hunter2"),
        ("pwd=/hunter2&x", "/hunter2"),
        ('"user_pass":"4711",', "4711"),
        ("/a?pass=hunter2&b", "hunter2"),
        ("db_pass=hunter2,x", "hunter2"),
        ("passphrase=hunter2|x", "hunter2"),
        ("client_secret=hunter2&x", "hunter2"),
        ("access_token=hunter2&x", "hunter2"),
        ("X-Api-Key=hunter2 x", "hunter2"),
        ("password2=hunter2", "hunter2"),
        ("password_confirm=hunter2&", "hunter2"),
        ("login[password]=hunter2&", "hunter2"),
        ("login%5Bpassword%5D=hunter2&", "hunter2"),
        ("password[]=hunter2", "hunter2"),
        ("body=user%3Da%26password%3Dhunter2%26x%3D1", "hunter2"),
        ("user\\u003da\\u0026password\\u003dhunter2\\u0026x", "hunter2"),
        ('{"user":"a","password":"hunter2","x":1}', "hunter2"),
        ('{"password" : "hun ter\\"2" }', 'hun ter\\"2'),
        ('{"body":"{\\"password\\":\\"hunter2\\"}"}', "hunter2"),
        ("%22password%22%3A%22hunter2%22%2C", "hunter2"),
        ("%7B%22pwd%22%3A4711%7D", "4711"),
        ('password="hun ter2" x="y"', "hun ter2"),
        ("password='hun ter2' x", "hun ter2"),
        ("password = hunter2 x", "hunter2"),
        ("Password: hunter2", "hunter2"),
        ("<soap:Password>hunter2</soap:Password>", "hunter2"),
        ("[Information=userid [root], passwd [hun ter2]], [SrcPort=1]", "hun ter2"),
        ("Authorization: Basic aHVudGVyMg==\\r\\n", "aHVudGVyMg=="),
        ('"authorization":"Bearer aHVu.dGVy.Mg"', "aHVu.dGVy.Mg"),
        ("Authorization%3A%20Basic%20aHVudGVyMg%3D%3D x", "aHVudGVyMg%3D%3D"),
        ("http://user:hunter2@192.0.2.1/a", "hunter2"),
        ("ftp://user:hun@ter2@host/a", "hun@ter2"),
        ("비밀번호=hunter2", "hunter2"),
        ("비밀번호: 가나 x", "가나"),
        ("패스워드=hunter2&", "hunter2"),
        ("%EB%B9%84%EB%B0%80%EB%B2%88%ED%98%B8=hunter2&", "hunter2"),
    ],
)  # fmt: skip
def test_a_password_is_masked_wherever_it_stands(text: str, hidden: str) -> None:
    result = MASKER.mask(text.encode())
    assert result.data.decode() == text.replace(hidden, "*" * len(hidden.encode()))
    assert result.counts == {"password": 1}


def test_a_korean_key_is_found_in_cp949() -> None:
    line = "비밀번호=비밀&x=1".encode("cp949")
    assert MASKER.mask(line).data == "비밀번호=****&x=1".encode("cp949")


@pytest.mark.parametrize(
    "text",
    [
        "passwd= user=root",
        "Information=userid [], passwd []",
        'passwd="N/A" x',
        "password=- x",
        '"password":null,"x":1',
        '"password":"",',
        '"password":{"a":1}',
        "action=pass, next",
        "bypass=enabled compass=3 pass: 12 fail: 3",
        "token_type=bearer passwordLastSet=1 password_expired=0",
        "invalid password for root from 192.0.2.1",
        "bG9uZyBiYXNlNjQpw== x",
        "Basic information on http://host:8080/a@b",
        "the password is wrong",
        "sudo: vagrant : TTY=pts/0 ; PWD=/home/vagrant ; USER=root ; COMMAND=/bin/sh",
        "Access denied for user 'root'@'192.0.2.1' (using password: YES)",
        "pam_unix(passwd:chauthtok): authentication token changed",
        '"mgr":{"full_hash_pass":749,"x":0}',
        "</password>text",
    ],
)
def test_what_holds_no_password_stays(text: str) -> None:
    assert stays(text)


@given(
    st.sampled_from(["password=", "pwd=", '"password":"', "passwd [", "user_pw="]),
    st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=30),
)
def test_any_word_after_a_key_is_masked(key: str, word: str) -> None:
    assume(word.lower() not in ("na", "null", "none", "true", "false", "yes", "no", "undefined"))
    end = {'"': '"', "[": "]"}.get(key[-1], "&")
    assert masked(f"a {key}{word}{end}b") == f"a {key}{'*' * len(word.encode())}{end}b"


# --- for every kind

SENSITIVE = st.one_of(
    rrns(),
    rrns().map(lambda number: f"{number[:6]}-{number[6:]}"),
    cards(),
    cards().map(lambda number: grouped(number, "-")),
    st.sampled_from(
        [
            "password=",
            '"password":',
            "passwd [",
            "비밀번호=",
            "token%3D",
            "<password>",
            "Authorization: Basic ",
            "://a:b@",
            "\n",
            "]",
            '"',
            "&",
        ]
    ),
)


@settings(max_examples=300)
@given(st.lists(st.one_of(SENSITIVE, st.text(max_size=8)), max_size=12), st.sampled_from(["utf-8", "cp949"]))
def test_lengths_and_line_ends_never_change_and_twice_is_once(parts: list[str], encoding: str) -> None:
    data = "".join(parts).encode(encoding, "replace")
    once = MASKER.mask(data)
    assert len(once.data) == len(data)
    assert [at for at, octet in enumerate(data) if octet == 10] == [at for at, octet in enumerate(once.data) if octet == 10]
    assert bool(once.counts) == (once.data != data)
    again = MASKER.mask(once.data)
    assert again.data == once.data
    assert not again.counts


@given(st.binary(max_size=300))
def test_any_bytes_are_taken(data: bytes) -> None:
    assert len(MASKER.mask(data).data) == len(data)


@given(st.lists(st.one_of(st.sampled_from([PERSON, f"x {CARD}", "password=abc", "a\nb", "", "plain"]), st.text(max_size=5)), max_size=20))
def test_lines_are_masked_each_by_itself_and_named(lines: list[str]) -> None:
    raw = [line.encode() for line in lines]
    together = MASKER.mask_lines(raw)
    alone = [MASKER.mask(line) for line in raw]
    assert list(together.lines) == [one.data for one in alone]
    assert together.changed.tolist() == [number for number, one in enumerate(alone) if one.counts]
    blob = MASKER.mask(b"\n".join(line for line in raw if b"\n" not in line))
    expected = [number for number, one in enumerate(one for one, line in zip(alone, raw, strict=True) if b"\n" not in line) if one.counts]
    assert blob.lines.tolist() == expected


def test_nothing_is_found_across_lines() -> None:
    for parts in (
        (PERSON[:6], PERSON[6:]),
        (PERSON[:6] + "-", PERSON[6:]),
        ("password=", "hunter2"),
        (CARD[:8], CARD[8:]),
        ("http://a:b", "@c"),
    ):
        assert stays("\n".join(parts))


def test_a_json_number_stays_a_number() -> None:
    line = json.dumps({"rrn": int(PERSON), "card": int(CARD), "password": 1234}, separators=(",", ":"))
    assert json.loads(masked(line)) == {"rrn": 9001019999999, "card": 4111119999999999, "password": 9999}
    assert stays(masked(line))


@given(
    st.lists(st.one_of(st.text("0123456789", min_size=1, max_size=24), st.sampled_from([" ", "a", "%20", "%3D", ":", "."])), max_size=20)
)
def test_runs_of_digits_are_found_as_a_plain_search_finds_them(parts: list[str]) -> None:
    text = "".join(parts)
    buffer = b"\n" * EDGE + text.encode() + b"\n" * EDGE
    plain = []
    for found in re.finditer(r"[0-9]+", text):
        start, length = found.start(), len(found.group())
        if text[start - 1 : start] == "%":
            start, length = start + 2, length - 2
        if 13 <= length <= 19 and (text[start] >= "2" or text[start + 2] <= "1"):  # may begin a card's number, or hold a month
            plain.append((start + EDGE, length))
    starts, lengths = find(buffer)
    places = list(zip(starts.tolist(), lengths.tolist(), strict=True))
    assert [(start, length) for start, length in places if buffer[start] >= 0x32 or buffer[start + 2] <= 0x31] == plain


@given(
    st.lists(
        st.one_of(rrns(), cards(), st.text("0123456789", min_size=12, max_size=20), st.sampled_from([" ", "%20", "a", "=", "-"])),
        max_size=30,
    )
)
def test_a_small_buffer_and_a_large_one_are_masked_alike(parts: list[str]) -> None:
    small = " ".join(parts).encode()
    rest = b"\n" + b"x" * (64 << 10)
    assert MASKER.mask(small + rest).data == MASKER.mask(small).data + rest


def test_a_large_blob_is_searched_to_its_ends() -> None:
    line = b"x" * 1000
    blob = b"\n".join([PERSON.encode(), *[line] * 1000, PERSON.encode(), *[line] * 1000, PERSON.encode()])
    assert MASKER.mask(blob).lines.tolist() == [0, 1001, 2002]


def test_threads_share_a_masker() -> None:
    blob = b"\n".join([b"a=b " * 20, f"id={PERSON} password=abc".encode()] * 2000)
    wanted = MASKER.mask(blob)
    found = []

    def work() -> None:
        found.extend(MASKER.mask(blob).data == wanted.data for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 20
    assert wanted.counts == {"rrn": 2000, "password": 2000}


# --- turned off


def test_a_kind_that_is_off_stays() -> None:
    off = MaskedKind(enabled=False, reason="test network", approved_by="CISO")
    masker = Masker(MaskingSettings(card=off), FixedClock(NOW))
    line = f"{PERSON} {CARD} password=abc".encode()
    assert masker.mask(line).data == f"{PERSON[:6]}******* {CARD} password=***".encode()
    assert Masker(MaskingSettings(rrn=off, card=off, password=off), FixedClock(NOW)).mask(line).data == line


@pytest.mark.parametrize("given_instead", [{}, {"reason": " ", "approved_by": "x"}, {"reason": "x"}, {"approved_by": "x"}])
def test_no_kind_is_turned_off_without_an_answer_for_it(given_instead: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"intake\.masking\.rrn.*reason"):
        validate({"intake": {"masking": {"rrn": {"enabled": False, **given_instead}}}})


def test_digits_with_a_space_between_are_no_number_inside_words() -> None:
    text = b"line000808 3234563d4ee x000808 3234563 000808 3234563y"
    assert MASKER.mask(text).data == text
    assert MASKER.mask(b"no 000808 3234563,").counts == {"rrn": 1}
