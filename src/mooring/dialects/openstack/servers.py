"""Nova's servers: our instances."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from mooring.dialects.http import Refused, shown
from mooring.dialects.openstack.bodies import Body, Ipv4, Name, NotOffered, Reference
from mooring.dialects.openstack.calls import Answer, Call
from mooring.dialects.openstack.catalogue import next_links, page
from mooring.dialects.openstack.server_views import (
    moment,
    plain_addresses,
    server_created,
    server_name,
    server_view,
    status_of,
)
from mooring.model.ids import InstanceId, NicId
from mooring.model.nouns import Instance
from mooring.operations import NewInstance, NewNic

_MAX_DIGITS = 9
_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})


def _count(value: object) -> object:
    # Old clients send counts as texts.
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS:
        return int(value)
    return value


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Count = Annotated[int, BeforeValidator(_count)]


class WantedNetwork(Body):
    """A network to be on, by id or name, and the address there if the client chose one; or a port that the project made, which is on one."""

    uuid: Name | None = None
    fixed_ip: Ipv4 | None = None
    port: Name | None = None

    @model_validator(mode="after")
    def _names_one(self) -> "WantedNetwork":
        if self.uuid is None and self.port is None:
            raise ValueError("must have a uuid or a port")
        return self

    def nic(self) -> NewNic:
        """Return what is asked for."""
        return NewNic(self.uuid or "", self.fixed_ip, NicId(self.port) if self.port is not None else None)


class WantedGroup(Body):
    """A security group that the server is in: its name, or its id, which new clients send there."""

    name: Name


class LocalDisk(Body):
    """The root disk, spelled out as new clients do: a copy of the image on the host."""

    boot_index: Literal[0, "0"]
    uuid: Reference
    source_type: Literal["image"]
    destination_type: Literal["local"] = "local"
    delete_on_termination: Literal[True] = True


class WantedServer(Body):
    """The inside of POST /servers.  What mooring has no notion of may be there, but empty."""

    name: str
    imageRef: Reference | Literal[""] = ""  # noqa: N815 - nova's names
    flavorRef: Annotated[Reference, BeforeValidator(_as_text)]  # noqa: N815
    networks: list[WantedNetwork] | None = None
    min_count: Count | None = None
    max_count: Count | None = None
    security_groups: list[WantedGroup] | None = None
    block_device_mapping_v2: Annotated[list[LocalDisk], Field(max_length=1)] | None = None
    availability_zone: Literal["nova", ""] | None = None
    disk_config: Annotated[Literal["AUTO", "MANUAL"], Field(alias="OS-DCF:diskConfig")] = "MANUAL"
    metadata: NotOffered = None
    personality: NotOffered = None
    user_data: NotOffered = None
    key_name: NotOffered = None
    config_drive: NotOffered = None
    adminPass: NotOffered = None  # noqa: N815
    accessIPv4: NotOffered = None  # noqa: N815
    accessIPv6: NotOffered = None  # noqa: N815
    block_device_mapping: NotOffered = None
    return_reservation_id: NotOffered = None
    description: NotOffered = None
    tags: NotOffered = None


class CreateServer(Body):
    """The body of POST /servers."""

    server: WantedServer
    hints: Annotated[NotOffered, Field(alias="os:scheduler_hints")] = None
    old_hints: Annotated[NotOffered, Field(alias="OS-SCH-HNT:scheduler_hints")] = None


class ChangedServer(Body):
    """The inside of PUT /servers/{server}.  What mooring has no notion of may be there, but empty."""

    name: str
    accessIPv4: NotOffered = None  # noqa: N815 - nova's names
    accessIPv6: NotOffered = None  # noqa: N815
    description: NotOffered = None
    disk: Annotated[Literal["MANUAL", "AUTO"] | None, Field(alias="OS-DCF:diskConfig")] = None


class UpdateServer(Body):
    """The body of PUT /servers/{server}."""

    server: ChangedServer


# --------------------------------------------------------------------------------------------------------------- handlers


def create_server(call: Call) -> Answer:
    """POST /servers."""
    wanted = call.read(CreateServer).server
    new = NewInstance(
        name=wanted.name,
        image=_image(wanted),
        flavor=wanted.flavorRef,
        # Absent, null and [] all mean the project's default network, up to 2.36.
        nics=tuple(network.nic() for network in wanted.networks or ()),
        groups=tuple(group.name for group in wanted.security_groups) if wanted.security_groups else None,
        count=_how_many(wanted),
    )
    instance = call.operations.instances.create(call.caller, new, call.idempotency_key)
    return Answer(
        202, {"server": server_created(call, instance)}, {"Location": call.url("compute/v2.1/servers", instance.id)}
    )


def _how_many(wanted: WantedServer) -> int:
    least = 1 if wanted.min_count is None else wanted.min_count
    most = least if wanted.max_count is None else wanted.max_count
    if least < 1:
        raise Refused(400, "Invalid input for field server.min_count: must be at least 1.")
    if least > most:
        raise Refused(400, "Invalid input for field server.min_count: must be no more than max_count.")
    # All of them or none: who asks for 2 to 5 has a quota that says which.
    return most


def _image(wanted: WantedServer) -> str:
    disks = {disk.uuid for disk in wanted.block_device_mapping_v2 or ()}
    named = disks | ({wanted.imageRef} - {""})
    if not named:
        raise Refused(400, "Invalid input for field server.imageRef: it is required.")
    if len(named) > 1:
        raise Refused(400, "Invalid input for field server.block_device_mapping_v2[0].uuid: must be that of imageRef.")
    return named.pop()


def list_servers(call: Call) -> Answer:
    """GET /servers."""
    return _listing(call, server_name)


def list_servers_detail(call: Call) -> Answer:
    """GET /servers/detail."""
    return _listing(call, server_view)


def _listing(call: Call, view: Callable[[Call, Instance], dict[str, object]]) -> Answer:
    every = call.query.get("all_tenants", call.query.get("all_projects", "")).lower() in _TRUE
    instances = call.operations.instances.listing(call.caller, every_project=every)
    newest_first = sorted(instances, key=lambda each: (each.created, each.id), reverse=True)
    cut, following = page(call, _sorted(call, _filtered(call, newest_first)))
    body: dict[str, object] = {"servers": [view(call, instance) for instance in cut]}
    if following is not None:
        body["servers_links"] = next_links(call, following)
    return Answer(body=body)


def _filtered(call: Call, instances: Sequence[Instance]) -> Sequence[Instance]:
    query = call.query
    tests: dict[str, Callable[[Instance, str], bool]] = {
        "name": lambda instance, text: _matches(text, instance.name),
        "status": lambda instance, text: status_of(instance).status == text.upper(),
        "vm_state": lambda instance, text: status_of(instance).vm_state == text.lower(),
        "image": lambda instance, text: instance.image == text,
        "flavor": lambda instance, text: instance.flavor == text,
        "uuid": lambda instance, text: instance.id == text,
        "tenant_id": lambda instance, text: instance.project == text,
        "project_id": lambda instance, text: instance.project == text,
        "user_id": lambda instance, text: instance.user == text,
        "changes-since": lambda instance, text: instance.updated >= _moment(text),
        # None that is gone is kept.
        "deleted": lambda _instance, text: text.lower() not in _TRUE,
        "ip": lambda instance, text: any(
            _matches(text, str(fixed.address)) for nic in instance.nics for fixed in nic.fixed
        ),
    }
    for name in tests.keys() & query.keys():
        instances = [instance for instance in instances if tests[name](instance, query[name])]
    return instances


_SORT_KEYS: Mapping[str, Callable[[Instance], str]] = {
    "created_at": lambda instance: moment(instance.created),
    "updated_at": lambda instance: moment(instance.updated),
    "display_name": lambda instance: instance.name,
    "name": lambda instance: instance.name,
    "uuid": lambda instance: instance.id,
    "vm_state": lambda instance: status_of(instance).vm_state,
    "project_id": lambda instance: instance.project,
    "user_id": lambda instance: instance.user,
}
_MOST_SORT_KEYS = 4


def _sorted(call: Call, instances: Sequence[Instance]) -> Sequence[Instance]:
    """Sort by `sort_key`s, the first counting most, each in its `sort_dir`, which is desc unless it is given."""
    keys = [text for name, text in call.parameters if name == "sort_key"]
    directions = [text for name, text in call.parameters if name == "sort_dir"]
    if len(keys) > _MOST_SORT_KEYS or len(directions) > len(keys):
        raise Refused(400, f"Invalid sort: at most {_MOST_SORT_KEYS} sort_key, and no more sort_dir than these.")
    directions += ["desc"] * (len(keys) - len(directions))
    for key, direction in reversed(list(zip(keys, directions, strict=True))):
        if key not in _SORT_KEYS:
            raise Refused(400, f"Invalid sort_key {shown(key)}: must be one of {', '.join(_SORT_KEYS)}.")
        if direction not in {"asc", "desc"}:
            raise Refused(400, f"Invalid sort_dir {shown(direction)}: must be asc or desc.")
        instances = sorted(instances, key=_SORT_KEYS[key], reverse=direction == "desc")
    return instances


def _moment(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(
            400, f"Invalid changes-since {shown(text)}: must be a moment like 2026-11-20T12:00:00Z."
        ) from error
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def _matches(pattern: str, text: str) -> bool:
    """Match as far as clients use nova's regular expressions: somewhere, or with ^ and $ at the start and end."""
    # A stranger's regular expression can take for ever, so the rest of the pattern is plain text.
    start, end = pattern.startswith("^"), pattern.endswith("$")
    plain = pattern.removeprefix("^").removesuffix("$")
    if start and end:
        return text == plain
    if start:
        return text.startswith(plain)
    return text.endswith(plain) if end else plain in text


def show_server(call: Call) -> Answer:
    """GET /servers/{server}."""
    return Answer(body={"server": server_view(call, _server(call))})


def update_server(call: Call) -> Answer:
    """PUT /servers/{server}: call it otherwise."""
    name = call.read(UpdateServer).server.name
    renamed = call.operations.instances.rename(call.caller, InstanceId(call.params["server"]), name)
    return Answer(body={"server": server_view(call, renamed)})


def delete_server(call: Call) -> Answer:
    """DELETE /servers/{server}."""
    call.operations.instances.delete(call.caller, InstanceId(call.params["server"]))
    return Answer(204)


def list_addresses(call: Call) -> Answer:
    """GET /servers/{server}/ips."""
    return Answer(body={"addresses": plain_addresses(_server(call))})


def show_addresses(call: Call) -> Answer:
    """GET /servers/{server}/ips/{label}."""
    label = call.params["label"]
    addresses = plain_addresses(_server(call))
    if label not in addresses:
        raise Refused(404, f"Instance is not a member of specified network: {shown(label)}.")
    return Answer(body={label: addresses[label]})


def _server(call: Call) -> Instance:
    return call.operations.instances.get(call.caller, InstanceId(call.params["server"]))
