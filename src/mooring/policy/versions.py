"""By what a caller tells whether a thing is still as it was when they looked."""

import hashlib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import cast


def version(thing: object) -> str:
    """Return the version of a noun: 32 hexadecimal digits, others whenever one of its fields is that it is compared by, and the same in every process."""
    return hashlib.sha256(_text(thing).encode()).hexdigest()[:32]


def _text(value: object) -> str:
    if isinstance(value, Enum):
        return repr(value.value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = (f"{field.name}={_text(getattr(value, field.name))}" for field in fields(value) if field.compare)
        return f"{type(value).__name__}({', '.join(parts)})"
    if isinstance(value, frozenset | set):
        # Their order is another in each process.
        return f"{{{', '.join(sorted(_text(each) for each in cast('Iterable[object]', value)))}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(_text(each) for each in cast('Iterable[object]', value))}]"
    return repr(value)
