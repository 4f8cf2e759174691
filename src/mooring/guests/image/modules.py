"""Kernel modules: which ones some names need, in the order in which the kernel takes them."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath


class NoSuchModule(Exception):
    """The kernel has no module of this name, neither as a file nor built in."""


def in_order(tree: Path, names: Iterable[str]) -> list[str]:
    """Return the files, relative to a kernel's directory below lib/modules, that loading these modules needs: each after its needs.

    What is built into the kernel needs no file.  `modules.dep` there is depmod's.

    Raises:
        NoSuchModule: the kernel has not all of them.
    """
    needs = _read(tree / "modules.dep")
    by_name = {_name(path): path for path in needs}
    built_in = {_name(line) for line in (tree / "modules.builtin").read_text(encoding="ascii").split()}
    ordered: dict[str, None] = {}

    def add(path: str) -> None:
        if path not in ordered:
            for other in needs[path]:
                add(other)
            ordered[path] = None

    for name in names:
        plain = name.replace("-", "_")
        if plain in by_name:
            add(by_name[plain])
        elif plain not in built_in:
            raise NoSuchModule(name)
    return list(ordered)


def _read(file: Path) -> Mapping[str, tuple[str, ...]]:
    """Return what each module needs; depmod says of each all that it needs, whatever the order."""
    found: dict[str, tuple[str, ...]] = {}
    for line in file.read_text(encoding="ascii").splitlines():
        path, _, rest = line.partition(":")
        found[path] = tuple(rest.split())
    return found


def _name(path: str) -> str:
    return PurePosixPath(path).name.split(".")[0].replace("-", "_")
