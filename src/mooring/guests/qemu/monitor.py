"""QEMU's monitor: the few commands that a driver needs, over a socket that QEMU was given at its start."""

import array
import json
import re
import socket
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from mooring.model.subjects import GuestFailure

_SECONDS = 15
_TAP = re.compile(r"tap-(mp[0-9a-f]{11}): index=\d+,type=tap,fd=(\d+)")


class Monitor:
    """A conversation with one QEMU; it has one at a time, so be brief.

    Raises:
        GuestFailure: from every method: QEMU refused, with its reason, or did not answer within 15 seconds.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lines = connection.makefile("r", encoding="utf-8")
        self._receive()  # its greeting
        self._ask("qmp_capabilities")

    def status(self) -> str:
        """Return `running`, or why it does not."""
        return str(self._ask("query-status")["status"])

    def devices(self) -> frozenset[str]:
        """Return the names of the devices that it was given one."""
        found: list[dict[str, Any]] = self._ask("qom-list", {"path": "/machine/peripheral"})
        return frozenset(str(each["name"]) for each in found if str(each["type"]).startswith("child<"))

    def taps(self) -> Mapping[str, int]:
        """Return the names of the ports that it was given, and the number of the file of each."""
        # No command for programs tells of network back-ends; the text for people has had this form since 2010.
        said = str(self._ask("human-monitor-command", {"command-line": "info network"}))
        return {name: int(number) for name, number in _TAP.findall(said)}

    def plug(self, name: str, device: Mapping[str, str | int], file: int) -> None:
        """Plug in a NIC behind an open tap; `device` is what device_add takes."""
        self._ask("getfd", {"fdname": name}, file)
        self._ask("netdev_add", {"type": "tap", "id": f"tap-{name}", "fd": name})
        self._ask("device_add", device)

    def unplug(self, name: str) -> None:
        """Close a tap at once, and take the NIC out when the guest lets it go; nothing happens if there is neither."""
        if name in self.devices():
            self._ask("device_del", {"id": name})
        if name in self.taps():
            self._ask("netdev_del", {"id": f"tap-{name}"})
        # Of one who died before he could say what it is for: it would keep the tap busy.
        with suppress(GuestFailure):
            self._ask("closefd", {"fdname": name})

    def press_power_button(self) -> None:
        """Ask the guest to power off."""
        self._ask("system_powerdown")

    def _ask(self, command: str, arguments: Mapping[str, str | int] | None = None, file: int | None = None) -> Any:
        message = json.dumps({"execute": command, "arguments": dict(arguments or {})}).encode()
        try:
            if file is None:
                self._socket.sendall(message)
            else:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))]
                self._socket.sendmsg([message], rights)
        except OSError as error:
            raise GuestFailure(f"QEMU does not listen: {error}.") from error
        while True:
            answer = self._receive()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise GuestFailure(f"QEMU refuses {command}: {answer['error'].get('desc')}.")
            # Else it is an event, and nobody waits for one.

    def _receive(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except TimeoutError as error:
            raise GuestFailure(f"QEMU did not answer within {_SECONDS} s.") from error
        except OSError as error:
            raise GuestFailure(f"QEMU does not talk: {error}.") from error
        if not line:
            raise GuestFailure("QEMU has ended.")
        return cast("dict[str, Any]", json.loads(line))

    def close(self) -> None:
        """Let others talk to it."""
        self._lines.close()
        self._socket.close()


@contextmanager
def talk(directory: int) -> Generator[Monitor]:
    """Open the monitor whose socket lies in an open directory, and close it again.

    Raises:
        GuestFailure: nobody is there, or somebody else is talking to it for more than 15 seconds.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_SECONDS)
    try:
        try:
            connection.connect(address(directory))
        except OSError as error:
            raise GuestFailure(f"QEMU's monitor can't be reached: {error}.") from error
        with closing(Monitor(connection)) as monitor:
            yield monitor
    finally:
        connection.close()


def listen(directory: int) -> socket.socket:
    """Return a socket for QEMU to listen on, in an open directory; one that was left there is no obstacle."""
    path = Path(address(directory))
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
        path.chmod(0o600)
        made.listen(1)
    except BaseException:
        made.close()
        raise
    return made


def address(directory: int) -> str:
    """Return the socket's path by way of an open directory: a socket's path has at most 107 bytes, which directories may take."""
    return f"/proc/self/fd/{directory}/monitor"
