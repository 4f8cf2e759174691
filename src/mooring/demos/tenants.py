"""Tenants of a story and their guests: each has python-novaclient, and every call is printed as it is made."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from mooring.demos import clients
from mooring.demos.frames import End
from mooring.demos.stage import Stage
from mooring.demos.story import Story
from mooring.model.ids import InstanceId, guest_namespace


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest, and who it is on its network."""

    id: InstanceId
    name: str
    end: End

    @property
    def place(self) -> str:
        """The namespace that it is."""
        return guest_namespace(self.id)

    @property
    def address(self) -> IPv4Address:
        """Its fixed IP."""
        return self.end.address


class Tenant:
    """A project, by its client; what that returns has no types."""

    def __init__(self, story: Story, stage: Stage, name: str) -> None:
        """Log in."""
        self.name = name
        self.nova = clients.nova(stage.environment(name))
        self._story = story

    def _call(self, text: str) -> None:
        self._story.call(f"{self.name}.{text}")

    def boot(self, name: str, group: str) -> InstanceId:
        """Ask for a guest in a security group."""
        self._call(f"servers.create({name!r}, 'web', 'm1.tiny', security_groups=[{group!r}])")
        image, flavor = self.nova.images.find(name="web"), self.nova.flavors.find(name="m1.tiny")
        return InstanceId(str(self.nova.servers.create(name, image, flavor, security_groups=[group]).id))

    def float_to(self, guest: Guest) -> str:
        """Allocate a floating IP, put it on a guest, and return it."""
        address = str(self.nova.floating_ips.create(pool="public").ip)
        self._call(f"servers.add_floating_ip({guest.name!r}, {address!r})")
        self.nova.servers.add_floating_ip(guest.id, address)
        return address

    def delete_all(self) -> None:
        """Delete the project's guests and floating IPs."""
        for server in self.nova.servers.list():
            self._call(f"servers.delete({server.name!r})")
            self.nova.servers.delete(server)
        for floating in self.nova.floating_ips.list():
            self._call(f"floating_ips.delete({floating.ip!r})")
            self.nova.floating_ips.delete(floating.id)

    def group(self, name: str, description: str) -> Any:
        """Make a security group."""
        self._call(f"security_groups.create({name!r}, {description!r})")
        return self.nova.security_groups.create(name, description)

    def delete_group(self, group: Any) -> None:
        """Delete a security group."""
        self._call(f"security_groups.delete({group.name!r})")
        self.nova.security_groups.delete(group)

    def allow(self, group: Any, protocol: str, port: int, whom: str) -> Any:
        """Add a rule that admits one port from a prefix."""
        self._call(f"security_group_rules.create({group.name!r}, {protocol!r}, {port}, {port}, {whom!r})")
        return self.nova.security_group_rules.create(group.id, protocol, port, port, whom)

    def allow_group(self, group: Any, protocol: str, port: int, whom: Any) -> Any:
        """Add a rule that admits one port from the members of a group."""
        what = f"{protocol!r}, {port}, {port}, group_id={whom.name!r}"
        self._call(f"security_group_rules.create({group.name!r}, {what})")
        return self.nova.security_group_rules.create(group.id, protocol, port, port, group_id=whom.id)

    def revoke(self, rule: Any) -> None:
        """Delete a rule."""
        known = f"{rule.ip_protocol} {rule.from_port}"
        self._call(f"security_group_rules.delete({rule.id!r})  # {known}")
        self.nova.security_group_rules.delete(rule.id)

    def join(self, guest: Guest, group: Any) -> None:
        """Put a running guest into a group."""
        self._call(f"servers.add_security_group({guest.name!r}, {group.name!r})")
        self.nova.servers.add_security_group(guest.id, group.name)

    def leave(self, guest: Guest, group: Any) -> None:
        """Take a running guest out of a group."""
        self._call(f"servers.remove_security_group({guest.name!r}, {group.name!r})")
        self.nova.servers.remove_security_group(guest.id, group.name)
