"""The configuration file: everything that is wrong is told at once, with its place, value, reason and what it is for, and no secret."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from mooring.config import (
    AccountSettings,
    ConfigurationError,
    DatabaseSettings,
    HostSettings,
    Process,
    Settings,
    credentials_file,
    effective,
    fits,
    load,
    read,
    warnings,
)
from mooring.config.roles import misfits
from mooring.main.service import limits_of, prepare_accounts
from mooring.model.nouns import NetworkKind, Resource
from mooring.operations.door import FirstNetwork
from tests.cloud import Cloud

Write = Callable[[str], Path]

KEYSTONE = '[identity.keystone]\nurl = "http://k:5000"\nusername = "m"\npassword = "geheim"\n'
HASH = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$1sDPXGIYIvy8jxPTTyrRUZkDFbMUBFXLEjYU1mUtWmY"

SERVICE = """
[bus]
servers = ["nats://127.0.0.1:4222"]
credentials = "{credentials}"

[[identity.accounts]]
user = "admin"
password = "geheim"
project = "admin"
"""

AGENT = """
[bus]
servers = ["nats://127.0.0.1:4222"]
credentials = "{credentials}"

[host]
name = "host-1"
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    credentials = tmp_path / "credentials"
    credentials.write_text("")
    credentials.chmod(0o600)

    def make(text: str) -> Path:
        path = tmp_path / "mooring.toml"
        path.write_text(text.replace("{credentials}", str(credentials)))
        path.chmod(0o600)
        return path

    return make


