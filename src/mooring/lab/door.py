"""The API's port on the caller's own 127.0.0.1: what comes there is passed on into the laboratory, whose networks are its own."""

import contextlib
import socket
import threading
from ipaddress import IPv4Address

from mooring.backends.linux.netns import Inside

_PIECE = 1 << 16
_CONNECT_SECONDS = 2.0


class Door:
    """Passes connections on, for as long as it is open."""

    def __init__(self, namespace: str, to: tuple[IPv4Address, int], port: int = 0) -> None:
        """Listen on `port`, or any; `namespace` is where the other side is."""
        self._to = (str(to[0]), to[1])
        self._inside = Inside(namespace, "door")
        self._socket = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, name="door", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Return where the API answers."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Take no more connections; those that are there end with their other side."""
        # Closing alone would leave the thread in accept().
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        self._inside.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._socket.accept()
            except OSError:
                return
            try:
                far = self._inside.run(lambda: socket.create_connection(self._to, _CONNECT_SECONDS))
            except OSError:
                # The API is away: the client is told so by the connection's end.
                near.close()
                continue
            far.settimeout(None)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            both = _Pair(near, far)
            threading.Thread(target=both.carry, args=(near, far), name="door-in", daemon=True).start()
            threading.Thread(target=both.carry, args=(far, near), name="door-out", daemon=True).start()


class _Pair:
    """Two sockets that end together."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self._sockets = near, far
        self._lock = threading.Lock()
        self._directions = 2

    def carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                target.sendall(piece)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        with self._lock:
            self._directions -= 1
            last = not self._directions
        if last:
            for end in self._sockets:
                end.close()
