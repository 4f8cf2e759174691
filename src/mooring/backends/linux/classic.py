"""Filters of sockets, as programs of the kernel's classic packet filter: what they don't let through nobody has to read.

Numbers are of linux/filter.h; a program reads what it loads as if it were big-endian, which what comes over a wire is.
"""

import ctypes
import socket
import struct
from collections.abc import Iterable

LOAD_WORD, LOAD_HALF, JUMP_EQUAL, GIVE_BACK = 0x20, 0x28, 0x15, 0x06
ALL = 0xFFFF
_SO_ATTACH_FILTER = 26

Instruction = tuple[int, int, int, int]
"""What to do, how many instructions to skip if it is true and if not, and the number that it is about."""


def attach(channel: socket.socket, program: Iterable[Instruction]) -> None:
    """Let only what a program gives back come to a socket."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code)
    channel.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    )
