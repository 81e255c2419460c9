"""The files in deploy/ hold together: with the command line, the settings, the metrics, the package, and the programs that read them.

No container engine is needed; what only one could show is listed in docs/operations.md.
"""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from api.dashboard.sources.snippets import SNIPPETS, Snippet
from core import config, metrics, settings_docs
from core.config import Settings
from runtime import cli
from runtime.process import GROUPS, Role
from tests.servers.certificates import Authority
from tests.servers.forwarders import EXAMPLES, ROOT, UNPACKED, Example, Program, Tls, environment, skip_without

DEPLOY = ROOT / "deploy"
ASKED = re.compile(r"\$\{(\w+)(:[?-])?([^}]*)\}")
SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY$|DATABASE__URL", re.IGNORECASE)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def ours(compose: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The services that run our own image."""
    return {name: service for name, service in compose["services"].items() if service["image"].startswith("bongsu:")}


def commands() -> dict[str, Any]:
    """Every command of the command line, `db migrate` and the like by both words."""
    found: dict[str, Any] = {name: cli.load(name) for name in cli.COMMANDS}
    for name, command in list(found.items()):
        found |= {f"{name} {inner}": one for inner, one in getattr(command, "commands", {}).items()}
    return found


def test_a_variable_of_a_command_is_not_taken_for_a_setting() -> None:
    variables = {option.envvar for command in commands().values() for option in command.params if option.envvar}
    assert "BONGSU_CONFIG" in variables
    assert config.load(environment=dict.fromkeys(variables, "anything")) == config.load(environment={})


# ---- compose.yaml ----


def test_every_stage_has_a_service_and_every_service_a_command_that_exists(compose: dict[str, Any]) -> None:
    asked = {name: " ".join(service["command"]) for name, service in ours(compose).items()}
    assert asked == {role.value: role.value for role in Role} | {"migrate": "db migrate"}
    known = commands()
    for command in asked.values():
        assert any("BONGSU_CONFIG" in (option.envvar or "") for option in known[command].params), command


