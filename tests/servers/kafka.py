"""A real Apache Kafka broker for tests: one node in KRaft mode, from its own jars out of Maven Central, on the machine's Java.

The jars are fetched once into `.cache/` of the checkout. The broker listens on the loopback only: without security, and with
TLS + SCRAM-SHA-512 (`secure_servers`, `ca_file`, user `USER`).
"""

from __future__ import annotations

import datetime
import hashlib
import shutil
import socket
import struct
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from tempfile import mkdtemp

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).resolve().parents[2]
POM = Path(__file__).parent / "kafka_jars" / "pom.xml"
USER, PASSWORD = "bongsu-test", "a password of tests"
_START_SECONDS = 60
_STOP_SECONDS = 20
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)  # a request of Kafka's protocol every broker answers


class KafkaBroker:
    """A broker and its data folder, which outlives `stop` and `kill`."""

    def __init__(self, jars: Path, folder: Path) -> None:
        self._folder = folder
        self._java = ["java", "-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
        self._port, secure_port, controller_port = _free_ports(3)
        self._process: subprocess.Popen[bytes] | None = None
        self.bootstrap_servers = f"127.0.0.1:{self._port}"
        self.secure_servers = f"127.0.0.1:{secure_port}"
        self.ca_file = _certificate(folder)
        self._properties = folder / "server.properties"
        self._properties.write_text(_properties(folder, self._port, secure_port, controller_port))
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        self._run("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties), "--add-scram", scram)

    def start(self) -> None:
        """Start it on its data and wait until it answers."""
        assert self._process is None, "the broker runs already"
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen([*self._java, "kafka.Kafka", str(self._properties)], stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(self._port):
            assert self._process.poll() is None, f"the broker ended: {(self._folder / 'broker.log').read_text()}"
            assert time.monotonic() < deadline, f"the broker did not answer within {_START_SECONDS} s"
            time.sleep(0.1)

    def stop(self) -> None:
        """End it in order."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _run(self, *arguments: str) -> None:
        done = subprocess.run([*self._java, *arguments], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """The folder of the broker's jars; fetched when it is not there yet."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed; Apache Kafka for the tests needs it")
    cache = ROOT / ".cache"
    jars = cache / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    if not jars.is_dir():
        cache.mkdir(exist_ok=True)
        fresh = Path(mkdtemp(dir=cache, prefix="kafka-fetching-"))
        command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={fresh}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            shutil.rmtree(fresh)
            pytest.skip(f"Maven cannot fetch Apache Kafka: {(done.stdout + done.stderr)[-500:]}")
        fresh.rename(jars)
    return jars


@pytest.fixture(scope="session")
def kafka_broker(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A running broker, the same one for all tests: give topics and groups a prefix of your own."""
    broker = KafkaBroker(kafka_jars, tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.stop()


def _properties(folder: Path, port: int, secure_port: int, controller_port: int) -> str:
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{secure_port},CONTROLLER://127.0.0.1:{controller_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker.pem"),
        "log.dirs": str(folder / "data"),
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": "1",
        "group.initial.rebalance.delay.ms": "0",
        "log.index.size.max.bytes": "65536",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _certificate(folder: Path) -> Path:
    """Make the broker's key and self-signed certificate (`broker.pem`); gives the file a client trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker of the tests")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "broker.pem").write_bytes(private + public)
    trusted = folder / "ca.pem"
    trusted.write_bytes(public)
    return trusted


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(_API_VERSIONS)
            return len(connection.recv(4)) == 4
    except OSError:
        return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
