"""Passwords and secrets on the command line: where they come from, and where they are never seen."""

from collections.abc import Callable
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from typer.testing import CliRunner

from mooring.cli import secrets
from mooring.cli.app import app
from mooring.cli.failure import Failed
from mooring.operations.attempts import Attempts
from tests.cli.conftest import Shell
from tests.cloud import PASSWORDS, Cloud


def _logs_in(cloud: Cloud, user: str, password: str) -> bool:
    token = cloud.operations.identity.log_in(user=user, user_id=None, password=password, project=None)
    return token.user.name == user


def test_a_password_comes_from_a_file_or_is_made(cloud: Cloud, root: Shell, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from a file\n")
    assert "from a file" not in root.said("user", "create", "nell", "--password-file", str(file))
    assert _logs_in(cloud, "nell", "from a file")
    made = root.said("user", "update", "nell", "--random-password").split()[-1]
    assert len(made) == 32
    assert _logs_in(cloud, "nell", made)


def test_a_password_comes_from_standard_input() -> None:
    hashed = CliRunner().invoke(app, ["user", "hash", "--password-file", "-"], input="geheim\n").stdout.strip()
    assert PasswordHasher().verify(hashed, "geheim")


def test_a_password_is_asked_for_where_somebody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match="nobody to ask"):
        secrets.needed(None)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked: list[object] = []

    def prompt(*told: object, **how: object) -> str:
        asked.append((told, how))
        return "typed"

    monkeypatch.setattr("typer.prompt", prompt)
    assert secrets.needed(None) == "typed"
    assert asked == [(("Password",), {"hide_input": True, "confirmation_prompt": True})]


def test_one_changes_one_s_own_password(cloud: Cloud, alice: Shell, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("better")
    assert alice.said("user", "password", "--password-file", str(file)) == "your password is changed\n"
    refused = alice("ip", "list")
    assert refused.exit_code == 1
    assert "does not know user alice with this password" in refused.stderr
    assert _logs_in(cloud, "alice", "better")
    file.write_bytes(b"\xff")
    assert "it is no text in UTF-8" in alice("user", "hash", "--password-file", str(file)).stderr


def test_a_key_is_enough(shell: Callable[[str], Shell], url: str) -> None:
    alice = shell("alice")
    made = dict(line.split(maxsplit=1) for line in alice.said("key", "create", "ci").splitlines())
    key = {"OS_AUTH_URL": f"{url}/identity/v3", "OS_APPLICATION_CREDENTIAL_ID": made["id"]}
    program = Shell({**key, "OS_APPLICATION_CREDENTIAL_SECRET": made["secret"]})
    assert "198.51.100.1" in program.said("ip", "create")
    rc = program.said("openrc")
    assert f"export OS_APPLICATION_CREDENTIAL_ID={made['id']}\n" in rc
    assert "export OS_AUTH_TYPE=v3applicationcredential\n" in rc
    assert "OS_USERNAME" not in rc
    refused = program("key", "create", "more")
    assert (refused.exit_code, refused.stderr) == (1, "mooring: A restricted key can neither make nor delete keys.\n")
    wrong = Shell({**key, "OS_APPLICATION_CREDENTIAL_SECRET": "guess"})("ip", "list")
    assert wrong.stderr == f"mooring: {url} does not know key {made['id']} with this secret.\n"
    lacking = Shell(key)("ip", "list")
    assert "not known: OS_APPLICATION_CREDENTIAL_SECRET" in lacking.stderr


def test_who_was_wrong_too_often_is_told_for_how_long(cloud: Cloud, shell: Callable[[str], Shell]) -> None:
    cloud.operations.identity._attempts = Attempts(per_account=1, per_source=0, clock=lambda: 0.0)
    wrong = Shell({**shell("alice").variables, "OS_PASSWORD": PASSWORDS["bob"]})
    assert "does not know user alice" in wrong("ip", "list").stderr
    assert wrong("ip", "list").stderr == "mooring: wrong passwords came too often; try again in 60 seconds.\n"
