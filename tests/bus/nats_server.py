"""A private NATS server: Debian's program, on a free port of 127.0.0.1, for as long as a test lasts."""

import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.ports import free_port


class NatsServer:
    """One process; it can be killed and started again on the same port."""

    def __init__(self, directory: Path, authorization: str = "") -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._config = directory / "nats.conf"
        self._config.write_text(f"host: 127.0.0.1\nport: {self.port}\n{authorization}")
        self._log = directory / "nats.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(["nats-server", "-c", str(self._config), "-l", str(self._log)])
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise AssertionError(f"nats-server did not start: {self._log.read_text()}")

    def configure(self, authorization: str) -> None:
        """Let the running server read another configuration."""
        assert self._process is not None
        self._config.write_text(f"host: 127.0.0.1\nport: {self.port}\n{authorization}")
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None
