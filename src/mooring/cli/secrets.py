"""How commands are told a password: never on the command line, which others on the machine can read."""

import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from mooring.cli.failure import Failed

File = Annotated[
    Path | None,
    typer.Option("--password-file", help="The file that holds the password, or - for standard input.", allow_dash=True),
]
Ask = Annotated[bool, typer.Option("--ask-password", help="Ask for the password here.")]
Make = Annotated[bool, typer.Option("--random-password", help="Make a password, and print it once.")]

_BYTES = 24


def told(file: Path | None, *, ask: bool = False, make: bool = False) -> str | None:
    """Return the password that the options lead to, or None where none of them is given.

    Raises:
        Failed: two of them are given, the file can't be read, or nobody is there to be asked.
    """
    if (file is not None) + ask + make > 1:
        raise Failed("of --password-file, --ask-password and --random-password, give only one.")
    if make:
        return secrets.token_urlsafe(_BYTES)
    if file is not None:
        return _read(file)
    if ask:
        if not sys.stdin.isatty():
            raise Failed("there is nobody to ask for a password; use --password-file.")
        answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return answer
    return None


def needed(file: Path | None) -> str:
    """Return the password in a file, or ask for it."""
    return told(file, ask=file is None) or ""


def _read(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read().rstrip("\r\n")
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise Failed(f"--password-file {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Failed(f"--password-file {file}: it is no text in UTF-8.") from error
