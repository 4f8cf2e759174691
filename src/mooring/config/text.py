"""The settings that hold, as text without secrets."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from mooring.config.roles import Process
from mooring.config.sections import Secret, Section
from mooring.config.settings import Settings

_HIDDEN = "***"
_OF_AGENTS = {"bus", "host", "agent", "log"}
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^:/@]*):[^/]*@")


def effective(settings: Settings, values: Mapping[str, Any], process: Process | None = None) -> str:
    """Write settings as TOML, and say of each whether it is the default; what `process` does not use is left out."""
    return "\n".join(_section(settings, values, "", process)).strip() + "\n"


def _section(section: Section, given: object, name: str, process: Process | None) -> Iterator[str]:
    values: Mapping[str, object] = cast("Mapping[str, object]", given) if isinstance(given, Mapping) else {}
    inner: list[tuple[str, Section, object]] = []
    for field, info in type(section).model_fields.items():
        value: object = getattr(section, field)
        path = f"{name}.{field}".lstrip(".")
        sections = _sections(value)
        if isinstance(value, Section):
            if name or _used(field, process):
                inner.append((f"[{path}]", value, values.get(field)))
        elif sections:
            told = cast("Sequence[object]", values.get(field) or [None] * len(sections))
            inner += [(f"[[{path}]]", one, its) for one, its in zip(sections, told, strict=True)]
        elif value is not None:
            hidden = any(isinstance(mark, Secret) for mark in info.metadata)
            shown = _PASSWORD_IN_URL.sub(rf"\1:{_HIDDEN}@", str(value)) if field == "url" else _HIDDEN
            default = "" if field in values or hidden else "  # default"
            yield f"{field} = {_toml(shown if hidden else value)}{default}"
    for header, one, its in inner:
        yield from ("", header)
        yield from _section(one, its, header.strip("[]"), process)


def _sections(value: object) -> list[Section]:
    items = cast("tuple[object, ...]", value) if isinstance(value, tuple) else ()
    return [item for item in items if isinstance(item, Section)]


def _used(section: str, process: Process | None) -> bool:
    match process:
        case Process.UP:
            # Its status is told on the API's own port.
            return section not in {"agent", "controller", "bus"}
        case Process.AGENT:
            return section in _OF_AGENTS
        case Process.API:
            return section not in {"host", "agent", "controller"}
        case Process.CONTROLLER:
            return section not in {"host", "agent", "api", "identity", "bootstrap"}
        case _:
            return True


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, cast('tuple[object, ...]', value)))}]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if text.isprintable() else repr(text)
