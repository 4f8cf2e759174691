"""A name for a guest that DHCP may tell it: tenants' names are for people, this one is for protocols."""

import re
from ipaddress import IPv4Address

_LABEL = 63
"""The longest label that DNS knows (RFC 1035)."""

# dnsmasq reads the words of a host entry by their looks: a number with a unit is a lease time, and these are commands or known traps.
_TAKEN = re.compile(r"\d+[a-z]?|ignore|infinite|localhost|wpad|isatap")


def hostname(name: str, address: IPv4Address | None) -> str:
    """Return a label of RFC 1123 made from an instance's name or, where nothing of that is left, from its address."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LABEL].rstrip("-")
    if not label:
        return f"host-{address}".replace(".", "-") if address else "host"
    return f"host-{label}"[:_LABEL].rstrip("-") if _TAKEN.fullmatch(label) else label
