"""What a name in the DNS may be: RFC 1123, in small letters."""

import re

MAX_DOMAIN = 190
"""Characters of a domain, so that a label before it still leaves a name that fits into a question (RFC 1035: 253)."""

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def label_fault(text: str) -> str | None:
    """Return why a text can't be a name in a domain, or None."""
    if not _LABEL.fullmatch(text):
        return "must be 1 to 63 letters, digits and hyphens, and neither begin nor end with a hyphen"
    return None


def domain_fault(text: str) -> str | None:
    """Return why a text can't be a domain, or None."""
    if len(text) > MAX_DOMAIN:
        return f"must not be longer than {MAX_DOMAIN} characters"
    labels = text.split(".")
    if any(label_fault(label) is not None for label in labels):
        return "must be labels with dots between, each of letters, digits and hyphens"
    if labels[-1].isdecimal() or labels[-1] == "arpa":
        return "must not end with a number or with arpa"
    return None
