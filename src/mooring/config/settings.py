"""Every setting, its default and what it may be.

A setting's description says what it is and what is allowed: `mooring config check` shows it, and docs/operating/configuration.md is made of
them.  Secrets are marked; nothing of theirs is ever printed.
"""

import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from mooring.config.accounts import BootstrapSettings, IdentitySettings
from mooring.config.sections import Secret, Section, text_of
from mooring.model.nouns import NetworkKind
from mooring.policy.addresses import guest_network_fault
from mooring.policy.hostnames import domain_fault
from mooring.policy.managers import VLAN_TAGS, VXLAN_IDENTIFIERS

_DEFAULT_STATE = Path("/var/lib/mooring")
_DEFAULT_RUN = Path("/run/mooring")
_INTERFACE = re.compile(r"[^\s/:%]{1,15}")
_SERVER = re.compile(r"(?:nats|tls)://(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def _interface(name: str) -> str:
    if not _INTERFACE.fullmatch(name) or name in {".", ".."}:
        raise ValueError(
            "must be the name of a network interface: at most 15 characters without space, slash, colon or %"
        )
    return name


def _server(url: str) -> str:
    if not _SERVER.fullmatch(url):
        raise ValueError("must be as in nats://10.0.0.1:4222 or tls://bus.example.org:4222, without user and password")
    return url


def _host_name(name: str) -> str:
    if (fault := domain_fault(name)) is not None:
        raise ValueError(fault)
    return name


def _guest_network(cidr: IPv4Network) -> IPv4Network:
    if (fault := guest_network_fault(cidr)) is not None:
        raise ValueError(fault)
    return cidr


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Interface = Annotated[str, AfterValidator(_interface)]
Port = Annotated[int, Field(ge=0, le=65535)]
Listen = Annotated[str, Field(min_length=1, max_length=255)]


class ApiSettings(Section):
    """Where the API listens."""

    listen: Annotated[Listen, Field(description="the address to listen on")] = "127.0.0.1"
    port: Annotated[Port, Field(description="the TCP port, 0 to 65535; 0 takes any free one")] = 8774
    public_url: Annotated[
        str | None, Field(description="what clients are told to come to; without it, where they came to")
    ] = None
    neutron: Annotated[
        bool,
        Field(
            description="whether OpenStack clients find a Neutron here; without it, those that can ask nova for networks, groups and floating IPs"
        ),
    ] = True

    trusted_proxies: Annotated[
        tuple[IPv4Address | IPv6Address, ...],
        Field(
            description="the addresses of reverse proxies, whose X-Forwarded-For and -Proto say where a request comes from"
        ),
    ] = (IPv4Address("127.0.0.1"),)

    @field_validator("public_url")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"https?://[^\s/?#]+(?:/[^\s?#]*)?", url):
            raise ValueError("must be a URL as in https://cloud.example.org")
        return url


