"""Runs every test that needs another kernel where it has one, and tests what it runs them with."""

import faulthandler
import re
from pathlib import Path

import pytest

from tests.vm.machine import Job, VmFailure, run

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
MARKED = re.compile(r"\bpytest\.mark\.vm\b")
FILES = sorted(
    str(path.relative_to(ROOT)) for path in ROOT.glob("tests/**/test_*.py") if MARKED.search(path.read_text())
)


# Some 30 to 90 seconds on a machine that does nothing else; ten times that where it is emulated on one that is busy.
PATIENCE = 1200.0


@pytest.fixture
def limited_by_the_vm() -> None:
    """Switch off pytest's own limit for this test: the VM is ended when its time is over."""
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.usefixtures("limited_by_the_vm")
@pytest.mark.parametrize("file", FILES)
def test_in_a_vm(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    job = Job([".venv/bin/python", "-m", "pytest", "-m", "vm", file], ROOT, timeout=PATIENCE)
    assert run(job) == 0, capsys.readouterr().out


def test_output_and_exit_code_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    job = Job(
        ["sh", "-c", 'echo "$WORD"; echo err >&2; pwd; uname -r; exit 7'], Path("/usr/share"), {"WORD": 'it\'s "so"'}
    )
    assert run(job) == 7
    word, err, place, kernel = capsys.readouterr().out.splitlines()
    assert (word, err, place) == ('it\'s "so"', "err", "/usr/share")
    assert "cloud" in kernel


def test_what_a_job_writes_is_gone_with_it(tmp_path: Path) -> None:
    place = ROOT / "build"
    run(Job(["sh", "-c", "echo x > in-vm-was-here && rm -rf /usr/bin"], place))
    assert not (place / "in-vm-was-here").exists()
    assert Path("/usr/bin/env").exists()


def test_a_job_that_does_not_end_is_ended() -> None:
    with pytest.raises(VmFailure, match="still running after 12 s"):
        run(Job(["sleep", "1000"], ROOT, timeout=12))


def test_a_vm_that_dies_says_its_last_words() -> None:
    with pytest.raises(VmFailure, match="Kernel panic"):
        run(Job(["sh", "-c", "echo c > /proc/sysrq-trigger"], ROOT))
