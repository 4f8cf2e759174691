"""What virtual machines need of the kernel: TAP devices, and a processor that runs their code itself."""

import ctypes
import fcntl
import mmap
import os
import platform
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from mooring.cli.doctor import trial
from mooring.cli.doctor.check import Check, Lacking, Limited

_GROUP = "virtual machines"

# linux/kvm.h, for x86
_KVM_CREATE_VM, _KVM_GET_VCPU_MMAP_SIZE, _KVM_CREATE_VCPU, _KVM_RUN = 0xAE01, 0xAE04, 0xAE41, 0xAE80
_KVM_SET_USER_MEMORY_REGION, _KVM_GET_SREGS, _KVM_SET_SREGS, _KVM_SET_REGS = (
    0x4020AE46,
    0x8138AE83,
    0x4138AE84,
    0x4090AE82,
)
_KVM_EXIT_HLT = 5
_SREGS_SIZE, _SREGS_CR0 = 312, 224
_PROTECTED_MODE = 1

_ROUNDS = 65536
# mov ecx, _ROUNDS; again: dec ecx; jnz again; hlt
_GUEST_CODE = b"\xb9" + struct.pack("<I", _ROUNDS) + b"\x49\x75\xfd\xf4"
_GUEST_START = 0x1000
# A processor needs some 0.03 ms for that; a kernel that pretends, instruction by instruction, a thousand times as long.
_SLOW = 0.005


def checks() -> Iterator[Check]:
    """Return the checks of devices."""
    yield Check(_GROUP, "TAP devices", "QEMU guests can't be connected to networks.", _tap)
    yield Check(_GROUP, "KVM", "QEMU guests are emulated: they work, some ten times slower.", _kvm)


def _tap() -> str:
    if not Path("/dev/net/tun").exists():
        raise Lacking("there is no /dev/net/tun")
    trial.in_fresh_network("ip tuntap add t0 mode tap")
    return "made one"


def _kvm() -> str:
    if not Path("/dev/kvm").exists():
        raise Lacking("there is no /dev/kvm")
    if platform.machine() != "x86_64":
        raise Limited("/dev/kvm is there, but was not tried", "Whether QEMU guests are fast is only known for x86_64.")
    # In a process of its own: a virtual processor that never comes back can then be ended.
    try:
        seconds = float(trial.run([sys.executable, "-m", "mooring.cli.doctor.devices"]))
    except subprocess.TimeoutExpired as late:
        raise Lacking("/dev/kvm opens, but a guest of 4 instructions never ended") from late
    if seconds > _SLOW:
        raise Limited(
            f"/dev/kvm opens, but runs only {_ROUNDS * 2 / seconds / 1e6:.1f} million instructions a second",
            "QEMU guests must be emulated (TCG), which is faster than this: never choose KVM here.",
        )
    return f"ran a guest of {_ROUNDS * 2} instructions in {seconds * 1000:.2f} ms"


def _run_guest() -> float:
    """Run a machine that counts to zero and halts; return how many seconds that took."""
    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    machine = fcntl.ioctl(kvm, _KVM_CREATE_VM, 0)
    memory = mmap.mmap(-1, 0x10000)
    memory[_GUEST_START : _GUEST_START + len(_GUEST_CODE)] = _GUEST_CODE
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fcntl.ioctl(machine, _KVM_SET_USER_MEMORY_REGION, struct.pack("IIQQQ", 0, 0, 0, len(memory), address))
    processor = fcntl.ioctl(machine, _KVM_CREATE_VCPU, 0)
    shared = mmap.mmap(processor, fcntl.ioctl(kvm, _KVM_GET_VCPU_MMAP_SIZE, 0))
    # Flat 32 bit protected mode: in real mode some processors leave the work to the kernel, which would say nothing about speed.
    state = bytearray(_SREGS_SIZE)
    fcntl.ioctl(processor, _KVM_GET_SREGS, state)
    state[:24] = _segment(selector=8, kind=11)  # code
    state[24:144] = _segment(selector=16, kind=3) * 5  # data
    (cr0,) = struct.unpack_from("Q", state, _SREGS_CR0)
    struct.pack_into("Q", state, _SREGS_CR0, cr0 | _PROTECTED_MODE)
    fcntl.ioctl(processor, _KVM_SET_SREGS, bytes(state))
    fcntl.ioctl(processor, _KVM_SET_REGS, struct.pack("18Q", *([0] * 16), _GUEST_START, 2))
    start = time.perf_counter()
    fcntl.ioctl(processor, _KVM_RUN, 0)
    took = time.perf_counter() - start
    (reason,) = struct.unpack_from("I", shared, 8)
    if reason != _KVM_EXIT_HLT:
        sys.exit(f"a guest of 4 instructions ended for reason {reason} instead of its end")
    return took


def _segment(*, selector: int, kind: int) -> bytes:
    """Write struct kvm_segment: from 0, without a limit, of 32 bits."""
    return struct.pack("QIH10B", 0, 0xFFFFFFFF, selector, kind, 1, 0, 1, 1, 0, 1, 0, 0, 0)


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{_run_guest()}\n")
    except OSError as error:
        sys.exit(f"/dev/kvm: {error.strerror}")