class DatabaseSettings(Section):
    """Where intent is kept.  For api and controller; an agent has no such section."""

    url: Annotated[
        str | None,
        Field(
            description="sqlite:////path/to/file, or postgresql://user@host/name; without it, mooring.db in state_directory",
            repr=False,
        ),
        Secret(),
    ] = None
    password: Annotated[
        str | None,
        Field(description="the user's, if it isn't in the url; or password_file, a file that holds it", repr=False),
        Secret(),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _read_file(cls, values: object) -> object:
        return text_of(values, "password")

    @field_validator("url")
    @classmethod
    def _known(cls, url: str | None) -> str | None:
        if url is None:
            return None
        scheme = url.partition(":")[0].partition("+")[0]
        if scheme not in {"sqlite", "postgresql"}:
            raise ValueError("must begin with sqlite:// or postgresql://")
        if scheme == "sqlite" and not re.match(r"sqlite(\+\w+)?:////", url):
            raise ValueError("must name a file by its absolute path, with four slashes: sqlite:////path/to/file")
        return url

    @property
    def full_url(self) -> str | None:
        """Return the URL with the password in it."""
        if self.url is None or self.password is None:
            return self.url
        parts = urlsplit(self.url)
        user, _, place = parts.netloc.rpartition("@")
        name = unquote(user.partition(":")[0])
        return urlunsplit(parts._replace(netloc=f"{quote(name, safe='')}:{quote(self.password, safe='')}@{place}"))


class TlsSettings(Section):
    """What proves the bus's servers to us, and us to them."""

    ca: Annotated[
        AbsolutePath | None, Field(description="the authorities to believe, in PEM; without it, the machine's own")
    ] = None
    certificate: Annotated[AbsolutePath | None, Field(description="our own certificate, in PEM")] = None
    key: Annotated[AbsolutePath | None, Field(description="our certificate's key, in PEM")] = None

    @model_validator(mode="after")
    def _both(self) -> "TlsSettings":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: give both or neither")
        return self


class BusSettings(Section):
    """The NATS servers between api, controllers and agents.  Not for `mooring up`, whose bus is its own memory."""

    servers: Annotated[
        tuple[Annotated[str, AfterValidator(_server)], ...],
        Field(min_length=1, description="one or more of nats://host:port or tls://host:port"),
    ]
    credentials: Annotated[
        AbsolutePath,
        Field(
            description="the file that `mooring bus config` wrote for this process or host, or the directory where they are"
        ),
    ]
    tls: Annotated[
        TlsSettings | None, Field(description="certificates; a section of its own, needed only with tls://")
    ] = None


class ControllerSettings(Section):
    """The controller."""

    status_listen: Annotated[Listen, Field(description="where /healthz, /readyz and /metrics listen")] = "127.0.0.1"
    status_port: Annotated[Port, Field(description="on which TCP port, 0 to 65535; 0 takes any free one")] = 8775


class AgentSettings(Section):
    """The agent as a process; what it tells others of its machine is in [host]."""

    status_listen: Annotated[Listen, Field(description="where /healthz, /readyz and /metrics listen")] = "127.0.0.1"
    status_port: Annotated[Port, Field(description="on which TCP port, 0 to 65535; 0 takes any free one")] = 8776


class HostSettings(Section):
    """This machine's part."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=255,
            description="the host's name, unique in the installation; without it, the machine's",
        ),
    ] = Field(default_factory=socket.gethostname)
    compute: Annotated[bool, Field(description="whether guests run here")] = True
    gateway: Annotated[bool, Field(description="whether routers run here")] = True
    namespace: Annotated[
        str | None, Field(description="a named network namespace that plays the host; without it, the process's own")
    ] = None
    cluster: Annotated[
        str, Field(min_length=1, max_length=255, description="hosts of one cluster share the operator's flat networks")
    ] = "default"
    endpoint: Annotated[
        IPv4Address | None, Field(description="this host's address for VXLAN tunnels; without it, there are none here")
    ] = None
    vlan_interface: Annotated[
        Interface | None,
        Field(description="the interface that carries tagged networks; without it, there are none here"),
    ] = None
    trunk_interface: Annotated[
        Interface | None,
        Field(description="the interface that carries an untagged network; without it, there is none here"),
    ] = None
    guests: Annotated[
        Literal["netns", "qemu"], Field(description="how guests run: netns (namespaces) or qemu (virtual machines)")
    ] = "netns"
    vm_images: Annotated[
        AbsolutePath | None,
        Field(
            description="where `python -m mooring.guests.image` built for VMs; without it, guest-image in state_directory"
        ),
    ] = None

    @model_validator(mode="after")
    def _of_use(self) -> "HostSettings":
        if not (self.compute or self.gateway):
            raise ValueError("a host that is neither compute nor gateway has nothing to do")
        return self


class QuotaSettings(Section):
    """What a new project may have."""

    instances: Annotated[int, Field(ge=-1, description="how many instances; -1 is no limit")] = 10
    floating_ips: Annotated[int, Field(ge=-1, description="how many floating IPs; -1 is no limit")] = 10
    security_groups: Annotated[
        int, Field(ge=-1, description="how many security groups beside the default one; -1 is no limit")
    ] = 10
    security_group_rules: Annotated[
        int, Field(ge=-1, description="how many rules in each security group; -1 is no limit")
    ] = 50
    security_group_members: Annotated[
        int, Field(ge=-1, description="how many NICs in each security group; -1 is no limit")
    ] = 1000
    nic_addresses: Annotated[
        int,
        Field(
            ge=-1,
            description="how many addresses of NICs beside the first of each: fixed and allowed ones; -1 is no limit",
        ),
    ] = 256
    port_forwardings: Annotated[
        int, Field(ge=-1, description="how many port forwardings, a range being one; -1 is no limit")
    ] = 100
    networks: Annotated[
        int, Field(ge=-1, description="how many networks that it makes itself, see own_kind; -1 is no limit")
    ] = 10
    subnets: Annotated[int, Field(ge=-1, description="how many subnets of these networks; -1 is no limit")] = 10
    routers: Annotated[int, Field(ge=-1, description="how many routers that it makes itself; -1 is no limit")] = 10
    subnet_pools: Annotated[
        int, Field(ge=-1, description="how many subnet pools that it makes itself; -1 is no limit")
    ] = 10
    nics: Annotated[
        int, Field(ge=-1, description="how many NICs that it makes itself, in an instance or not; -1 is no limit")
    ] = 100


class NetworkSettings(Section):
    """What networks are made of.  Every api and controller must have the same."""

    vlans: Annotated[
        tuple[int, int], Field(description="the first and the last VLAN tag that mooring may use, within 1 to 4094")
    ] = (VLAN_TAGS[0], VLAN_TAGS[-1])
    vxlans: Annotated[
        tuple[int, int],
        Field(description="the first and the last VXLAN identifier that mooring may use, within 1 to 16777215"),
    ] = (VXLAN_IDENTIFIERS[0], VXLAN_IDENTIFIERS[-1])
    first_kind: Annotated[
        Literal[NetworkKind.VLAN, NetworkKind.VXLAN] | None,
        Field(description="vlan or vxlan: a project that has no network gets one of this kind when it is first needed"),
    ] = None
    first_cidr: Annotated[
        IPv4Network,
        AfterValidator(_guest_network),
        Field(description="the addresses of that first network, the same in every project; /8 to /29"),
    ] = IPv4Network("10.0.0.0/24")
    auto_assign: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=255,
            description="a pool: new instances get a floating IP of it, which is given back at their end; without it, none",
        ),
    ] = None
    own_kind: Annotated[
        Literal[NetworkKind.VLAN, NetworkKind.VXLAN] | None,
        Field(
            description="vlan or vxlan: members of projects make networks of this kind for themselves; without it, they make none"
        ),
    ] = None
    filters: Annotated[
        bool, Field(description="whether hosts hold new guests to their own addresses and to their security groups")
    ] = True

    @model_validator(mode="after")
    def _in_order(self) -> "NetworkSettings":
        for name, (first, last), allowed in (
            ("vlans", self.vlans, VLAN_TAGS),
            ("vxlans", self.vxlans, VXLAN_IDENTIFIERS),
        ):
            if first > last or first not in allowed or last not in allowed:
                raise ValueError(f"{name} must be two numbers in order, within {allowed[0]} to {allowed[-1]}")
        return self


class DnsSettings(Section):
    """Where names of floating IPs are answered for; without the section, they have none."""

    listen: Annotated[Listen, Field(description="the address to listen on, by UDP and TCP")] = "127.0.0.1"
    port: Annotated[Port, Field(description="the port, 0 to 65535; 0 takes any free one")] = 53
    name: Annotated[
        str,
        AfterValidator(_host_name),
        Field(description="this name server's own name, which domains are told to be served by"),
    ] = "ns.invalid"
    inside: Annotated[
        tuple[IPv4Network, ...],
        Field(description="prefixes from which private domains may be asked for; from elsewhere they are refused"),
    ] = ()


class LogSettings(Section):
    """How the log, which goes to stderr, is written."""

    json_lines: Annotated[bool, Field(description="one JSON object a line, for programs")] = False


class Settings(Section):
    """Everything that an installation can set."""

    state_directory: Annotated[AbsolutePath, Field(description="what must outlive a reboot: an absolute path")] = (
        _DEFAULT_STATE
    )
    run_directory: Annotated[AbsolutePath, Field(description="what may vanish at a reboot: an absolute path")] = (
        _DEFAULT_RUN
    )
    api: ApiSettings = ApiSettings()
    controller: ControllerSettings = ControllerSettings()
    agent: AgentSettings = AgentSettings()
    database: DatabaseSettings = DatabaseSettings()
    bus: BusSettings | None = None
    host: HostSettings = Field(default_factory=HostSettings)
    identity: IdentitySettings = IdentitySettings()
    bootstrap: BootstrapSettings = BootstrapSettings()
    quotas: QuotaSettings = QuotaSettings()
    networks: NetworkSettings = NetworkSettings()
    dns: DnsSettings | None = None
    log: LogSettings = LogSettings()

    @property
    def database_url(self) -> str:
        """Return the SQLAlchemy URL of the database."""
        return self.database.full_url or f"sqlite:///{self.state_directory / 'mooring.db'}"

    @property
    def vm_images(self) -> Path:
        """Return where the system of VM guests is."""
        return self.host.vm_images or self.state_directory / "guest-image"
