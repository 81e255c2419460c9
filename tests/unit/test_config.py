"""Settings: what is wrong stops the start and names the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import config
from core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("api: {port: ninety}", "api.port", "integer"),
        ("api: {port: 70000}", "api.port", "less than or equal"),
        ("api: {prot: 1}", "api.prot", "no such setting"),
        ("intake: {listeners: [{name: a, kind: tls, port: 1}]}", "intake.listeners.0", "tls section"),
        ("intake: {listeners: [{name: a, kind: udp, port: 1, agency: nobody}]}", "(whole file)", "unknown agency 'nobody'"),
        ("intake: {listeners: [{name: a, kind: udp, port: 1}, {name: a, kind: tcp, port: 2}]}", "intake", "same name"),
        ("intake: {default_timezone: Mars/Olympus}", "intake.default_timezone", "time zone"),
        ("agencies: [{id: a, name_ko: 가, sources: [{name: s, addresses: [10.0.0.0/33]}]}]", "agencies.0.sources.0.addresses.0", "network"),
        ("agencies: [{id: a, name_ko: 가}, {id: a, name_ko: 나}]", "(whole file)", "same id"),
        ("- a list", "settings.yaml", "mapping"),
        ("a: [", "settings.yaml", "not YAML"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, key: str, reason: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        config.load(file, environment={})
    assert caught.value.key.endswith(key)
    assert reason in caught.value.reason


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml.*cannot be read"):
        config.load(tmp_path / "nowhere.yaml", environment={})


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("api: {port: 1000, host: 127.0.0.2}\ndata_dir: /var/lib/bongsu\n", encoding="utf-8")
    settings = config.load(file, environment={"BONGSU_API__PORT": "2000", "BONGSU_DETECT__DISABLED_RULES": "[a, b]", "OTHER": "x"})
    assert settings.api.port == 2000
    assert settings.api.host == "127.0.0.2"
    assert settings.detect.disabled_rules == ("a", "b")
    assert settings.database_url == "sqlite:////var/lib/bongsu/bongsu.db"


def test_the_environment_is_checked_too() -> None:
    with pytest.raises(ConfigError, match=r"bus\.partitions"):
        config.load(environment={"BONGSU_BUS__PARTITIONS": "0"})


def test_secrets_do_not_show() -> None:
    settings = config.load(environment={"BONGSU_DATABASE__URL": "postgresql+psycopg://u:hunter2@db/bongsu"})
    assert "hunter2" not in repr(settings)
    assert settings.database_url.endswith("hunter2@db/bongsu")
    with pytest.raises(ConfigError) as caught:
        config.load(environment={"BONGSU_DATABASE__URL": "{a: hunter2}"})
    assert "hunter2" not in str(caught.value)
