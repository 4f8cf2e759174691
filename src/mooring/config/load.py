"""From a file to settings, and all that is wrong with it at once."""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mooring.config.roles import Process, misfits
from mooring.config.sections import Secret, Section
from mooring.config.settings import Settings

_LOG_IN = re.compile(r"//[^/'\"]*@")
_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "there is no such setting",
    "model_type": "must be a section",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "string_type": "must be a text",
    "tuple_type": "must be a list",
    "path_type": "must be a path",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one setting; `setting` is empty where it is the file itself.  The value of a secret is never kept."""

    file: Path | None
    setting: str
    reason: str
    value: str | None = None
    allowed: str | None = None

    def __str__(self) -> str:
        """Write it as one sentence."""
        where = ": ".join(str(part) for part in (self.file or "configuration", self.setting) if part != "")
        value = f" = {self.value}" if self.value is not None else ""
        allowed = f" ({self.allowed})" if self.allowed else ""
        return f"{where}{value}: {self.reason}{allowed}"


class ConfigurationError(Exception):
    """The configuration cannot be used; the message names the file, each setting and the reason."""

    def __init__(self, *problems: Problem | str) -> None:
        """Keep what is wrong."""
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


def load(path: Path | None, process: Process | None = None) -> Settings:
    """Read and check a configuration file; without one everything has its default.

    With `process` the settings must be what that process needs, too.

    Raises:
        ConfigurationError: the file cannot be read, is no TOML, or sets something that cannot be.
    """
    path = path or named()
    settings, values, problems = read(path)
    if settings is not None and process is not None:
        problems = [Problem(path, misfit.setting, misfit.reason) for misfit in misfits(process, settings, values)]
    if settings is None or problems:
        raise ConfigurationError(*problems)
    return settings


def read(path: Path | None) -> tuple[Settings | None, Mapping[str, Any], Sequence[Problem]]:
    """Return the settings of a file, the values that it sets, and all that is wrong with it; no settings if anything is."""
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            return None, values, [Problem(path, "", error.strerror or str(error))]
        except UnicodeDecodeError:
            return None, values, [Problem(path, "", "it is no text in UTF-8")]
        except tomllib.TOMLDecodeError as error:
            return None, values, [Problem(path, "", f"it is no TOML: {error}")]
    try:
        return Settings.model_validate(values), values, []
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        # A list whose items are wrong is not too short as well.
        parents = {detail["loc"][:-1] for detail in details}
        told = [one for one in details if not (one["type"] == "too_short" and one["loc"] in parents)]
        return None, values, [_problem(path, detail) for detail in told]


def _problem(path: Path | None, detail: ErrorDetails) -> Problem:
    location = [
        part for part in detail["loc"] if isinstance(part, int) or not part.startswith(("function-", "is-instance"))
    ]
    setting = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    section, field = _field(location)
    shown = _shown(repr(detail["input"]))
    # Of a whole section nothing is shown: a secret may be in it.
    hidden = field is None or _is_secret(field) or isinstance(detail["input"], dict)
    if detail["type"] == "extra_forbidden":
        return Problem(path, setting, _unknown(str(location[-1]), section))
    value = None if hidden or detail["type"] == "missing" else shown
    return Problem(path, setting, _reason(detail), value, field.description if field is not None else None)


def _field(location: Sequence[int | str]) -> tuple[type[Section] | None, FieldInfo | None]:
    """Return the section that a place in the file belongs to, and the setting there, as far as there are such."""
    section: type[Section] | None = Settings
    found: FieldInfo | None = None
    for part in location:
        if isinstance(part, int):
            continue
        if section is None:
            # Inside of a setting that is no section, as in a list.
            return None, found
        found = section.model_fields.get(part)
        if found is None:
            return section, None
        inner = _section_in(found.annotation)
        if inner is not None:
            section = inner
            found = found if part == location[-1] else None
        else:
            section = section if part == location[-1] else None
    return section, found


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for argument in get_args(annotation):
        if (inner := _section_in(argument)) is not None:
            return inner
    return None


def _is_secret(field: FieldInfo) -> bool:
    return any(isinstance(mark, Secret) for mark in field.metadata)


def _unknown(name: str, section: type[Section] | None) -> str:
    known = list(section.model_fields) if section is not None else []
    close = difflib.get_close_matches(name, known, n=1)
    meant = f", perhaps {close[0]} is meant" if close else ""
    return f"there is no such setting{meant}; there are: {', '.join(known)}"


def _reason(detail: ErrorDetails) -> str:
    text = _REASONS.get(detail["type"], detail["msg"])
    text = text.removeprefix("Value error, ").replace("Input should be", "must be").replace("Input should", "must")
    return text[:1].lower() + text[1:]


def _shown(text: str) -> str:
    text = _LOG_IN.sub("//***@", text)
    return text if len(text) <= 80 else f"{text[:77]}..."


def named() -> Path | None:
    """Return the file that the environment names, if it does."""
    name = os.environ.get("MOORING_CONFIG")
    return Path(name) if name else None
