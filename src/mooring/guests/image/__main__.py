"""Builds the guests' system: python -m mooring.guests.image DIRECTORY."""

import sys
from pathlib import Path

from mooring.guests.image.build import BuildFailure, build


def main() -> int:
    """Build into the directory that was named, and say where it is."""
    match sys.argv[1:]:
        case [directory] if not directory.startswith("-"):
            try:
                system = build(Path(directory).resolve())
            except BuildFailure as failure:
                sys.stderr.write(f"image: {failure}\n")
                return 1
        case _:
            sys.stderr.write("usage: python -m mooring.guests.image DIRECTORY\n")
            return 2
    for path in (system.kernel, system.initrd):
        sys.stdout.write(f"{path} {path.stat().st_size / 1e6:.1f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
