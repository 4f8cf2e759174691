"""libnftables.so.1 in this process: text in, text out, each text one transaction.

Its context opens a netlink socket when it is made, and anew when a dump was interrupted; so it lives and works in the thread of its
namespace.  It is GPL-2 and called, as `nft` itself does, by its public C interface.
"""

import ctypes
from functools import cache
from pathlib import Path

from mooring.backends.linux import netns, transactions
from mooring.backends.linux.netns import Inside
from mooring.backends.linux.transactions import Message

# nftables/libnftables.h
_OUTPUT_JSON, _OUTPUT_TERSE = 1 << 4, 1 << 11

_RULESETS = Path(__file__).parent


class NftRefused(Exception):
    """A text was refused, and nothing of it done."""


class Nft:
    """A context of libnftables; make, use and free it in one thread."""

    def __init__(self) -> None:
        self._library = _library()
        self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise MemoryError("libnftables has no context for us")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def run(self, text: str) -> str:
        """Run commands as one transaction and return what they print.

        Raises:
            NftRefused: with the library's own words.
        """
        return self._run(text, 0)

    def would_run(self, text: str) -> bool:
        """Say whether the kernel would take commands."""
        self._library.nft_ctx_set_dry_run(self._context, 1)
        try:
            self.run(text)
        except NftRefused:
            return False
        finally:
            self._library.nft_ctx_set_dry_run(self._context, 0)
        return True

    def rules(self) -> str:
        """Return all tables, chains, sets and rules, without the elements of sets: it costs the same however many there are."""
        return self._run("list ruleset", _OUTPUT_TERSE)

    def tables(self, name: str) -> dict[str, str]:
        """Return the listings of the tables of a name by family, without the elements of sets.

        All tables are listed for it: libnftables fetches all elements of all sets for every other question.
        """
        return tables_in(self.rules(), name)

    def sets(self) -> str:
        """Return all sets and maps as JSON, without their elements."""
        return self._run("list ruleset", _OUTPUT_TERSE | _OUTPUT_JSON)

    def close(self) -> None:
        self._library.nft_ctx_free(self._context)
        self._context = None

    def _run(self, text: str, flags: int) -> str:
        self._library.nft_ctx_output_set_flags(self._context, flags)
        failed = self._library.nft_run_cmd_from_buffer(self._context, text.encode())
        error = self._library.nft_ctx_get_error_buffer(self._context)
        output = self._library.nft_ctx_get_output_buffer(self._context)
        if failed:
            raise NftRefused(_reason(error.decode(errors="replace")))
        return str(output.decode())


def opened(inside: Inside) -> Nft:
    """Make a context that belongs to a namespace."""
    return inside.run(Nft)


@cache
def ruleset_text(name: str) -> str:
    """Return the text of a static ruleset.

    Raises:
        FileNotFoundError: there is none of this name.
    """
    if not name.isidentifier():
        raise FileNotFoundError(name)
    return (_RULESETS / f"{name}.nft").read_text(encoding="utf-8")


@cache
def as_loaded(name: str, more: tuple[Message, ...] = ()) -> tuple[str, str]:
    """Return what the kernel makes of a static ruleset and what is added to it: its rules as text, and its sets as JSON.

    The kernel is asked, in a namespace that is made for the question: so the answer needs no memory and no second notation.
    """

    def load() -> tuple[str, str]:
        nft = Nft()
        try:
            nft.run(ruleset_text(name))
            if more:
                with transactions.opened() as channel:
                    transactions.transact(channel, more)
            return nft.rules(), nft.sets()
        finally:
            nft.close()

    return netns.in_scratch(load)


def tables_in(listing: str, name: str) -> dict[str, str]:
    """Return the tables of a name in a listing of all, by family; what stands between tables, as warnings do, is of none."""
    found: dict[str, list[str]] = {}
    family = ""
    for line in listing.splitlines(keepends=True):
        if line.startswith("table "):
            _, its_family, table, _ = line.split(" ", 3)
            family = its_family if table == name else ""
        if family:
            found.setdefault(family, []).append(line)
        if line == "}\n":
            family = ""
    return {family: "".join(lines) for family, lines in found.items()}


def blocks(listing: str) -> dict[str, tuple[str, ...]]:
    """Split the listing of a table into its chains, sets and whatever else it has, by their first lines; by "", the lines of none of them."""
    found: dict[str, tuple[str, ...]] = {}
    loose: list[str] = []
    block: list[str] = []
    for line in listing.splitlines():
        if block or (line.startswith("\t") and line.endswith(" {")):
            block.append(line)
            if line == "\t}":
                found[block[0]] = tuple(block)
                block = []
        elif line:  # blank ones stand between blocks
            loose.append(line)
    found[""] = tuple(loose)
    return found


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libnftables.so.1")
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint
    for name, takes, gives in (
        ("nft_ctx_new", [ctypes.c_uint32], pointer),
        ("nft_ctx_free", [pointer], None),
        ("nft_ctx_buffer_output", [pointer], ctypes.c_int),
        ("nft_ctx_buffer_error", [pointer], ctypes.c_int),
        ("nft_ctx_get_output_buffer", [pointer], text),
        ("nft_ctx_get_error_buffer", [pointer], text),
        ("nft_ctx_output_set_flags", [pointer, number], None),
        ("nft_ctx_set_dry_run", [pointer, ctypes.c_bool], None),
        ("nft_run_cmd_from_buffer", [pointer, text], ctypes.c_int),
    ):
        function = getattr(library, name)  # not library[name]: that forgets the types
        function.argtypes, function.restype = takes, gives
    return library


def _reason(error: str) -> str:
    # Error: Could not process rule: File exists\nadd element ip ...\n^^^^^
    return error.strip().partition("\n")[0].removeprefix("Error: ") or "libnftables gave no reason"
