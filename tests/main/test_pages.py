"""What the pages for operators list is what there is."""

import re
from pathlib import Path

import pytest

from tests.main.settings_page import page

ROOT = Path(__file__).parents[2]
OPERATING = ROOT / "docs/operating"


def test_every_setting_is_told_as_it_is(request: pytest.FixtureRequest) -> None:
    """`--bless` rewrites what follows from the settings, and leaves the introduction alone."""
    file, expected = OPERATING / "configuration.md", page()
    head = expected.partition("\n")[0]
    introduction, found, rest = file.read_text(encoding="utf-8").partition(head)
    assert found
    if request.config.getoption("--bless"):
        file.write_text(introduction + expected, encoding="utf-8")
        return
    assert found + rest == expected, f"{file} says otherwise: `make bless` rewrites it; then read the diff"


def test_every_figure_is_told() -> None:
    told = set(re.findall(r"^\| `(mooring_\w+)` \|", (OPERATING / "monitoring.md").read_text(), re.MULTILINE))
    sources = "".join(path.read_text() for path in (ROOT / "src/mooring/main").glob("*.py"))
    kinds = re.findall(r"(\w+)\(\s*\"(mooring_\w+)\"", sources)
    assert len(kinds) > 10
    assert {f"{name}_total" if kind.startswith("Counter") else name for kind, name in kinds} == told
