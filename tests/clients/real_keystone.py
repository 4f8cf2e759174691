"""A real Keystone, in an environment of its own (`scripts/setup slow`): made anew below a directory, and served on a free port.

Its administrator is `admin` in the project `admin`.  As a program, by the Python that has Keystone, it is the server: it prints its port
when it answers.
"""

import base64
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_PYTHON = Path(sys.prefix) / "clients" / "keystone" / "bin" / "python"
_PASSWORD = "bootstrapped"
_SETTINGS = """
[DEFAULT]
log_file = {place}/keystone.log
[database]
connection = sqlite:///{place}/keystone.db
[fernet_tokens]
key_repository = {place}/fernet
[credential]
key_repository = {place}/credentials
[cache]
enabled = false
"""


class RealKeystone:
    """One that runs while the `with` around it lasts, but for when it is told to be away."""

    def __init__(self, place: Path) -> None:
        """Make its database, its keys and its first account: some 7 seconds of a core."""
        self._place = place
        self._port = 0
        self._process: subprocess.Popen[str]
        place.mkdir()
        (place / "keystone.conf").write_text(_SETTINGS.format(place=place), encoding="utf-8")
        # What `keystone-manage fernet_setup` makes, without its 4 seconds.
        for directory in ("fernet", "credentials"):
            (place / directory).mkdir(mode=0o700)
            for number in range(2):
                (place / directory / str(number)).write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
        for command in (["db_sync"], ["bootstrap", "--bootstrap-password", _PASSWORD]):
            manage = [str(_PYTHON.with_name("keystone-manage")), "--config-file", str(place / "keystone.conf")]
            done = subprocess.run([*manage, *command], capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Serve, on the port of before if there was one, and return when it answers."""
        self._process = subprocess.Popen(
            [str(_PYTHON), __file__, str(self._port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OS_KEYSTONE_CONFIG_DIR": str(self._place)},
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def stop(self) -> None:
        """Be away."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=30)
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}/v3"

    def environment(self, user: str = "admin", password: str = _PASSWORD, project: str = "admin") -> Mapping[str, str]:
        """Return what an openrc of a user says."""
        return {
            "OS_AUTH_URL": self.url,
            "OS_USERNAME": user,
            "OS_PASSWORD": password,
            "OS_PROJECT_NAME": project,
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_IDENTITY_API_VERSION": "3",
        }


def _serve(port: int) -> None:
    # Only the other Python has these.
    from importlib import import_module

    application = import_module("keystone.wsgi.api").application
    server = import_module("werkzeug.serving").make_server("127.0.0.1", port, application, threaded=True)
    print(server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    # Keystone would read the rest of the command line as its own.
    _serve(int(sys.argv.pop()))
