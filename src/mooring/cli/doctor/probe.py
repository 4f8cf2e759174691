# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
"""What doctor's scripts run inside of a namespace: `python -m mooring.cli.doctor.probe {nft TEXT | rules | flow}`.

By the libraries that the agent itself uses: the programs nft and conntrack may be missing where mooring works, and the other way round.
"""

import ctypes
import socket
import sys

_TERSE = 1 << 11  # nftables/libnftables.h


def nft(text: str) -> str:
    """Run commands by libnftables and return what they print, without the elements of sets."""
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError:
        sys.exit("libnftables.so.1 is not installed")
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    context = ctypes.c_void_p(library.nft_ctx_new(0))
    library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
    library.nft_ctx_buffer_error(context)
    library.nft_ctx_buffer_output(context)
    library.nft_ctx_output_set_flags(context, _TERSE)
    if library.nft_run_cmd_from_buffer(context, text.encode()):
        sys.exit((library.nft_ctx_get_error_buffer(context) or b"it can't say why").decode(errors="replace"))
    return str((library.nft_ctx_get_output_buffer(context) or b"").decode(errors="replace"))


def flow() -> None:
    """Make and delete an entry of connection tracking."""
    from pyroute2 import NFCTSocket
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

    first, second = "192.0.2.1", "192.0.2.2"
    there = NFCTAttrTuple(saddr=first, daddr=second, proto=socket.IPPROTO_UDP, sport=1, dport=2)
    back = NFCTAttrTuple(saddr=second, daddr=first, proto=socket.IPPROTO_UDP, sport=2, dport=1)
    with NFCTSocket() as table:
        table.entry("add", tuple_orig=there, tuple_reply=back, timeout=60)
        table.entry("del", tuple_orig=there)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["nft", text]:
            nft(text)
        case ["rules"]:
            sys.stdout.write(nft("list ruleset"))
        case ["flow"]:
            try:
                flow()
            except Exception as error:  # noqa: BLE001 - whatever its library raises, the trial has failed
                sys.exit(f"no entry can be made and deleted: {error}")
        case _:
            sys.exit(2)
