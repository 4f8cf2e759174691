"""Ways to make a host drift by hand, and to see whether it is right again."""

import subprocess

from mooring.backends.linux.backend import LinuxBackend
from mooring.compile.facts import diff
from mooring.demos.stage import HOST
from mooring.model.ids import NetworkId, NicId, bridge_name, inner_name, port_name, uplink_name
from tests.journeys.town import Town

# Each takes something of ours away, or adds something foreign to it, as root would with the usual tools.
DRIFTS = {
    "map element": "{router} nft delete element ip mooring fip_in {{ {public} }}",
    "owned element": '{router} nft delete element arp mooring owned {{ "{uplink}" . {public} }}',
    "pair element": "{router} nft delete element ip mooring pair {{ {public} . {fixed} }}",
    "whole map": "{router} nft flush map ip mooring fip_in",
    "foreign element": "{router} nft add element ip mooring fip_in {{ 198.51.100.77 : 10.0.0.77 }}",
    "wrong value": "{router} nft delete element ip mooring fip_in {{ {public} }} ; "
    "{router} nft add element ip mooring fip_in {{ {public} : 10.0.0.99 }}",
    "rule": "{router} nft flush chain ip mooring passing_in",
    "foreign rule": "{router} nft insert rule ip mooring passing drop",
    "table": "{router} nft delete table ip mooring",
    "route": "{router} ip route delete default",
    "foreign route": "{router} ip route add 192.0.2.0/24 dev lo",
    "address": "{router} ip address delete 10.0.0.1/24 dev {inner}",
    "uplink address": "{router} ip address flush dev {uplink}",
    "inner link": "{router} ip link delete {inner}",
    "uplink link": "{router} ip link delete {uplink}",
    "uplink down": "{router} ip link set {uplink} down",
    "bridge port": "{host} ip link set {port} nomaster",
    "bridge port down": "{host} ip link set {port} down",
    "guest's port": "{host} ip link delete {port}",
    "bridge": "{host} ip link delete {bridge}",
    "sysctl": "{router} sysctl -qw net.ipv4.ip_forward=0",
}


class Drifter:
    """Knows the kernel's names of one guest's things, and whether they are as they should be."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.guest = town.boot("drift")
        self.public = town.float_to(self.guest)
        nic = town.operations.instances.get(town.demo, self.guest).nics[0]
        network = next(known for known in town.operations.networks.listing(town.admin) if known.id == nic.network)
        (uplink,) = town.operations.pools.uplinks(town.admin)
        self.router = network.router
        self.names = {
            "router": f"nsenter --net=/run/netns/mooring-r-{network.router}",
            "host": f"nsenter --net=/run/netns/{HOST}",
            "public": str(self.public),
            "fixed": str(nic.fixed[0].address),
            "uplink": uplink_name(uplink.id),
            "inner": inner_name(NetworkId(network.id)),
            "bridge": bridge_name(NetworkId(network.id)),
            "port": port_name(NicId(nic.id)),
        }
        self.eye = LinuxBackend(town.stage.node.settings.run_directory, HOST)

    def right(self) -> bool:
        """Say whether the kernel is as intent says, read with other eyes than the agent's."""
        return not diff(self.eye.read(), self.town.operations.hosts.state(self.town.admin, "host-1"))

    def do(self, drift: str) -> None:
        for command in drift.split(" ; "):
            subprocess.run(["sh", "-c", command.format(**self.names)], check=True, timeout=10, capture_output=True)

    def works(self) -> bool:
        return self.town.answers(self.public, wait=0.3)
