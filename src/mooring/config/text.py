"""The settings that hold, as text without secrets."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mooring.config.roles import Process
from mooring.config.settings import Secret, Section, Settings

_HIDDEN = "***"
_OF_AGENTS = {"bus", "host", "agent", "log"}
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^:/@]*):[^/]*@")


def effective(settings: Settings, values: Mapping[str, Any], process: Process | None = None) -> str:
    """Write settings as TOML, and say of each whether it is the default; what `process` does not use is left out."""
    return "\n".join(_section(settings, values, "", process)).strip() + "\n"


def _section(section: Section, values: Any, name: str, process: Process | None) -> Iterator[str]:
    inner: list[tuple[str, Section, Any]] = []
    for field, info in type(section).model_fields.items():
        value = getattr(section, field)
        given: Any = values.get(field) if isinstance(values, Mapping) else None
        path = f"{name}.{field}".lstrip(".")
        if isinstance(value, Section):
            if name or _used(field, process):
                inner.append((f"[{path}]", value, given))
        elif isinstance(value, tuple) and any(isinstance(each, Section) for each in value):
            inner += [(f"[[{path}]]", each, given[number] if given else None) for number, each in enumerate(value)]
        elif value is not None:
            hidden = any(isinstance(mark, Secret) for mark in info.metadata)
            told = _PASSWORD_IN_URL.sub(rf"\1:{_HIDDEN}@", str(value)) if field == "url" else _HIDDEN
            default = "" if given is not None or hidden else "  # default"
            yield f"{field} = {_toml(told if hidden else value)}{default}"
    for header, value, given in inner:
        yield from ("", header)
        yield from _section(value, given, header.strip("[]"), process)


def _used(section: str, process: Process | None) -> bool:
    match process:
        case Process.AGENT:
            return section in _OF_AGENTS
        case Process.API:
            return section not in {"host", "agent", "controller"}
        case Process.CONTROLLER:
            return section not in {"host", "agent", "api", "identity"}
        case _:
            return True


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple | list):
        items: list[object] = list(value)  # pyright: ignore[reportUnknownArgumentType]  # of whatever a setting holds
        return f"[{', '.join(_toml(each) for each in items)}]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if text.isprintable() else repr(text)
