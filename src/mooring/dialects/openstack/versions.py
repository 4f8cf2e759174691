"""Version documents: how a client finds out what is spoken here, before it logs in."""

from mooring.dialects.openstack.calls import FIRST, LAST, Answer, Call

# When nova fixed its v2.1, and keystone and glance the versions that are named here.
_COMPUTE_UPDATED = "2013-07-23T11:33:21Z"
_IDENTITY_UPDATED = "2020-04-07T00:00:00Z"
_OLD_IDENTITY_UPDATED = "2014-04-17T00:00:00Z"
_IMAGE_VERSIONS = ("v2.2", "v2.1", "v2.0")


def identity_versions(call: Call) -> Answer:
    """GET /identity."""
    return Answer(300, {"versions": {"values": [_identity(call), _old_identity(call)]}})


def identity_version(call: Call) -> Answer:
    """GET /identity/v3."""
    return Answer(body={"version": _identity(call)})


def _identity(call: Call) -> dict[str, object]:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": _IDENTITY_UPDATED,
        "links": [{"rel": "self", "href": call.url("identity/v3/")}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


def old_identity_version(call: Call) -> Answer:
    """GET /identity/v2.0."""
    return Answer(body={"version": _old_identity(call)})


def _old_identity(call: Call) -> dict[str, object]:
    return {
        "id": "v2.0",
        "status": "deprecated",
        "updated": _OLD_IDENTITY_UPDATED,
        "links": [{"rel": "self", "href": call.url("identity/v2.0/")}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v2.0+json"}],
    }


def compute_versions(call: Call) -> Answer:
    """GET /compute."""
    return Answer(body={"versions": [_compute(call)]})


def compute_version(call: Call) -> Answer:
    """GET /compute/v2.1."""
    media_types = [
        {"base": f"application/{each}", "type": f"application/vnd.openstack.compute+{each};version=2.1"}
        for each in ("json", "xml")
    ]
    return Answer(body={"version": {**_compute(call), "media-types": media_types}})


def _compute(call: Call) -> dict[str, object]:
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": str(LAST),
        "min_version": str(FIRST),
        "updated": _COMPUTE_UPDATED,
        "links": [{"rel": "self", "href": call.url("compute/v2.1/")}],
    }


def image_versions(call: Call) -> Answer:
    """GET /image: the version that has only the filters that are answered here."""
    links = [{"rel": "self", "href": call.url("image/v2/")}]
    versions = [
        {"id": version, "status": "CURRENT" if version == _IMAGE_VERSIONS[0] else "SUPPORTED", "links": links}
        for version in _IMAGE_VERSIONS
    ]
    return Answer(300, {"versions": versions})