def _told(path: Path, process: Process | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(path, process)
    text = str(caught.value)
    assert str(path) in text
    return text


@pytest.mark.parametrize(
    "text, told",
    [
        ("zzz = 1", "zzz: there is no such setting; there are: state_directory"),
        ("[api]\nprot = 1", "api.prot: there is no such setting, perhaps port is meant; there are: listen, port"),
        ("[ap]\nport = 1", "ap: there is no such setting, perhaps api is meant"),
        (
            'state_directory = "state"',
            "state_directory = 'state': must be an absolute path (what must outlive a reboot",
        ),
        ("[api]\nport = 65536", "api.port = 65536: must be less than or equal to 65535 (the TCP port, 0 to 65535"),
        ('[api]\nport = "http"', "api.port = 'http': must be a whole number"),
        ('[api]\npublic_url = "here"', "api.public_url = 'here': must be a URL"),
        ("api = 5", "api = 5: must be a section"),
        ('[host]\nname = ""', "host.name = '': "),
        (
            "[host]\ncompute = false\ngateway = false",
            "host: a host that is neither compute nor gateway has nothing to do",
        ),
        ('[host]\nendpoint = "10.0.0.300"', "host.endpoint = '10.0.0.300': input is not a valid IPv4 address"),
        ('[host]\nvlan_interface = "a/b"', "host.vlan_interface = 'a/b': must be the name of a network interface"),
        ('[host]\nvlan_interface = "abcdefghijklmnop"', "at most 15 characters"),
        ('[host]\nguests = "docker"', "host.guests = 'docker': must be 'netns' or 'qemu'"),
        ("[bus]\nservers = []", "bus.credentials: is missing"),
        ('[bus]\nservers = ["http://x"]\ncredentials = "/c"', "bus.servers[0] = 'http://x': must be as in nats://"),
        ('[bus]\nservers = ["tls://x:1"]\ncredentials = "c"', "bus.credentials = 'c': must be an absolute path"),
        (
            '[bus]\nservers = ["tls://x"]\ncredentials = "/c"\n[bus.tls]\nkey = "/k"',
            "bus.tls: certificate and key belong together",
        ),
        ('[database]\nurl = "mysql://x"', "database.url: must begin with sqlite:// or postgresql://"),
        ('[database]\nurl = "sqlite:///x.db"', "with four slashes"),
        ("[identity]\ntoken_lifetime = 5", "identity.token_lifetime = 5: must be greater than or equal to 60"),
        ('[[identity.accounts]]\nuser = "a"', "identity.accounts[0].password: is missing"),
        (
            '[[identity.accounts]]\nuser = "a"\npassword_file = "/nowhere/x"\nproject = "p"',
            "identity.accounts[0]: password_file /nowhere/x can't be read: No such file",
        ),
        (
            '[[identity.accounts]]\nuser = "a"\npassword = "x"\nproject = "p"\nrole = "boss"',
            "identity.accounts[0].role = 'boss': must be 'admin', 'member' or 'reader'",
        ),
        (
            "[identity]\nfailures_per_account = -1",
            "identity.failures_per_account = -1: must be greater than or equal to 0",
        ),
        ('[api]\ntrusted_proxies = ["proxy"]', "api.trusted_proxies[0]"),
        (
            '[identity.keystone]\nurl = "http://moo:geheim@k:5000"',
            "must be a URL as in https://cloud.example.org:5000/v3, without user and password",
        ),
        (
            '[identity.keystone]\nurl = "http://k:5000"\nusername = "m"\nsecret = "x"',
            "identity.keystone: needs either username and password, or credential and secret",
        ),
        (
            '[identity.keystone]\nurl = "http://k"\nusername = "m"\npassword = "x"\ncache_seconds = -1',
            "identity.keystone.cache_seconds = -1: must be greater than or equal to 0",
        ),
        (
            f'{KEYSTONE}[[identity.accounts]]\nuser = "a"\npassword = "x"\nproject = "p"',
            "identity: has both accounts and keystone",
        ),
        ('[[bootstrap.projects]]\nname = ""', "bootstrap.projects[0].name = '': "),
        ('[[bootstrap.users]]\npassword = "x"', "bootstrap.users[0].name: is missing"),
        (
            '[[bootstrap.users]]\nname = "a"\npassword_hash = "geheim"',
            "bootstrap.users[0].password_hash: must be an Argon2 hash, as `mooring user hash` prints one",
        ),
        (
            f'[[bootstrap.users]]\nname = "a"\npassword = "geheim"\npassword_hash = "{HASH}"',
            "bootstrap.users[0]: has both password and password_hash",
        ),
        (
            '[[bootstrap.users]]\nname = "a"\npassword = "x"\npassword_file = "/x"',
            "bootstrap.users[0]: has both password and password_file",
        ),
        (
            '[[bootstrap.users]]\nname = "a"\npassword_credential = "x"',
            "bootstrap.users[0]: password_credential x is of use to a service of systemd only",
        ),
        (
            '[[bootstrap.users]]\nname = "a"\n[[bootstrap.users.roles]]\nrole = "member"',
            "users[0].roles[0].project: is missing",
        ),
        (
            '[[bootstrap.users]]\nname = "a"\n[[bootstrap.users.roles]]\nproject = "p"\nrole = "boss"',
            "bootstrap.users[0].roles[0].role = 'boss': must be 'admin', 'member' or 'reader'",
        ),
        ("[networks]\nvlans = [5, 4]", "networks: vlans must be two numbers in order, within 1 to 4094"),
        ("[networks]\nvlans = [0, 4]", "networks: vlans must be two numbers in order, within 1 to 4094"),
        ('[networks]\nfirst_cidr = "10.0.0.1/24"', "networks.first_cidr = '10.0.0.1/24'"),
        ('[networks]\nfirst_cidr = "10.0.0.0/30"', "networks.first_cidr = '10.0.0.0/30': must have a prefix length"),
        (
            '[networks]\nfirst_cidr = "127.0.0.0/8"',
            "networks.first_cidr = '127.0.0.0/8': 127.0.0.0/8 cannot be a guest",
        ),
        ('[networks]\nfirst_kind = "flat"', "networks.first_kind = 'flat': must be "),
        ("[quotas]\ninstances = -2", "quotas.instances = -2: must be greater than or equal to -1"),
        ("x = ", "it is no TOML: "),
        ("x = 1\nx = 2", "it is no TOML: "),
    ],
)
def test_what_is_wrong_is_told(write: Write, text: str, told: str) -> None:
    assert told in _told(write(text))


def test_all_that_is_wrong_is_told_at_once(write: Write) -> None:
    path = write(
        'bogus = 1\nstate_directory = "x"\n[api]\nport = -1\n[host]\nguests = "x"\n[log]\njson_lines = "maybe"'
    )
    lines = _told(path).splitlines()
    assert len(lines) == 5
    for line, setting in zip(
        sorted(lines), ("api.port", "bogus", "host.guests", "log.json_lines", "state_"), strict=True
    ):
        assert line.startswith(f"{path}: {setting}")


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    assert "No such file" in _told(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    assert "UTF-8" in _told(tmp_path / "binary.toml")


def test_secrets_are_in_no_message_and_no_printing(write: Write, tmp_path: Path) -> None:
    wrong = write(
        '[database]\nurl = "mysql://moo:geheim@db/x"\npassword = 7\n'
        '[bus]\nservers = ["nats://u:geheim@h"]\n[[identity.accounts]]\nuser = "u"\npassword = ["geheim"]\n'
    )
    text = _told(wrong)
    assert "geheim" not in text
    assert "***" in text
    settings = Settings(
        database=DatabaseSettings(url="postgresql://moo:geheim@db/x"),
        identity={"accounts": [{"user": "u", "password": "geheim", "project": "p"}]},  # type: ignore[arg-type]
    )
    for told in (
        repr(settings),
        str(settings),
        effective(settings, {}),
        repr(settings.database),
        repr(settings.identity),
    ):
        assert "geheim" not in told
    assert "postgresql://moo:***@db/x" in effective(settings, {})


def test_a_keystone_has_the_accounts(write: Write) -> None:
    path = write(f'{KEYSTONE}ca = "/nowhere/ca.pem"\n[[bootstrap.projects]]\nname = "a"')
    told = _told(path, Process.UP)
    assert "bootstrap: with [identity.keystone], accounts are made in that Keystone" in told
    assert "identity.keystone.ca: /nowhere/ca.pem can't be read" in told


def test_a_keystone_s_secrets_are_shown_to_nobody_and_may_stand_in_files(write: Write, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("geheim\n")
    path = write(f'[identity.keystone]\nurl = "http://k:5000/"\ncredential = "c"\nsecret_file = "{tmp_path}/secret"')
    settings = load(path, Process.UP)
    keystone = settings.identity.keystone
    assert keystone is not None
    assert (keystone.url, keystone.told_url, keystone.secret) == ("http://k:5000/v3", "http://k:5000/v3", "geheim")
    known = write(f'{KEYSTONE}public_url = "https://cloud.example.org/identity/v3"')
    for told in (repr(settings), effective(settings, {}), repr(load(known, Process.UP))):
        assert "geheim" not in told
    known.chmod(0o644)
    read_again, values, _ = read(known)
    assert read_again is not None
    assert read_again.identity.keystone is not None
    assert read_again.identity.keystone.told_url == "https://cloud.example.org/identity/v3"
    (warning,) = warnings(known, read_again, values)
    assert "holds passwords and can be read by everybody" in warning


def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("ge/h@im\n")
    settings = Settings.model_validate(
        {
            "database": {"url": "postgresql+psycopg://moo@db:5433/x?connect_timeout=2", "password_file": str(secret)},
            "identity": {"accounts": [{"user": "u", "password_file": str(secret), "project": "p"}]},
        }
    )
    assert settings.database_url == "postgresql+psycopg://moo:ge%2Fh%40im@db:5433/x?connect_timeout=2"
    assert settings.identity.accounts == (AccountSettings(user="u", password="ge/h@im", project="p"),)
    with pytest.raises(ValueError, match="both password and password_file"):
        AccountSettings.model_validate({"user": "u", "password": "x", "password_file": str(secret), "project": "p"})


@pytest.mark.parametrize("section", ["database", "identity", "api", "controller", "quotas", "networks"])
def test_an_agent_refuses_what_is_of_use_to_whoever_takes_its_host(write: Write, section: str) -> None:
    path = write(AGENT + f"[{section}]\n")
    assert f"{path}: {section}: an agent" in _told(path, Process.AGENT)
    assert load(write(AGENT), Process.AGENT).host.name == "host-1"


@pytest.mark.parametrize("process", [Process.API, Process.CONTROLLER])
def test_api_and_controller_share_a_file_that_has_no_host(write: Write, process: Process) -> None:
    assert load(write(SERVICE), process).bus is not None
    path = write(SERVICE + "[host]\nname = 'x'\n[agent]\n")
    told = _told(path, process)
    assert f"{path}: host: is of use to an agent only" in told
    assert f"{path}: agent: is of use to an agent only" in told


def test_the_bus_needs_servers_and_credentials(write: Write, tmp_path: Path) -> None:
    for process in (Process.API, Process.CONTROLLER, Process.AGENT):
        assert "bus: is missing" in _told(write("[log]\n"), process)
    path = write(AGENT)
    (tmp_path / "credentials").chmod(0o644)
    assert "can be read by everybody" in _told(path, Process.AGENT)
    (tmp_path / "credentials").unlink()
    assert "No such file" in _told(path, Process.AGENT)
    assert "uses no bus" in _told(write(SERVICE), Process.UP)


def test_credentials_may_be_a_directory_where_each_takes_its_own(write: Write, tmp_path: Path) -> None:
    """So api and controller share a file and don't share a password."""
    (tmp_path / "credentials").unlink()
    (tmp_path / "credentials").mkdir()
    path = write(AGENT)
    told = _told(path, Process.AGENT)
    assert f"{tmp_path}/credentials/host-1.credentials: No such file" in told
    for process, name in ((Process.API, "api"), (Process.CONTROLLER, "controller"), (Process.AGENT, "host-1")):
        own = tmp_path / "credentials" / f"{name}.credentials"
        own.touch(mode=0o600)
        settings = load(write(AGENT if process is Process.AGENT else SERVICE), process)
        assert settings.bus is not None
        assert credentials_file(process, settings.bus, settings.host) == own


def test_what_operations_allow_is_what_the_file_says(write: Write) -> None:
    assert limits_of(load(write(""))).first_network is None
    text = '[networks]\nvlans = [100, 199]\nfirst_kind = "vlan"\nfirst_cidr = "172.16.0.0/16"\nown_kind = "vxlan"'
    text += "\n[quotas]\ninstances = -1\nrouters = 2"
    limits = limits_of(load(write(text)))
    assert limits.first_network == FirstNetwork(NetworkKind.VLAN, IPv4Network("172.16.0.0/16"))
    assert limits.segments(NetworkKind.VLAN) == range(100, 200)
    assert limits.quotas == {
        Resource.INSTANCES: -1,
        Resource.FLOATING_IPS: 10,
        Resource.SECURITY_GROUPS: 10,
        Resource.SECURITY_GROUP_RULES: 50,
        Resource.SECURITY_GROUP_MEMBERS: 1000,
        Resource.NIC_ADDRESSES: 256,
        Resource.PORT_FORWARDINGS: 100,
        Resource.NETWORKS: 10,
        Resource.SUBNETS: 10,
        Resource.ROUTERS: 2,
        Resource.SUBNET_POOLS: 10,
        Resource.NICS: 100,
    }
    assert (limits.own_kind, limits_of(load(write(""))).own_kind) == (NetworkKind.VXLAN, None)


def test_a_host_without_a_name_is_told(write: Write) -> None:
    settings = load(write(AGENT), Process.AGENT).model_copy(update={"host": HostSettings(name="localhost")})
    assert [misfit.setting for misfit in misfits(Process.AGENT, settings, {})] == ["host.name"]
    # Who says it himself may call a host what he likes.
    assert not misfits(Process.AGENT, settings, {"host": {"name": "localhost"}})


def test_what_a_file_is_for_is_known_by_its_sections(write: Write) -> None:
    for text, processes in (
        ("", [Process.UP]),
        ("[host]\n", [Process.UP]),
        (SERVICE, [Process.API, Process.CONTROLLER]),
        (AGENT, [Process.AGENT]),
    ):
        settings, values, problems = read(write(text))
        assert not problems
        assert settings is not None
        assert fits(settings, values) == processes


# ------------------------------------------------------------------------------------------------------- the command


def _check(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "MOORING_CONFIG"}
    command = [sys.executable, "-m", "mooring.cli", "config", "check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def test_the_command_prints_the_settings_that_hold(write: Write) -> None:
    done = _check(str(write(SERVICE)))
    assert done.returncode == 0, done.stderr
    assert "right for mooring api, mooring controller" in done.stdout
    assert 'password = "***"' in done.stdout
    assert "geheim" not in done.stdout + done.stderr
    assert "port = 8774  # default" in done.stdout
    assert 'servers = ["nats://127.0.0.1:4222"]\n' in done.stdout


def test_the_command_says_all_that_is_wrong(write: Write) -> None:
    path = write("bogus = 1\n[api]\nport = -1")
    done = _check(str(path))
    assert done.returncode == 1
    assert done.stderr.startswith("mooring: 2 settings are wrong\n")
    assert f"  {path}: bogus: " in done.stderr
    assert f"  {path}: api.port = -1: " in done.stderr
    done = _check(str(write(AGENT)), "--for", "api")
    assert done.returncode == 1
    assert "host: is of use to an agent only" in done.stderr


def test_the_command_warns_of_what_is_unwise(write: Write) -> None:
    path = write(SERVICE.replace("127.0.0.1", "10.0.0.1"))
    path.chmod(0o644)
    done = _check(str(path))
    assert done.returncode == 0
    assert "can be read by everybody" in done.stderr
    assert "unencrypted" in done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_first_accounts(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root-password").write_text("geheim\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    path = write(
        f"""
[[bootstrap.projects]]
name = "fleet"
description = "all of it"

[[bootstrap.users]]
name = "nell"
password_hash = "{HASH}"
email = "nell@example.org"

[[bootstrap.users.roles]]
project = "fleet"

[[bootstrap.users]]
name = "root"
password_credential = "root-password"

[[bootstrap.users.roles]]
project = "harbour"
role = "admin"
"""
    )
    settings = load(path, Process.UP)
    nell, root = settings.bootstrap.users
    assert (nell.password, nell.password_hash, nell.roles[0].role.value) == (None, HASH, "member")
    assert (root.password, root.roles[0].project) == ("geheim", "harbour")
    told = effective(settings, read(path)[1], Process.UP)
    assert HASH not in told
    assert "geheim" not in told
    assert "[[bootstrap.users.roles]]" in told
    with pytest.raises(ConfigurationError, match="bootstrap: an agent makes no accounts"):
        load(write(AGENT + '[[bootstrap.projects]]\nname = "p"'), Process.AGENT)


@pytest.mark.parametrize("name", ["../root-password", "/etc/passwd", ".", "..", "nothing"])
def test_a_credential_is_one_of_the_service_s_own(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "root-password").write_text("geheim")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "own"))
    told = _told(write(f'[[bootstrap.users]]\nname = "a"\npassword_credential = "{name}"'))
    assert "password_credential" in told
    assert "geheim" not in told


def test_passwords_that_everybody_can_read_are_told(write: Write) -> None:
    path = write('[[bootstrap.users]]\nname = "a"\npassword = "geheim"')
    path.chmod(0o644)
    settings, values, _ = read(path)
    assert settings is not None
    (warning,) = warnings(path, settings, values)
    assert "holds passwords and can be read by everybody" in warning


def test_the_first_accounts_are_made_at_each_start(write: Write, tmp_path: Path) -> None:
    settings = load(
        write(
            f'[[bootstrap.projects]]\nname = "quay"\n[[bootstrap.users]]\nname = "a"\npassword_hash = "{HASH}"'
            '\n[[bootstrap.users.roles]]\nproject = "p"\n[[bootstrap.users.roles]]\nproject = "p"\nrole = "admin"'
        )
    )
    cloud = Cloud(tmp_path / "cloud.db")
    for _ in range(2):
        prepare_accounts(settings, cloud.operations)
    with cloud.store.read() as tx:
        known = tx.identities.user_by_name("a")
        assert known is not None
        assert known.password_hash == HASH
        roles = {(grant.project.name, grant.role.value) for grant in tx.identities.grants(known.user.id)}
        assert roles == {("p", "admin"), ("p", "member")}
        assert tx.identities.project_by_name("quay") is not None
    wrong = load(write('[[bootstrap.projects]]\nname = "a\\nb"'))
    with pytest.raises(ConfigurationError, match=r"accounts: project: must not contain the character U\+000A"):
        prepare_accounts(wrong, cloud.operations)
    cloud.close()
