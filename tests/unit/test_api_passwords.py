"""What a new password must be, how secrets are sealed, and what devices are called."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth import passwords
from api.auth.user_sessions import device_name
from core.errors import FileError, Invalid
from core.sealing import Sealer, load_sealer


@pytest.mark.parametrize(
    "new",
    [
        "short but fine",
        "passwordpassword1",
        "qwertyuiopasdfgh",
        "aaaaaaaaaaaaaaaaaaaa",
        "123456789012345",
        "Summer2026Summer2026",
        "the Analyst of the west",
        "bongsu keeps the fires",
        "봉수대에서 내려다본 저녁 한강",
        "x" * 257,
    ],
)
def test_passwords_that_are_guessed_are_refused(new: str) -> None:
    with pytest.raises(Invalid) as refused:
        passwords.check(new, "analyst")
    assert new not in str(refused.value)


@pytest.mark.parametrize("new", ["seven quiet herons at dawn", "한강 위로 저녁 안개가 천천히 내린다", "x7Gk2pQ9wL4mN8v"])
def test_long_ones_need_no_digits_nor_signs(new: str) -> None:
    passwords.check(new, "kim")
    with pytest.raises(Invalid, match="40 to 256"):
        passwords.check(new, "kim", 40)


def test_every_temporary_password_could_be_chosen() -> None:
    made = {passwords.temporary() for _ in range(20)}
    assert len(made) == 20
    for one in made:
        passwords.check(one, "somebody")


@given(secret=st.text(), place=st.text(max_size=40), other=st.text(max_size=40))
def test_what_is_sealed_opens_in_its_place_alone(secret: str, place: str, other: str) -> None:
    sealer = Sealer(b"k" * 32)
    sealed = sealer.seal(place, secret)
    assert sealer.open(place, sealed) == secret
    assert sealer.open(other, sealed) == (secret if other == place else None)
    assert Sealer(b"j" * 32).open(place, sealed) is None
    assert sealer.open(place, sealed[:-8]) is None
    assert sealer.seal(place, secret) != sealed


def test_the_key_for_secrets_is_made_once_and_for_us_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "secrets.key"
    sealed = load_sealer(file).seal("p", "s")
    assert load_sealer(file).open("p", sealed) == "s"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("no key")
    with pytest.raises(FileError):
        load_sealer(file)


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36", "Chrome, Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge, Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Safari/604.1", "Safari, iOS"),
        ("curl/8.5.0", "curl"),
        ("<script>", "?"),
        ("", "?"),
    ],
)
def test_devices_are_called_as_people_call_them(user_agent: str, name: str) -> None:
    assert device_name(user_agent) == name