def test_every_image_has_a_version(compose: dict[str, Any]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    for name, service in compose["services"].items():
        assert re.fullmatch(r"[a-z0-9/-]+:v?\d+\.\d+[\w.-]*", service["image"]), name
    assert {service["image"] for service in ours(compose).values()} == {f"bongsu:{version}"}
    tested = (ROOT / "tests" / "servers" / "kafka_jars" / "pom.xml").read_text(encoding="utf-8")
    assert f"<version>{compose['services']['kafka']['image'].partition(':')[2]}</version>" in tested


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    secrets = [
        (name, key, value)
        for name, service in compose["services"].items()
        for key, value in service.get("environment", {}).items()
        if SECRET_NAME.search(key)
    ]
    assert {name for name, _, _ in secrets} >= {"postgres", "clickhouse", "api", "migrate"}
    for name, key, value in secrets:
        assert re.search(r"\$\{\w+:\?[^}]+\}", value), f"{name}: {key} does not stop the start when it is missing"
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    optional = {variable for variable, operator, _ in ASKED.findall(text) if operator != ":?"}
    assert optional == {"SYSLOG_PORT", "SYSLOG_TLS_PORT", "API_PORT"}


def test_the_script_makes_all_that_compose_asks_for(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "make-env.sh", tmp_path)
    tls = tmp_path / "tls"
    tls.mkdir()
    refused = _run(["sh", str(tmp_path / "make-env.sh"), str(tls)], fails=True)
    assert "server.pem is missing" in refused
    for name in ("server.pem", "server.key", "client-ca.pem"):
        (tls / name).touch()
    _run(["sh", str(tmp_path / "make-env.sh"), str(tls)])

    file = tmp_path / ".env"
    made = _variables(file)
    asked = {variable for variable, operator, _ in ASKED.findall((DEPLOY / "compose.yaml").read_text(encoding="utf-8")) if operator == ":?"}
    assert made.keys() == asked
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secrets = [made[name] for name in ("POSTGRES_PASSWORD", "CLICKHOUSE_PASSWORD")]
    assert all(re.fullmatch("[0-9a-f]{64}", secret) for secret in secrets)
    assert len(set(secrets)) == 2
    assert re.fullmatch("[A-Za-z0-9]{21}A", made["KAFKA_CLUSTER_ID"])
    assert "is already there" in _run(["sh", str(tmp_path / "make-env.sh"), str(tls)], fails=True)
    assert _variables(file) == made


def _variables(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_each_service_starts_with_settings_that_are_valid(compose: dict[str, Any]) -> None:
    for service in ours(compose).values():
        environ = {key: ASKED.sub(lambda found: f"value-of-{found[1]}", value) for key, value in service["environment"].items()}
        settings = config.load(DEPLOY / "settings.cluster.yaml", environ)
        assert settings.database_url == "postgresql+psycopg://bongsu:value-of-POSTGRES_PASSWORD@postgres:5432/bongsu"
        assert settings.store.clickhouse.password.get_secret_value() == "value-of-CLICKHOUSE_PASSWORD"
        assert environ["BONGSU_CONFIG"] in {mount.split(":")[1] for mount in service["volumes"]}


def test_the_settings_name_what_compose_runs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    settings = cluster_settings()
    assert settings.bus.kafka.bootstrap_servers == services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].removeprefix(
        "PLAINTEXT://"
    )
    assert settings.bus.kafka.replication_factor == services["kafka"]["environment"]["KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"]
    assert settings.store.clickhouse.host in services
    assert settings.store.clickhouse.user == services["clickhouse"]["environment"]["CLICKHOUSE_USER"]
    assert settings.store.clickhouse.database == services["clickhouse"]["environment"]["CLICKHOUSE_DB"]
    inside = {re.sub(r"^.*\}:", "", port) for port in services["receive"]["ports"]}
    assert inside == {f"{one.port}/{'udp' if one.kind == 'udp' else 'tcp'}" for one in settings.intake.listeners}
    assert services["api"]["ports"] == [f"${{API_PORT:-8514}}:{settings.api.port}/tcp"]


def cluster_settings() -> Settings:
    return config.load(DEPLOY / "settings.cluster.yaml", {})


def test_every_service_is_bounded_watched_and_restarted(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert {"cpus", "memory"} <= service["deploy"]["resources"]["limits"].keys(), name
        assert "healthcheck" in service, name
        assert service["restart"] in ("unless-stopped", "on-failure"), name
        assert service["logging"]["options"]["max-size"], name
    for name, service in ours(compose).items():
        assert (service["read_only"], service["cap_drop"], service["user"]) == (True, ["ALL"], "10001:10001"), name


def test_only_what_faces_people_and_devices_is_published(compose: dict[str, Any]) -> None:
    published = {name for name, service in compose["services"].items() if "ports" in service}
    assert published == {"receive", "api", "prometheus"}
    assert all(port.startswith("127.0.0.1:") for port in compose["services"]["prometheus"]["ports"])
    assert compose["networks"]["inside"] == {"internal": True}
    outside = {name for name, service in compose["services"].items() if "outside" in service["networks"]}
    assert outside == published


def test_every_mounted_file_and_volume_exists(compose: dict[str, Any]) -> None:
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", [])]
    for source in {mount.split(":")[0] for mount in mounts if not mount.startswith("${")}:
        assert (DEPLOY / source).is_file() if source.startswith("./") else source in compose["volumes"], source


# ---- Dockerfile ----


def dockerfile() -> list[tuple[str, str]]:
    """The instructions and their arguments, continued lines joined."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def test_the_image_is_pinned_and_runs_without_root() -> None:
    instructions = dockerfile()
    bases = [rest.split()[0] for word, rest in instructions if word == "FROM"]
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.\d+-slim-\w+", base) for base in bases)
    assert [rest for word, rest in instructions if word == "USER"] == ["10001:10001"]
    words = [word for word, _ in instructions]
    assert words.index("USER") > len(words) - 1 - words[::-1].index("RUN")
    assert "ADD" not in words
    assert ("ENTRYPOINT", '["bongsu"]') in instructions
    assert not any(SECRET_NAME.search(rest) for word, rest in instructions if word in ("ENV", "ARG"))
    health = next(rest for word, rest in instructions if word == "HEALTHCHECK")
    assert "/opt/bongsu/healthcheck.py" in health


def test_the_image_holds_every_package_and_nothing_else() -> None:
    sources = [rest.split()[:-1] for word, rest in dockerfile() if word == "COPY" and not rest.startswith("--from")]
    copied = {source for group in sources for source in group}
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    files = {"pyproject.toml", "README.md", "LICENSE", "deploy/healthcheck.py"}
    assert copied == files | set(build["packages"])
    allowed = re.findall(r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(allowed) == copied
    assert all((ROOT / source).exists() for source in copied)


# ---- systemd ----


def test_the_unit_is_one_systemd_accepts(tmp_path: Path) -> None:
    skip_without("systemd-analyze")
    text = (DEPLOY / "systemd" / "bongsu.service").read_text(encoding="utf-8")
    started = re.search(r"^ExecStart=(\S+) (\S+)", text, re.MULTILINE)
    assert started
    assert started[2] in commands()
    unit = tmp_path / "bongsu.service"
    unit.write_text(text.replace(started[1], "/bin/true"), encoding="utf-8")
    assert _run(["systemd-analyze", "verify", "--man=no", str(unit)]) == ""


# ---- Prometheus ----


def expressions() -> Iterator[str]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text(encoding="utf-8"))["groups"]
    for group in groups:
        for rule in group["rules"]:
            yield rule["expr"]


def test_alerts_ask_only_for_metrics_and_labels_there_are() -> None:
    assert metrics.BUS_LAG in set(REGISTRY._collector_to_names)
    known = {name for names in REGISTRY._collector_to_names.values() for name in names}
    labels = {label for metric in vars(metrics).values() for label in getattr(metric, "_labelnames", ())}
    for expression in expressions():
        named = set(re.findall(r"\bbongsu_\w+", expression))
        assert named <= known, expression
        grouped = {label.strip() for found in re.findall(r"by \(([^)]*)\)", expression) for label in found.split(",")}
        selected = set(re.findall(r"[{,]\s*(\w+)\s*=", expression)) - {"job"}
        assert grouped | selected <= labels, expression


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    promtool = _promtool()
    _run([promtool, "check", "rules", str(DEPLOY / "prometheus" / "rules.yml")])
    _run([promtool, "test", "rules", str(DEPLOY / "prometheus" / "rules.test.yml")])
    alerts = set(re.findall(r"alert: (\w+)", (DEPLOY / "prometheus" / "rules.yml").read_text(encoding="utf-8")))
    tested = yaml.safe_load((DEPLOY / "prometheus" / "rules.test.yml").read_text(encoding="utf-8"))["tests"]
    fired = {one["alertname"] for test in tested for one in test["alert_rule_test"] if one["exp_alerts"]}
    assert fired == alerts


def test_prometheus_accepts_its_configuration(compose: dict[str, Any], tmp_path: Path) -> None:
    promtool = _promtool()
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    mounts = {mount.removesuffix(":ro").rpartition(":")[2] for mount in compose["services"]["prometheus"]["volumes"]}
    read = set(re.findall(r"/etc/prometheus/\S+", text))
    assert read <= mounts
    shutil.copy(DEPLOY / "prometheus" / "rules.yml", tmp_path)
    (tmp_path / "bongsu.key").write_text("key", encoding="utf-8")
    authority = Authority(tmp_path / "ca")
    shutil.copy(authority.file, tmp_path / "bongsu.pem")
    file = tmp_path / "prometheus.yml"
    file.write_text(text.replace("/etc/prometheus/", f"{tmp_path}/"), encoding="utf-8")
    _run([promtool, "check", "config", str(file)])


def test_lag_is_watched_for_every_group() -> None:
    """The alert names no group, so a new one is covered; this holds as long as the metric bears the group."""
    assert len({group for group, _ in GROUPS}) == len(GROUPS)
    assert "group" in metrics.BUS_LAG._labelnames


def _promtool() -> str:
    unpacked = UNPACKED / "usr" / "bin" / "promtool"
    found = str(unpacked) if unpacked.exists() else shutil.which("promtool")
    if not found:
        pytest.skip("promtool is not on this machine: run tests/provision.sh as root")
    return found


# ---- forwarders ----


@pytest.mark.parametrize("program", ["rsyslog", "syslog-ng"])
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_relay_accepts_its_example(program: Program, transport: str, tmp_path: Path) -> None:
    skip_without(program)
    authority = Authority(tmp_path / "ca")
    tls = Tls(authority.file, authority.issue("relay.example")) if transport == "tls" else None
    example = Example(program, "127.0.0.1", 5514, 514, tmp_path / "work", tls, datagrams=transport == "udp")
    said = _run(example.command(check=True))
    assert "error" not in said
    assert "warning" not in said.lower()


_SENDERS = [one for one in SNIPPETS if one.kind in ("udp", "tcp", "tls")]


@pytest.mark.parametrize("sender", _SENDERS, ids=[one.file for one in _SENDERS])
def test_an_example_sends_to_the_port_that_takes_it_and_says_how(sender: Snippet) -> None:
    port = next(one.port for one in cluster_settings().intake.listeners if one.kind == sender.kind)
    text = (EXAMPLES / sender.file).read_text(encoding="utf-8")
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert re.search(rf"""(port["= (]+|example:){port}\b""", code)
    says = {"udp": r"\budp\b", "tcp": r"\btcp\b", "tls": r"\b(tls|ssl|gtls|enc-algorithm high)\b"}
    to_the_centre = code[code.index("bongsu.city.example") - 60 :]
    assert re.search(says[sender.kind], to_the_centre, re.IGNORECASE)
    assert "bongsu.city.example" in code
    assert "CHANGE" in text


@pytest.mark.parametrize("file", ["fortigate.cli", "fortigate-udp.cli"])
def test_the_fortigate_example_is_balanced(file: str) -> None:
    lines = [line.strip() for line in (EXAMPLES / file).read_text(encoding="utf-8").splitlines()]
    code = [line for line in lines if line and not line.startswith("#")]
    inside = False
    for line in code:
        if line.startswith("config "):
            assert not inside, line
            inside = True
        elif line == "end":
            assert inside
            inside = False
        else:
            assert inside, line
            assert re.fullmatch(r'set [a-z-]+ (\w[\w.-]*|"[^"]+")', line), line
    assert not inside


@pytest.mark.parametrize("file", ["panos.cli", "panos-udp.cli"])
def test_the_panos_example_sends_every_log_it_matches(file: str) -> None:
    code = [line for line in (EXAMPLES / file).read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert all(line.startswith("set ") for line in code)
    lists = {found[1] for line in code if (found := re.match(r"set shared log-settings (.+ match-list \w+) ", line))}
    assert len(lists) >= 8
    for one in lists:
        assert f"set shared log-settings {one} send-syslog Bongsu" in code


# ---- the pages ----


def test_the_page_of_settings_is_up_to_date() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_docs.render(), "run: python -m core.settings_docs > docs/settings.md"


def test_a_setting_without_a_description_cannot_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.ApiSettings.model_fields["port"], "description", None)
    with pytest.raises(ValueError, match=r"api\.port has no description"):
        settings_docs.render()


@pytest.mark.parametrize("page", ["docs/operations.md", "deploy/forwarders/README.md"])
def test_links_lead_somewhere(page: str) -> None:
    file = ROOT / page
    links = re.findall(r"\]\(([^)#]+)", file.read_text(encoding="utf-8"))
    assert links
    for link in links:
        assert link.startswith("https://") or (file.parent / link).exists(), link


def test_every_command_in_the_operations_page_exists() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"`[^`]+`|```.*?```", text, re.DOTALL))
    used = set(re.findall(r"\bbongsu ((?:db|users|keys|rules) [a-z]+|[a-z]{2,})\b(?![:/])", code))
    assert {"up", "doctor", "db migrate", "users set", "keys create"} <= used
    assert used <= set(commands())


def _run(command: list[str], *, fails: bool = False) -> str:
    """All that the command says; it must end as expected."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(), check=False)
    said = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, said
    return said
