"""Nova's list of extensions: which of them are served here, under the names and dates that clients know them by."""

from dataclasses import dataclass

from mooring.dialects.http import Refused, shown
from mooring.dialects.openstack.calls import Answer, Call

_NAMESPACES = "http://docs.openstack.org/compute/ext"


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension of nova's first API, as clients look for it: by alias."""

    alias: str
    name: str
    namespace: str
    updated: str
    description: str


EXTENSIONS: tuple[Extension, ...] = (
    Extension("NMN", "Multinic", "multinic/api/v1.1", "2011-06-09", "Fixed IPs beside the first."),
    Extension("OS-DCF", "DiskConfig", "disk_config/api/v1.1", "2011-09-27", "Who partitions a disk; always MANUAL."),
    Extension(
        "OS-EXT-AZ",
        "ExtendedAvailabilityZone",
        "extended_availability_zone/api/v2",
        "2013-01-30",
        "The zone of a server.",
    ),
    Extension("OS-EXT-IMG-SIZE", "ImageSize", "image_size/api/v1.1", "2013-02-19", "The size of an image."),
    Extension("OS-EXT-IPS", "ExtendedIps", "extended_ips/api/v1.1", "2013-01-06", "Whether an address is floating."),
    Extension("OS-EXT-IPS-MAC", "ExtendedIpsMac", "extended_ips_mac/api/v1.1", "2013-03-07", "Whose address it is."),
    Extension("OS-EXT-STS", "ExtendedStatus", "extended_status/api/v1.1", "2011-11-03", "What a server is doing."),
    Extension("OS-FLV-DISABLED", "FlavorDisabled", "flavor_disabled/api/v1.1", "2012-08-29", "Always False."),
    Extension(
        "OS-FLV-EXT-DATA", "FlavorExtraData", "flavor_extra_data/api/v1.1", "2011-09-14", "Ephemeral disks: none."
    ),
    Extension("OS-SRV-USG", "ServerUsage", "server_usage/api/v1.1", "2013-04-29", "When a server was launched."),
    Extension("os-availability-zone", "AvailabilityZone", "availabilityzone/api/v1.1", "2012-12-21", "There is one."),
    Extension(
        "os-extended-floating-ips",
        "ExtendedFloatingIps",
        "extended_floating_ips/api/v2",
        "2013-04-19",
        "fixed_address of addFloatingIp.",
    ),
    Extension("os-extended-volumes", "ExtendedVolumes", "extended_volumes/api/v1.1", "2013-06-07", "Always none."),
    Extension("os-flavor-extra-specs", "FlavorExtraSpecs", "flavor_extra_specs/api/v1.1", "2011-06-23", "Always none."),
    Extension("os-floating-ip-dns", "FloatingIpDns", "floating_ip_dns/api/v1.1", "2011-12-23", "Names of addresses."),
    Extension(
        "os-floating-ip-pools",
        "FloatingIpPools",
        "floating_ip_pools/api/v1.1",
        "2012-01-04",
        "Where addresses are from.",
    ),
    Extension(
        "os-floating-ips", "FloatingIps", "floating_ips/api/v1.1", "2011-06-16", "Public addresses that can be moved."
    ),
    Extension("os-fixed-ips", "FixedIPs", "fixed_ips/api/v2", "2012-10-18", "Who has a fixed address."),
    Extension(
        "os-floating-ips-bulk",
        "FloatingIpsBulk",
        "floating_ips_bulk/api/v2",
        "2012-10-29",
        "Which addresses pools have.",
    ),
    Extension("os-hosts", "Hosts", "hosts/api/v1.1", "2011-06-29", "The hosts, for administrators."),
    Extension("os-networks", "Networks", "os-networks/api/v1.1", "2011-12-23", "The networks that a project may use."),
    Extension("os-quota-sets", "Quotas", "quotas-sets/api/v1.1", "2011-08-08", "What projects may have."),
    Extension(
        "os-security-groups", "SecurityGroups", "securitygroups/api/v1.1", "2011-07-21", "What servers may receive."
    ),
    Extension("os-services", "Services", "services/api/v2", "2012-10-28", "Which hosts are alive."),
    Extension(
        "os-tenant-networks", "OSTenantNetworks", "os-tenant-networks/api/v2", "2012-03-07", "The same networks."
    ),
    Extension(
        "os-used-limits", "UsedLimits", "used_limits/api/v1.1", "2012-07-13", "What a project has, in its limits."
    ),
    Extension(
        "os-virtual-interfaces",
        "VirtualInterfaces",
        "virtual_interfaces/api/v1.1",
        "2011-08-17",
        "Servers' network cards.",
    ),
)


def list_extensions(_call: Call) -> Answer:
    """GET /extensions."""
    return Answer(body={"extensions": [_view(each) for each in EXTENSIONS]})


def show_extension(call: Call) -> Answer:
    """GET /extensions/{alias}."""
    alias = call.params["alias"]
    for each in EXTENSIONS:
        if each.alias == alias:
            return Answer(body={"extension": _view(each)})
    raise Refused(404, f"There is no extension {shown(alias)}.")


def _view(extension: Extension) -> dict[str, object]:
    return {
        "alias": extension.alias,
        "name": extension.name,
        "namespace": f"{_NAMESPACES}/{extension.namespace}",
        "updated": f"{extension.updated}T00:00:00+00:00",
        "description": extension.description,
        "links": [],
    }
