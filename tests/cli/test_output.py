"""What is printed: the API's own JSON for programs, tables that can be read and cut for people, and quick help."""

import json
import os
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mooring.cli import show
from tests.cli.conftest import Shell
from tests.cloud import Cloud

HEAVY = {"argon2", "fastapi", "httpx2", "openstack", "orjson", "pyroute2", "rich", "sqlalchemy", "starlette", "uvicorn"}


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


@pytest.mark.parametrize("arguments", ["--help", "--version", "ip --help", "instance create --help", "sandbox --help"])
def test_help_imports_nothing_heavy(arguments: str) -> None:
    code = f"""
import sys
from mooring.cli import main
sys.argv = ["mooring", *{arguments.split()!r}]
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
heavy = sorted({HEAVY!r} & set(sys.modules))
sys.exit(f"imported: {{heavy}}" if heavy else 0)
"""
    assert _python(code)


def test_help_is_quick() -> None:
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "mooring.cli", "--help"], capture_output=True, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    # Of the processor, not by the clock: it has other things to do. Some 0.09 s.
    assert min(times) < 0.3


def test_every_command_and_option_is_explained() -> None:
    from typer.main import get_command

    from mooring.cli.app import app

    def walk(command: object, path: str) -> None:
        assert getattr(command, "help", None), path
        for parameter in getattr(command, "params", []):
            assert getattr(parameter, "help", None), f"{path} {parameter.name}"
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, f"{path} {name}")

    walk(get_command(app), "mooring")


def test_every_command_is_on_the_page() -> None:
    from typer.main import get_command

    from mooring.cli.app import app

    page = (Path(__file__).parents[2] / "docs/operating/command-line.md").read_text()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        found = [re.match(rf"\| `mooring {name}\b(.*?)`", line) for line in page.splitlines()]
        shown = [match[1] for match in found if match]
        assert shown, name
        words = {word for text in shown for word in re.findall(r"[\w-]+", text)}
        for inner in getattr(command, "commands", {}):
            assert inner in words, f"{name} {inner}"


def test_json_is_what_the_api_says(cloud: Cloud, alice: Shell, root: Shell) -> None:
    made = json.loads(alice.said("instance", "create", "vm", "--image", "tiny", "--wait", "--json"))
    assert made["state"] == "active"
    assert made["nics"][0]["fixed"] == ["10.0.0.2"]
    floating = json.loads(alice.said("ip", "create", "--json"))
    moved = json.loads(alice.said("ip", "associate", floating["address"], "vm", "--json"))
    assert moved["association"]["instance"] == made["id"]
    for command in ("instance list", "ip list", "network list", "pool list", "quota list"):
        answer = json.loads(alice.said(*command.split(), "--json"))
        assert answer["next"] is None
        assert answer["items"]
    assert json.loads(alice.said("pool", "show", "public", "--json"))["usage"]["allocated"] == 1
    assert json.loads(root.said("host", "show", "host1", "--json"))["settled"] is True
    facts = json.loads(root.said("host", "show", "host1", "--facts", "--json"))["items"]
    assert {"place", "table", "key", "value"} == facts[0].keys()
    trip = json.loads(root.said("trace", "10.0.0.2", "192.0.2.1", "tcp", "443", "--json"))
    assert trip["there"]["header"] == f"tcp {floating['address']} -> 192.0.2.1:443"


def test_facts_are_printed_one_a_line(root: Shell) -> None:
    lines = root.said("host", "show", "host1", "--facts").splitlines()
    assert all(line.startswith(("host ", "router/")) for line in lines)


def test_a_name_does_what_an_id_does(root: Shell, alice: Shell) -> None:
    for name in ("plain", "with space", "a/b", "ünï", "%2F", "50%", "[bold]", ".."):
        made = json.loads(root.said("network", "create", name, "--cidr", "10.9.0.0/24", "--json"))
        assert json.loads(root.said("network", "show", name, "--json")) == made
        assert json.loads(root.said("network", "show", made["id"], "--json")) == made
        assert name in root.said("network", "list")
        root.said("network", "delete", name)
    made = json.loads(alice.said("instance", "create", "x/y", "--image", "tiny", "--json"))
    assert json.loads(alice.said("instance", "show", "x/y", "--json"))["id"] == made["id"]
    floating = json.loads(alice.said("ip", "create", "--json"))
    alice.said("ip", "associate", floating["id"], "x/y")


def test_trace_takes_an_instance_for_its_address(cloud: Cloud, alice: Shell) -> None:
    admin = Shell({**alice.variables, "OS_USERNAME": "root", "OS_PASSWORD": "pw-root", "OS_PROJECT_NAME": "harbour"})
    admin.said("instance", "create", "vm", "--image", "tiny", "--wait")
    assert "icmp 10.0.0.2 -> 192.0.2.1" in admin.said("trace", "vm", "192.0.2.1")


def test_a_table_is_not_wrapped_for_programs(alice: Shell) -> None:
    name = "long " * 40
    alice.said("instance", "create", name.strip(), "--image", "tiny")
    header, row = alice.said("instance", "list").splitlines()
    assert header.split() == ["NAME", "STATE", "FIXED", "FLOATING", "ID"]
    assert name.strip() in row
    assert row == row.rstrip()


def test_rows_are_in_natural_order(capsys: pytest.CaptureFixture[str]) -> None:
    things = [{"name": name} for name in ("web-10", "web-9", "10.0.0.10", "10.0.0.9", "web")]
    show.listing(things, {"name": lambda each: each["name"]}, json=False)
    assert capsys.readouterr().out.split() == ["NAME", "10.0.0.9", "10.0.0.10", "web", "web-9", "web-10"]


def test_an_openrc_can_be_sourced(alice: Shell, tmp_path: Path) -> None:
    nasty = Shell({**alice.variables, "OS_PASSWORD": "it's $HOME `x` \" \\"})
    file = tmp_path / "openrc"
    file.write_text(nasty.said("openrc"))
    done = subprocess.run(
        ["bash", "-c", f". {shlex.quote(str(file))}; env -0"],
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": "/"},
    )
    known = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    for name, value in nasty.variables.items():
        assert known[name] == value


def test_an_openrc_of_a_configuration(tmp_path: Path, url: str) -> None:
    file = tmp_path / "mooring.toml"
    accounts = "".join(
        f'[[identity.accounts]]\nuser = "{user}"\npassword = "pw-{user}"\nproject = "{project}"\n'
        for user, project in (("root", "harbour"), ("alice", "boats"))
    )
    file.write_text(f'[api]\npublic_url = "{url}"\n{accounts}')
    for user in ("root", "alice"):
        said = Shell({}).said("--user", user, "openrc", "--config", str(file))
        lines = dict(shlex.split(line)[1].split("=", 1) for line in said.splitlines())
        assert lines["OS_USERNAME"] == user
        Shell(lines).said("ip", "list")
    assert Shell({})("--user", "nobody", "openrc", "--config", str(file)).exit_code == 1


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mooring.cli", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert done.stdout.startswith("mooring 0.")
