"""What the sections of the configuration are made of: their base, and secrets."""

import os
import re
from pathlib import Path
from typing import cast

from pydantic import BaseModel, ConfigDict

_CREDENTIAL = re.compile(r"[^/\x00]*[^/.\x00][^/\x00]*")


class Secret:
    """Marks a setting whose value is shown to nobody."""


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def text_of(values: object, name: str) -> object:
    """Put what the file of `NAME_file` or the credential of `NAME_credential` holds into the place of NAME.

    Credentials are what systemd gives to a service (LoadCredential= and the like), in a directory that only the service sees.
    """
    if not isinstance(values, dict):
        return values
    rest = dict(cast("dict[str, object]", values))
    given = [each for each in (name, f"{name}_file", f"{name}_credential") if each in rest]
    if len(given) > 1:
        raise ValueError(f"has both {given[0]} and {given[1]}")
    if given in ([], [name]):
        return rest
    (source,) = given
    place = str(rest.pop(source))
    path = Path(place)
    if source.endswith("_credential"):
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if directory is None:
            raise ValueError(
                f"{source} {place} is of use to a service of systemd only, which has CREDENTIALS_DIRECTORY set"
            )
        if not _CREDENTIAL.fullmatch(place):
            raise ValueError(f"{source} must be a file's name, without a path")
        path = Path(directory) / place
    elif not path.is_absolute():
        raise ValueError(f"{source} must be an absolute path")
    try:
        rest[name] = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ValueError(f"{source} {place} can't be read: {reason}") from error
    return rest
