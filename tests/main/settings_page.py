"""The part of docs/operating/configuration.md that follows from the settings themselves."""

import json
from collections.abc import Iterator
from typing import Any, cast, get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mooring.config import BusSettings, Process, Section, Settings, effective
from mooring.config.roles import misfits

_BUS = BusSettings.model_validate({"servers": ["nats://127.0.0.1:4222"], "credentials": "/nowhere"})
# What no default can be printed for, because it is another on each machine.
_OWN = {"host.name": "the machine's"}


def page() -> str:
    """Write every setting, with its default and its meaning."""
    return "\n".join(["## Which process reads what", *_processes(), "", "## Every setting", *_settings(), ""])


def _processes() -> Iterator[str]:
    yield f"| section | {' | '.join(f'`mooring {process}`' for process in Process)} |"
    yield "| --- |" + " --- |" * len(Process)
    for name, field in Settings.model_fields.items():
        if _section(field) is not None:
            yield f"| `[{name}]` | {' | '.join(_use(name, process) for process in Process)} |"


def _use(section: str, process: Process) -> str:
    settings = Settings(bus=_BUS)
    told = [misfit for misfit in misfits(process, settings, {section: {}}) if misfit.setting == section]
    if told:
        return "refused"
    return "yes" if f"[{section}]" in effective(settings, {}, process).splitlines() else "not read"


def _settings() -> Iterator[str]:
    yield from _table("", Settings)
    yield from _inner("", Settings)


def _inner(path: str, section: type[Section]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        inner = _section(field)
        if inner is not None:
            full = f"{path}.{name}".lstrip(".")
            many = "tuple" in str(field.annotation)
            yield from (
                "",
                f"### `{f'[[{full}]]' if many else f'[{full}]'}`",
                (inner.__doc__ or "").strip().replace(".  ", ". "),
                "",
            )
            yield from _table(full, inner)
            yield from _inner(full, inner)


def _table(path: str, section: type[Section]) -> Iterator[str]:
    yield from ("| setting | default | |", "| --- | --- | --- |")
    for name, field in section.model_fields.items():
        if _section(field) is None:
            yield f"| `{name}` | {_default(f'{path}.{name}', field)} | {field.description} |"


def _default(path: str, field: FieldInfo) -> str:
    if path in _OWN:
        return _OWN[path]
    value: Any = field.default
    if value is PydanticUndefined:
        return "must be given"
    if value is None:
        return ""
    if isinstance(value, tuple):
        value = list(cast("tuple[object, ...]", value))
    return f"`{json.dumps(value if isinstance(value, bool | int | list) else str(value), default=str)}`"


def _section(field: FieldInfo) -> type[Section] | None:
    """Return the section that a setting is, or has several of."""

    def search(annotation: Any) -> type[Section] | None:
        if isinstance(annotation, type) and issubclass(annotation, Section):
            return annotation
        return next((found for each in get_args(annotation) if (found := search(each)) is not None), None)

    return search(field.annotation)
