"""Stories: who types what, and what they read.  The files in `stories` need no Python to be understood.

    # A remark.
    alice$ mooring ip create
    the expected output, with <id>, <mac> and <time> for what is no matter
    ! what is said on stderr
    (exit 1)

A blank line ends an output; of a trace only the ends are told.  `--bless` rewrites the outputs and nothing else.
"""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Shell

STORIES = sorted((Path(__file__).parent / "stories").glob("*.txt"))

_PROMPT = re.compile(r"(\w+)\$ mooring (.*)")
_NO_MATTER = (
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"), "<id>"),
    (re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}"), "<mac>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"secret-\d{36}"), "<secret>"),
    (re.compile(r"\b(m[biuhpg])[0-9a-f]{11}\b"), r"\1<id>"),
)


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_a_story(path: Path, shell: Callable[[str], Shell], request: pytest.FixtureRequest) -> None:
    expected = path.read_text(encoding="utf-8")
    told = "\n".join(_tell(paragraph, shell) for paragraph in expected.strip().split("\n\n"))
    if request.config.getoption("--bless"):
        path.write_text(told, encoding="utf-8")
    else:
        assert told == expected


def _shown(command: str, lines: list[str]) -> list[str]:
    # The steps of a trace are the compiler's; its own golden files hold them.
    return (
        [line for line in lines if not line.startswith("  ") or "=>" in line] if command.startswith("trace") else lines
    )


def _tell(paragraph: str, shell: Callable[[str], Shell]) -> str:
    lines = []
    for line in paragraph.splitlines():
        found = _PROMPT.fullmatch(line)
        if found is None and not line.startswith("#"):
            continue  # an expected output
        lines.append(line)
        if found is not None:
            result = shell(found[1])(*shlex.split(found[2]))
            lines += [text or " " for text in _shown(found[2], result.stdout.splitlines())]
            lines += [f"! {text}" for text in result.stderr.splitlines()]
            lines += [f"(exit {result.exit_code})"] if result.exit_code else []
    text = "\n".join(lines) + "\n"
    for pattern, name in _NO_MATTER:
        text = pattern.sub(name, text)
    return text
