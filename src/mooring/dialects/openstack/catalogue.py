"""What can be booted: flavors and images as nova shows them, images as Glance shows them."""

from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import urlencode

from mooring.dialects.http import Refused, shown
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.faults import NotFound
from mooring.model.nouns import Flavor, Image, Instance

T = TypeVar("T", Flavor, Image, Instance)

# Images are part of the installation: nobody recorded when they were made, and clients insist on a date.
_MADE = "2026-01-01T00:00:00Z"
_MOST = 1000
_MIB = 1024 * 1024


def number(text: str, name: str) -> int:
    """Read a number from a query.

    Raises:
        Refused: it is none, or below zero.
    """
    if not text.isascii() or not text.isdecimal() or len(text) > 10:
        raise Refused(400, f"Invalid input for query parameter {name}: {shown(text)} is not a whole number from 0.")
    return int(text)


def page(call: Call, items: Sequence[T]) -> tuple[Sequence[T], str | None]:
    """Return the part of a list that `limit` and `marker` ask for, and the id after which the next part starts."""
    query = call.query
    marker = query.get("marker")
    if marker is not None:
        ids: list[str] = [item.id for item in items]
        if marker not in ids:
            raise Refused(400, f"marker {shown(marker)} could not be found.")
        items = items[ids.index(marker) + 1 :]
    limit = min(number(query["limit"], "limit"), _MOST) if query.get("limit") else _MOST
    cut = items[:limit]
    return cut, cut[-1].id if cut and len(items) > limit else None


def next_query(call: Call, marker: str) -> str:
    """Return the query that asks for what comes after `marker`."""
    return urlencode({**call.query, "marker": marker})


def next_links(call: Call, marker: str) -> list[dict[str, str]]:
    """Return nova's link to what comes after `marker`."""
    return [{"rel": "next", "href": f"{call.url(call.path.lstrip('/'))}?{next_query(call, marker)}"}]


# ---------------------------------------------------------------------------------------------------------------- flavors


def list_flavors(call: Call) -> Answer:
    """GET /flavors."""
    return _listing(call, "flavors", call.operations.instances.flavors(), flavor_name)


def list_flavors_detail(call: Call) -> Answer:
    """GET /flavors/detail."""
    return _listing(call, "flavors", call.operations.instances.flavors(), flavor_view)


def show_flavor(call: Call) -> Answer:
    """GET /flavors/{flavor}."""
    return Answer(body={"flavor": flavor_view(call, _one("Flavor", call, call.operations.instances.flavors()))})


def show_extra_specs(call: Call) -> Answer:
    """GET /flavors/{flavor}/os-extra_specs: there are none, but the SDK asks."""
    _one("Flavor", call, call.operations.instances.flavors())
    return Answer(body={"extra_specs": {}})


def flavor_name(call: Call, flavor: Flavor) -> dict[str, object]:
    """Return the short form of a flavor."""
    return {"id": flavor.id, "name": flavor.name, "links": links(call, "flavors", flavor.id)}


def flavor_view(call: Call, flavor: Flavor) -> dict[str, object]:
    """Return the long form of a flavor."""
    return {
        **flavor_name(call, flavor),
        "vcpus": flavor.vcpus,
        "ram": flavor.ram,
        "disk": flavor.disk,
        "swap": "",
        "rxtx_factor": 1.0,
        "OS-FLV-DISABLED:disabled": False,
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "os-flavor-access:is_public": True,
    }


# ----------------------------------------------------------------------------------------------- images, as nova shows them


def list_images(call: Call) -> Answer:
    """GET /images."""
    return _listing(call, "images", _named_images(call), image_name)


def list_images_detail(call: Call) -> Answer:
    """GET /images/detail."""
    return _listing(call, "images", _named_images(call), image_view)


def show_image(call: Call) -> Answer:
    """GET /images/{image}."""
    return Answer(body={"image": image_view(call, _one("Image", call, call.operations.instances.images()))})


def image_name(call: Call, image: Image) -> dict[str, object]:
    """Return the short form of an image."""
    return {"id": image.id, "name": image.name, "links": links(call, "images", image.id)}


def image_view(call: Call, image: Image) -> dict[str, object]:
    """Return the long form of an image."""
    return {
        **image_name(call, image),
        "status": "ACTIVE",
        "progress": 100,
        "created": _MADE,
        "updated": _MADE,
        "minDisk": 0,
        "minRam": 0,
        "metadata": {},
        "OS-EXT-IMG-SIZE:size": image.size,
    }


# --------------------------------------------------------------------------------------------- images, as Glance shows them


def glance_images(call: Call) -> Answer:
    """GET /image/v2/images."""
    items, following = page(call, _named_images(call))
    body: dict[str, object] = {
        "images": [_glance_view(image) for image in items],
        "schema": "/v2/schemas/images",
        "first": "/v2/images",
    }
    if following is not None:
        body["next"] = "/v2/images?" + next_query(call, following)
    return Answer(body=body)


def glance_image(call: Call) -> Answer:
    """GET /image/v2/images/{image}."""
    return Answer(body=_glance_view(_one("Image", call, call.operations.instances.images())))


def _glance_view(image: Image) -> dict[str, object]:
    return {
        "id": image.id,
        "name": image.name,
        "status": "active",
        "visibility": "public",
        "size": image.size,
        "min_disk": 0,
        "min_ram": 0,
        "container_format": "bare",
        "disk_format": "raw",
        "checksum": image.md5,
        "os_hash_algo": "sha512" if image.sha512 is not None else None,
        "os_hash_value": image.sha512,
        "owner": None,
        "protected": False,
        "os_hidden": False,
        "tags": [],
        "created_at": _MADE,
        "updated_at": _MADE,
        "self": f"/v2/images/{image.id}",
        "file": f"/v2/images/{image.id}/file",
        "schema": "/v2/schemas/image",
    }


# ----------------------------------------------------------------------------------------------------------------- shared


def links(call: Call, noun: str, identifier: str) -> list[dict[str, str]]:
    """Return nova's two links to a thing: with the API's version, and for ever."""
    return [
        {"rel": "self", "href": call.url("compute/v2.1", noun, identifier)},
        {"rel": "bookmark", "href": call.url("compute", noun, identifier)},
    ]


def _named_images(call: Call) -> Sequence[Image]:
    """Return the images that the filters name= and id=in:a,b keep."""
    query = call.query
    images: Sequence[Image] = call.operations.instances.images()
    if "name" in query:
        images = [image for image in images if image.name == query["name"]]
    if query.get("id", "").startswith("in:"):
        wanted = query["id"].removeprefix("in:").replace('"', "").split(",")
        images = [image for image in images if image.id in wanted]
    elif "id" in query:
        images = [image for image in images if image.id == query["id"]]
    return images


def _one(noun: str, call: Call, items: Sequence[T]) -> T:
    (wanted,) = call.params.values()
    for item in items:
        if item.id == wanted:
            return item
    raise NotFound(noun, wanted)


def _listing(call: Call, noun: str, items: Sequence[T], view: Callable[[Call, T], dict[str, object]]) -> Answer:
    shown_items, following = page(call, items)
    body: dict[str, object] = {noun: [view(call, item) for item in shown_items]}
    if following is not None:
        body[f"{noun}_links"] = next_links(call, following)
    return Answer(body=body)
