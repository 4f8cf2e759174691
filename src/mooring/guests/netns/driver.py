"""The netns driver: runs each guest as a namespace `mooring-g-<instance>` with processes of its own."""

import os
import shutil
from pathlib import Path
from typing import ClassVar

from mooring.guests.locks import work_on
from mooring.guests.netns import inits, namespaces, ports
from mooring.guests.netns.images import IMAGES, services_of
from mooring.model.ids import InstanceId, guest_namespace
from mooring.model.subjects import GuestFailure, InstanceIntent
from mooring.model.traits import PortKind


class NetnsGuests:
    """The guests of one host.

    Guests live on when their agent ends; another one with the same `run_dir` finds them again.  All that counts is what the kernel
    says: `run_dir` holds the guests' logs, a hint where to look for their processes, and their locks.
    """

    ports: ClassVar[PortKind] = PortKind.VETH

    def __init__(self, host: str | None, run_dir: Path) -> None:
        """Run guests whose ports are in the namespace named `host`, or in this process's own; keep their logs in `run_dir`.

        `run_dir` tells the guests of one agent from those of another on the same machine.
        """
        self._host = host
        self._run_dir = Path(os.path.realpath(run_dir))

    def start(self, guest: InstanceIntent) -> None:
        """Run a guest whose ports are in place.

        Raises:
            GuestFailure: the image is unknown, a port is not in place, another agent runs the guest, or it does not come up.  What
                was done stays: a further `start` goes on from there, `stop` removes it.
        """
        services = services_of(guest.image)
        if services is None:
            known = ", ".join(image.name for image in IMAGES)
            raise GuestFailure(f"there is no image {guest.image} for namespace guests, only {known}.")
        with work_on(self._run_dir, guest.id) as lock:
            init = self._find(guest.id)
            name = guest_namespace(guest.id)
            if init is not None and init.boots != guest.boots:
                self._end(guest.id)
                init = None
            if init is None:
                namespaces.ensure(name)
            elif init.network != namespaces.identity(name):
                namespaces.name_again(name, init.pid)
            changed = ports.plug(self._host, name, guest.nics)
            if init is None:
                told = {**_told(guest), "GUEST_SERVICES": " ".join(services), inits.BOOTS: str(guest.boots)}
                inits.spawn(guest.id, self._run_dir, lock, told)
            elif changed:
                inits.tell(init)

    def stop(self, guest: InstanceId) -> None:
        """Kill a guest, put its ports back as they waited for it, and remove its namespace; nothing happens if there is none.

        Raises:
            GuestFailure: another agent runs the guest, or it does not die.
        """
        with work_on(self._run_dir, guest):
            self._end(guest)
            shutil.rmtree(self._run_dir / guest)

    def list(self) -> tuple[InstanceId, ...]:
        """Return the guests that run, whoever started them as an agent with our `run_dir`, sorted."""
        return tuple(sorted({init.guest for init in inits.all_inits() if init.run_dir == self._run_dir}))

    def _end(self, guest: InstanceId) -> None:
        name = guest_namespace(guest)
        while init := self._find(guest):
            if init.network != namespaces.identity(name):
                namespaces.name_again(name, init.pid)
            inits.kill(init)
        if namespaces.identity(name) is not None:
            ports.unplug(self._host, name)
        namespaces.remove(name)

    def _find(self, guest: InstanceId) -> inits.Init | None:
        init = inits.find(guest, self._run_dir)
        if init is not None and init.run_dir != self._run_dir:
            raise GuestFailure(f"guest {guest} is run by another agent, the one of {init.run_dir}.")
        return init


def _told(guest: InstanceIntent) -> dict[str, str]:
    """Return what a guest is told of itself at its start."""
    # Printable: it ends up on the terminals of those who ask the web service.
    printable = "".join(letter for letter in guest.name if letter.isprintable())
    injected = {nic.mac: nic.injected for nic in guest.nics if nic.injected}
    texts = (
        f"{mac}={','.join((str(told.address), str(told.gateway or '-'), *(str(server) for server in told.dns)))}"
        for mac, told in injected.items()
    )
    names = [told.hostname for told in injected.values() if told.hostname]
    return {"GUEST_NAME": printable, "GUEST_HOSTNAME": "".join(names[:1]), "GUEST_INJECTED": " ".join(texts)}
