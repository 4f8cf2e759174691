"""An HTTP server in a thread of its own."""

import socket
import threading
import time
from collections.abc import Sequence

import uvicorn
from starlette.types import ASGIApp

from mooring.config import ConfigurationError

_START_TIMEOUT = 10.0


class Server:
    """Serves one application."""

    def __init__(self, app: ASGIApp, listen: str, port: int, proxies: Sequence[str] = ()) -> None:
        """Bind at once, so that a port in use is told before anything else starts.

        `proxies` are the addresses whose word is taken for where a request comes from.

        Raises:
            OSError: the address can't be had.
        """
        self._socket = socket.create_server((listen, port), family=socket.AF_INET, backlog=512)
        # Connections inherit it.  asyncio sets it only on sockets made for TCP by name, which create_server's are not: without it every
        # answer waits 40 ms for the client's acknowledgement of its headers.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host, self.port = self._socket.getsockname()[:2]
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=5,
            forwarded_allow_ips=[*proxies],
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="http", daemon=True)

    @property
    def url(self) -> str:
        """Return where it answers."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Serve, and return once requests are answered."""
        self._thread.start()
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._server.started:
            if time.monotonic() > deadline:
                raise ConfigurationError("The HTTP server did not start.")
            time.sleep(0.01)

    def stop(self) -> None:
        """Finish what is under way and stop."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()
