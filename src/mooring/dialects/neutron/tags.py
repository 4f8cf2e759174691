"""Tags of resources: all of them, or one at a time; each kind of resource has the same six routes."""

from collections.abc import Iterator
from dataclasses import dataclass

from mooring.dialects.neutron.marks import expecting
from mooring.dialects.openstack.bodies import Body
from mooring.dialects.openstack.calls import Answer, Call
from mooring.dialects.openstack.routing import Route
from mooring.model.faults import NotFound
from mooring.model.marks import Tagged


class TagsBody(Body):
    """The body of PUT .../tags."""

    tags: list[str]


@dataclass(frozen=True, slots=True)
class _Tags:
    """The tags of one kind of resource, whose id stands for `param` in paths."""

    kind: Tagged
    param: str

    def all(self, call: Call) -> Answer:
        """GET .../tags."""
        return Answer(body={"tags": call.operations.tags.of(call.caller, self.kind, call.params[self.param])})

    def replace(self, call: Call) -> Answer:
        """PUT .../tags."""
        wanted = call.read(TagsBody).tags
        return Answer(
            body={"tags": call.operations.tags.set(expecting(call), self.kind, call.params[self.param], wanted)}
        )

    def clear(self, call: Call) -> Answer:
        """DELETE .../tags."""
        call.operations.tags.set(expecting(call), self.kind, call.params[self.param], [])
        return Answer(204)

    def has(self, call: Call) -> Answer:
        """GET .../tags/{tag}."""
        if call.params["tag"] not in call.operations.tags.of(call.caller, self.kind, call.params[self.param]):
            raise NotFound("Tag", call.params["tag"])
        return Answer(204)

    def add(self, call: Call) -> Answer:
        """PUT .../tags/{tag}."""
        call.operations.tags.add(expecting(call), self.kind, call.params[self.param], call.params["tag"])
        return Answer(201)

    def remove(self, call: Call) -> Answer:
        """DELETE .../tags/{tag}."""
        call.operations.tags.remove(expecting(call), self.kind, call.params[self.param], call.params["tag"])
        return Answer(204)


def routes(base: str, kind: Tagged, plural: str, param: str) -> Iterator[Route]:
    """Return the routes of a kind of resource's tags: `base` is where Neutron is, `plural` and `param` are how its paths call it."""
    tags = _Tags(kind, param)
    path, name = f"{base}/{plural}/{{{param}}}/tags", f"network-{param}-tag"
    return iter(
        (
            Route("GET", path, tags.all, f"{name}s"),
            Route("PUT", path, tags.replace, f"{name}s-set"),
            Route("DELETE", path, tags.clear, f"{name}s-clear"),
            Route("GET", f"{path}/{{tag}}", tags.has, name),
            Route("PUT", f"{path}/{{tag}}", tags.add, f"{name}-add"),
            Route("DELETE", f"{path}/{{tag}}", tags.remove, f"{name}-remove"),
        )
    )
