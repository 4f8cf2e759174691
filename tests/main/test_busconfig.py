"""Who may come to the bus: files that open nothing but by their owner, and that a real nats-server understands."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import bcrypt
import pytest
from prometheus_client import CollectorRegistry

from mooring.bus.access import Kind, ServerTls
from mooring.config import BusSettings, ConfigurationError, TlsSettings
from mooring.main.bus import open_bus, read_credentials
from mooring.main.busconfig import BusDirectory, Wish
from mooring.model.ids import host_id
from tests.bus.nats_server import NatsServer


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_each_gets_a_password_and_the_server_knows_its_hash(tmp_path: Path) -> None:
    directory = BusDirectory(tmp_path / "bus")
    written = directory.write(Wish(hosts=("host-1", "node.example.org")))
    assert [path.name for path in written] == [
        "api.credentials",
        "controller.credentials",
        "host-1.credentials",
        "node.example.org.credentials",
    ]
    assert _mode(directory.path) == 0o700
    users = directory.users()
    for path in written:
        assert _mode(path) == 0o600
        known = read_credentials(path)
        user = users[known.user]
        assert known.inbox == user.inbox
        assert bcrypt.checkpw(known.password.encode(), user.hashed.encode())
        for file in (directory.server_file, directory.path / "users.json"):
            assert known.password not in file.read_text()
        assert known.password not in repr(known)
    assert users["host-1"].inbox == host_id("host-1")
    assert users["api"].kind is Kind.API


def test_what_is_there_stays_and_only_who_is_named_gets_a_new_password(tmp_path: Path) -> None:
    directory = BusDirectory(tmp_path)
    directory.write(Wish(hosts=("host-1",)))
    before = directory.users()
    assert [path.name for path in directory.write(Wish(hosts=("host-1", "host-2")))] == ["host-2.credentials"]
    assert before.items() <= directory.users().items()
    # Its file may be gone: it is on its host.
    directory.credentials("host-1").unlink()
    assert directory.write(Wish(hosts=("host-1",))) == []
    assert [path.name for path in directory.write(Wish(renew=("host-1", "api")))] == [
        "api.credentials",
        "host-1.credentials",
    ]
    after = directory.users()
    assert after["host-1"] != before["host-1"]
    assert after["controller"] == before["controller"]
    directory.write(Wish(remove=("host-1",)))
    assert "host-1" not in directory.users()
    assert not directory.credentials("host-1").exists()
    assert host_id("host-1") not in directory.server_file.read_text()


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", 'a"b', "a\\b", "a\nb", "api", "controller", " x"])
def test_a_name_that_cannot_be_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    directory = BusDirectory(tmp_path / "bus")
    with pytest.raises(ConfigurationError, match="can't be a host's name"):
        directory.write(Wish(hosts=("good", name)))
    assert not directory.path.exists()


def test_who_is_not_there_can_neither_be_renewed_nor_removed(tmp_path: Path) -> None:
    directory = BusDirectory(tmp_path)
    directory.write(Wish(hosts=("host-1",)))
    for wish in (Wish(renew=("host-9",)), Wish(remove=("host-9",))):
        with pytest.raises(
            ConfigurationError, match="there is no 'host-9' on the bus; there are: api, controller, host-1"
        ):
            directory.write(wish)
    with pytest.raises(ConfigurationError, match="can't be removed"):
        directory.write(Wish(remove=("api",)))


def test_a_damaged_list_is_told_and_kept(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text('[{"name": "x"}]')
    with pytest.raises(ConfigurationError, match="damaged"):
        BusDirectory(tmp_path).write(Wish())
    assert (tmp_path / "users.json").read_text() == '[{"name": "x"}]'


def test_a_damaged_credentials_file_is_told_without_its_words(tmp_path: Path) -> None:
    file = tmp_path / "x.credentials"
    for text in ("password = geheim", 'user = "x"\npassword = "geheim"\n', "\x00"):
        file.write_text(text)
        with pytest.raises(ConfigurationError, match="no credentials file") as caught:
            read_credentials(file)
        assert "geheim" not in str(caught.value)
        assert caught.value.__cause__ is None
    with pytest.raises(ConfigurationError, match="No such file"):
        read_credentials(tmp_path / "nothing")


def test_the_command_writes_them(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mooring.cli", "bus", "config", "--directory", str(tmp_path / "bus")]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], capture_output=True, text=True, check=False, timeout=60)

    done = run("--host", "host-1", "--host", "host-2")
    assert done.returncode == 0, done.stderr
    assert "host-2.credentials: a new password" in done.stdout
    known = read_credentials(tmp_path / "bus" / "host-1.credentials")
    assert known.password not in done.stdout
    done = run("--host", "api")
    assert done.returncode == 1
    assert "can't be a host's name" in done.stderr
    done = run("--tls-certificate", "/x")
    assert done.returncode == 1
    assert "belong together" in done.stderr
    names = [each["name"] for each in json.loads((tmp_path / "bus" / "users.json").read_text())]
    assert names == ["api", "controller", "host-1", "host-2"]


# ------------------------------------------------------------------------------------------------------------------- TLS


def _openssl(*arguments: str, at: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=at, check=True, capture_output=True, timeout=30)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """An authority, and of it a server's certificate and a client's."""
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _openssl(
        "req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test", "-days", "2", at=tmp_path
    )
    (tmp_path / "extensions").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "client"):
        _openssl("req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", at=tmp_path)
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "extensions")
        _openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed, at=tmp_path)
    return tmp_path


@pytest.mark.parametrize("both", [False, True])
def test_tls(tmp_path: Path, certificates: Path, both: bool) -> None:
    directory = BusDirectory(tmp_path / "bus")
    at = certificates
    tls = ServerTls(at / "server.pem", at / "server.key", at / "ca.pem" if both else None)
    directory.write(Wish(hosts=("host-1",)), tls)
    server = NatsServer(tmp_path, directory.server_file.read_text())
    server.start()
    file = directory.credentials("host-1")
    url = server.url.replace("nats://", "tls://")
    own = TlsSettings(ca=at / "ca.pem", certificate=at / "client.pem", key=at / "client.key")
    right = own if both else TlsSettings(ca=at / "ca.pem")
    wrong = TlsSettings(ca=at / "ca.pem") if both else TlsSettings()
    try:
        for settings, comes in ((right, True), (wrong, False)):
            bus = open_bus(
                BusSettings(servers=(url,), credentials=file, tls=settings), read_credentials(file), CollectorRegistry()
            )
            try:
                assert bus.wait_connected(10 if comes else 1) is comes
                assert bus.alive() is comes
            finally:
                bus.close()
    finally:
        server.kill()


def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    directory = BusDirectory(tmp_path / "bus")
    directory.write(Wish())
    file = directory.credentials("api")
    (tmp_path / "ca.pem").write_text("nothing")
    settings = BusSettings(servers=("tls://127.0.0.1:1",), credentials=file, tls=TlsSettings(ca=tmp_path / "ca.pem"))
    with pytest.raises(ConfigurationError, match=r"bus\.tls"):
        open_bus(settings, read_credentials(file), CollectorRegistry())


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    directory = BusDirectory(tmp_path)
    directory.write(Wish())
    before = directory.server_file.stat().st_ino
    directory.write(Wish(hosts=("host-1",)))
    assert directory.server_file.stat().st_ino != before
    assert not list(tmp_path.glob(".*.new"))
