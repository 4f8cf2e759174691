"""Who gets XML: a suffix of the path decides, or else what the client accepts, or else what it sent."""

from collections.abc import Mapping

JSON = "application/json"
XML = "application/xml"
VENDOR_XML = "application/vnd.openstack.compute+xml"
XML_TYPES = frozenset({XML, VENDOR_XML})
_OFFERED = (JSON, "application/vnd.openstack.compute+json", XML, VENDOR_XML)
_MOST_RANGES = 32


def answer_type(path: str, headers: Mapping[str, str]) -> str:
    """Return the media type in which to answer: one of XML_TYPES, or JSON, which is also for who accepts neither."""
    if not is_compute(path):
        return JSON
    tail = path.rstrip("/")
    if tail.endswith((".json", ".xml")):
        return XML if tail.endswith(".xml") else JSON
    chosen = _accepted(headers.get("accept", ""))
    if chosen is None:
        sent = headers.get("content-type", "").split(";")[0].strip().lower()
        chosen = sent if sent in XML_TYPES else JSON
    return chosen if chosen in XML_TYPES else JSON


def is_compute(path: str) -> bool:
    """Say whether a path is of the compute API, the only one that ever spoke XML."""
    return path.strip("/").split("/")[0] == "compute"


def _accepted(header: str) -> str | None:
    """Return the type that an Accept header wishes for most, the first of several; None if it has no opinion, as with */*."""
    best, chosen = 0.0, None
    for item in header.split(",")[:_MOST_RANGES]:
        media, *parameters = (part.strip().lower() for part in item.split(";"))
        if media in _OFFERED and (weight := _weight(parameters)) > best:
            best, chosen = weight, media
    return chosen


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return max(0.0, min(1.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
