"""KVM is believed when a guest has said something under it, and not because of a file."""

from pathlib import Path

import pytest

from mooring.guests.image import GuestSystem
from mooring.guests.qemu import Accelerator, accelerators
from tests.guests.qemu import vms

HERE = GuestSystem(Path(__file__), Path(__file__))


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A QEMU of the test's own, and /dev/kvm."""
    file = tmp_path / "bin" / "qemu-system-x86_64"
    file.parent.mkdir()
    (tmp_path / "kvm").touch()
    monkeypatch.setattr(accelerators, "PATH", str(file.parent))
    monkeypatch.setattr(accelerators, "_KVM", tmp_path / "kvm")
    monkeypatch.setattr(accelerators, "_SECONDS", 0.5)
    monkeypatch.setattr(accelerators, "confined", lambda *_: [])
    return file


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    "script, verdict",
    [
        ("echo booting; echo READY 0.8; exec /bin/sleep 9", Accelerator.KVM),  # it need not end
        ("echo READY 0.8", Accelerator.KVM),
        ("exec /bin/sleep 9", Accelerator.TCG),  # opens, and runs nothing
        ("echo 'failed to initialize kvm: Permission denied' >&2; exit 1", Accelerator.TCG),
    ],
)
def test_the_verdict_is_what_a_guest_says(program: Path, tmp_path: Path, script: str, verdict: Accelerator) -> None:
    write(program, script)
    assert accelerators.usable(HERE, tmp_path / "cache") is verdict


def test_a_verdict_is_kept_until_something_changes(program: Path, tmp_path: Path) -> None:
    write(program, f"echo run >> {tmp_path}/runs; echo READY")
    for _ in range(3):
        assert accelerators.usable(HERE, tmp_path) is Accelerator.KVM
    assert (tmp_path / "runs").read_text() == "run\n"
    write(program, "exit 1 # another QEMU")
    assert accelerators.usable(HERE, tmp_path) is Accelerator.TCG


def test_a_spoilt_verdict_is_found_anew(program: Path, tmp_path: Path) -> None:
    write(program, "echo READY")
    accelerators.usable(HERE, tmp_path)
    (kept,) = tmp_path.glob("accelerator-*")
    kept.write_text("magic")
    assert accelerators.usable(HERE, tmp_path) is Accelerator.KVM
    assert kept.read_text() == "kvm"


def test_without_a_device_or_a_program_it_is_tcg(program: Path, tmp_path: Path) -> None:
    assert accelerators.usable(HERE, tmp_path / "a") is Accelerator.TCG
    (tmp_path / "kvm").unlink()
    assert accelerators.usable(HERE, tmp_path / "b") is Accelerator.TCG


@pytest.mark.kernel
@pytest.mark.slow
def test_the_proof_on_this_machine_comes_to_an_end(tmp_path: Path) -> None:
    # Either answer may be right here; a machine on which KVM opens and hangs must not hang us.
    assert accelerators.usable(vms.built(), tmp_path) in Accelerator
