import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from mooring.cli.app import app
from mooring.dialects import native, openstack
from tests.cloud import ACCOUNTS, PASSWORDS, Cloud, Server, StoppedClock

# What an openrc of the developer's own shell must not decide here.
OURS = ("OS_", "MOORING_")


@dataclass
class Shell:
    """Somebody who types commands, with what their openrc says."""

    variables: Mapping[str, str]

    def __call__(self, *arguments: str) -> Result:
        ours = {name: None for name in os.environ if name.startswith(OURS)}
        result = CliRunner().invoke(app, list(arguments), env={**ours, **self.variables}, prog_name="mooring")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception  # a traceback is never an answer
        return result

    def said(self, *arguments: str) -> str:
        """Run a command that must succeed; return what it said."""
        result = self(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "cloud.db", StoppedClock(), settle_timeout=0.2)
    yield made
    made.close()


@pytest.fixture
def url(cloud: Cloud) -> Iterator[str]:
    routes = [Mount("/v1", native.create_app(cloud.operations)), Mount("/", openstack.create_app(cloud.operations))]
    # The server's log would stand among what commands print: it runs in the same process here.
    with capture_logs(), Server(Starlette(routes=routes)) as server:
        yield server.url


@pytest.fixture
def shell(url: str) -> Callable[[str], Shell]:
    def of(user: str) -> Shell:
        project = next(account.project for account in ACCOUNTS if account.user == user)
        return Shell(
            {
                "OS_AUTH_URL": f"{url}/identity/v3",
                "OS_USERNAME": user,
                "OS_PASSWORD": PASSWORDS[user],
                "OS_PROJECT_NAME": project,
            }
        )

    return of


@pytest.fixture
def alice(shell: Callable[[str], Shell]) -> Shell:
    """A member of the project boats."""
    return shell("alice")


@pytest.fixture
def root(shell: Callable[[str], Shell]) -> Shell:
    """The administrator."""
    return shell("root")
