"""A witness asks the API for things while processes die, remembers what it was promised, and looks afterwards whether it is so."""

import random
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

import httpx2

from mooring.lab.client import Client, Refused, fixed
from tests.journeys.field import Field
from tests.journeys.town import eventually

_PAUSE = 0.02
_AFTER_A_FAILURE = 0.1
_LAUNCH_EVERY = 1.0
_GUESTS = 12


class Witness:
    """Associates and disassociates floating IPs as fast as the API lets it, starts and deletes guests.

    A call that was not answered, or answered with 5xx, promises nothing: then both what was and what was asked for are possible.
    """

    def __init__(self, field: Field, addresses: int = 4, seed: int = 1) -> None:
        self.field = field
        self.seed = seed
        self.chance = random.Random(seed)
        self.client: Client = field.lab.client("red")
        self.launcher: Client = field.lab.client("red")
        self.guests = {guest["id"]: guest["name"] for guest in field.guests}
        self.possible: dict[str, set[str | None]] = {}
        self.outside: dict[str, Sequence[str]] = {}
        for number in range(addresses):
            provider = field.lab.plan.providers[number % len(field.lab.plan.providers)]
            address = str(self.client.post("floating-ips", {"pool": f"public-{provider.letter}"})["address"])
            self.possible[address] = {None}
            # From the provider itself: replies to what is beyond a second one do not leave by it (yet).
            self.outside[address] = field.lab.at(provider.name)
        self.acknowledged = self.unanswered = 0
        self.surprises: list[str] = []
        self.launched: set[str] = set()
        self.doubtful: set[str] = set()
        self.deleted: set[str] = set()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._associate, self._launch)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    # ------------------------------------------------------------------------------------------------- floating IPs

    def _associate(self) -> None:
        while not self._stop.wait(_PAUSE):
            address = self.chance.choice(sorted(self.possible))
            wanted = self.chance.choice([None, *sorted(self.guests)])
            before = self.possible[address]
            try:
                self._ask(address, wanted)
            except Refused as refused:
                if refused.status == 404 and wanted is None:
                    # Not associated: which is what was wanted.
                    self.possible[address] = {None}
                    continue
                if refused.status == 409 and "already has" in str(refused):
                    # A promise too: nothing has changed.
                    continue
                self.possible[address] = before | {wanted}
                if refused.status < 500:
                    self.surprises.append(str(refused))
                self.unanswered += 1
                self._stop.wait(_AFTER_A_FAILURE)
            except httpx2.TransportError:
                self.possible[address] = before | {wanted}
                self.unanswered += 1
                self._stop.wait(_AFTER_A_FAILURE)
            else:
                self.possible[address] = {wanted}
                self.acknowledged += 1

    def _ask(self, address: str, wanted: str | None) -> None:
        if wanted is None:
            self.client.delete(f"floating-ips/{address}/association")
        else:
            self.client.put(f"floating-ips/{address}/association", {"instance": wanted})

    # ------------------------------------------------------------------------------------------------------- guests

    def _launch(self) -> None:
        """Start a guest a second, and delete every second one of them while it may still be on its way."""
        wish = {"image": "web", "flavor": "m1.tiny", "networks": [{"network": "red-net"}]}
        chance = random.Random(-self.seed)
        for number in range(_GUESTS):
            with suppress(httpx2.TransportError):
                try:
                    guest = self.launcher.post("instances", {"name": f"witness-{number}", **wish})["id"]
                    self.launched.add(guest)
                    if self._stop.wait(chance.uniform(0, _LAUNCH_EVERY)):
                        return
                    if number % 2:
                        self.doubtful.add(guest)
                        self.launcher.delete(f"instances/{guest}")
                        self.deleted.add(guest)
                except Refused as refused:
                    if refused.status < 500:
                        self.surprises.append(str(refused))
            if self._stop.wait(chance.uniform(0, _LAUNCH_EVERY)):
                return

    # ----------------------------------------------------------------------------------------------------- afterwards

    def check(self) -> None:
        """Everything that was promised is so, in the API's words and on the wire."""
        assert not self.surprises, self.surprises[:5]
        shown = {str(each["address"]): each["association"] for each in self.client.all("floating-ips")}
        for address, possible in self.possible.items():
            association = shown[address]
            now = association["instance"] if association else None
            assert now in possible, f"{address} is at {now}, and was promised to be at one of {possible}"
            if now is None:
                assert not self.field.lab.answers(self.outside[address], address, wait=0.3), address
            else:
                # Its own limit of time makes some builds of busybox wget crash.
                fetch = ("timeout", "5", "busybox", "wget", "-Y", "off", "-q", "-O", "-", f"http://{address}/")
                page = self.field.lab.run([*self.outside[address], *fetch])
                assert self.guests[now] in page, (address, page)
        self._check_guests()

    def _check_guests(self) -> None:
        eventually(lambda: not self.deleted & self._known(), timeout=30)
        known = self._known()
        # One whose deletion was asked for, and not answered, may be there or not.
        assert known >= self.launched - self.doubtful
        addresses: list[str] = []
        # One whose promise was lost on its way is like any other, once it is there.
        for guest in known:
            settled = self.client.settled(guest)
            self.field.await_address(settled)
            addresses.append(fixed(settled))
        addresses += [fixed(guest) for guest in self.field.guests]
        assert len(set(addresses)) == len(addresses), addresses

    def _known(self) -> set[str]:
        return {guest["id"] for guest in self.client.all("instances") if guest["name"].startswith("witness-")}

    def release(self) -> None:
        """Give everything back."""
        for guest in self._known():
            self.client.gone(guest)
        for address in self.possible:
            with suppress(Refused):
                self.client.delete(f"floating-ips/{address}")
        for client in (self.client, self.launcher):
            client.close()
