"""Which words a back-end writes into the kernel and into files: only those that are surely a name, an address or a number."""

import re

_DEVICE = re.compile(r"m[bghimpuvx][0-9a-f]{11}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,62}")


def is_device(name: str, prefix: str) -> bool:
    """Say whether a device is ours by its name: two letters for what it is, and eleven digits of an id."""
    return name.startswith(prefix) and _DEVICE.fullmatch(name) is not None


def is_mac(text: str) -> bool:
    """Say whether a text is a hardware address in its one canonical form."""
    return _MAC.fullmatch(text) is not None


def is_host_name(text: str) -> bool:
    """Say whether a text is one label of a domain name."""
    return _HOST.fullmatch(text) is not None


def is_word(text: str) -> bool:
    """Say whether a text has no meaning of its own to nftables or dnsmasq."""
    return _WORD.fullmatch(text) is not None
