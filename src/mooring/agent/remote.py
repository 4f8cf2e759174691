"""The controller, as an agent reaches it over the bus."""

from collections.abc import Mapping, Sequence
from typing import Any

from mooring.agent.interfaces import OlderController
from mooring.bus import Calls, DeadlineExceeded, NoResponder
from mooring.bus.messages import (
    Registration,
    ask,
    decode_reply,
    dump_away,
    dump_registration,
    dump_reports,
)
from mooring.bus.pages import all_placements, whole_digest
from mooring.bus.topics import controller_topic
from mooring.model.faults import Unavailable
from mooring.model.ids import HostId, InstanceId
from mooring.model.subjects import Digest, Placement, Report, SubjectKey

_DEADLINE = 10.0


class RemoteController:
    """Calls on behalf of one host; implements the agent's Controller."""

    def __init__(self, bus: Calls, host: HostId) -> None:
        """Keep the way and the name."""
        self._bus = bus
        self._host = host

    def _call(self, method: str, argument: Any = None) -> Any:
        try:
            return self._ask(method, argument)
        except NoResponder as error:
            raise Unavailable("No controller answers.") from error

    def _ask(self, method: str, argument: Any) -> Any:
        try:
            reply = self._bus.call(controller_topic(self._host, method), ask(argument), _DEADLINE)
        except DeadlineExceeded as error:
            raise Unavailable(f"The controller did not answer within {_DEADLINE:g} seconds.") from error
        return decode_reply(reply)

    def register(self, registration: Registration) -> None:
        """Say who this host is and how it is connected.

        Raises:
            Remote: of kind Conflict, if another machine has the name and is alive.
        """
        self._call("register", dump_registration(registration))

    def pull(self, keys: Sequence[SubjectKey] | None) -> Sequence[Placement]:
        """Return the newest placements of these subjects, or of all that this host has not confirmed."""
        return all_placements(keys, lambda wish: self._call("pull", wish))

    def digest(self) -> Digest:
        """Return the newest generation of every subject of this host."""
        return whole_digest(lambda wish: self._call("digest", wish))

    def report(self, reports: Sequence[Report]) -> None:
        """Tell what holds and what does not."""
        self._call("report", dump_reports(reports))

    def uplinks(self, away: Mapping[str, str]) -> None:
        """Tell by which uplink devices nothing leaves, each with the reason; by all others something does.

        Raises:
            OlderController: it answers other calls and not this one.
        """
        try:
            self._ask("uplinks", dump_away(away))
        except NoResponder as error:
            self.pull(())
            raise OlderController("The controller does not know the call uplinks.") from error

    def heartbeat(self, machine: str = "") -> None:
        """Say that this host is alive, and which machine it is.

        Raises:
            Remote: of kind NotFound, if it has to register; of kind Conflict, if another machine has its name by now.
        """
        self._call("heartbeat", machine)

    def set_up_network(self, instance: InstanceId) -> None:
        """Ask for the networks of an instance on this host."""
        self._call("set_up_network", instance)

    def allocate_fixed_ips(self, instance: InstanceId) -> None:
        """Ask for the addresses of an instance's NICs."""
        self._call("allocate_fixed_ips", instance)
