"""Debian packages as files: fetched by apt-get, which checks their signatures, and unpacked, but never installed."""

import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

_SECONDS = 300


class BuildFailure(Exception):
    """The guests' system could not be built; the message is one sentence that says why."""


def fetch(name: str, directory: Path) -> Path:
    """Return a file with the newest version of a package, fetched unless `directory` has it.

    What the machine knows of packages is tried first.  It may be missing or older than the archive, so after that lists of our own are
    fetched into `directory`; the machine's stay as they are.

    Raises:
        BuildFailure: there is no apt-get, no such package, or no way to the archive.
    """
    lists, cache = directory / "lists", directory / "apt"
    cache.mkdir(parents=True, exist_ok=True)
    try:
        return _fetch(name, directory, [])
    except BuildFailure:
        own = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]
        for partial in (lists / "partial", cache / "archives" / "partial"):
            partial.mkdir(parents=True, exist_ok=True)
        _run(["apt-get", *own, "--quiet", "update"], directory)
        return _fetch(name, directory, own)


def _fetch(name: str, directory: Path, options: Sequence[str]) -> Path:
    # Each line: 'URL' FILE SIZE HASH.  Asked elsewhere: of a file that is there already it says nothing.
    planned = _run(["apt-get", *options, "--print-uris", "download", name], directory / "apt")
    found = re.search(rf"^'\S+' ({re.escape(name)}_\S+\.deb) ", planned, re.MULTILINE)
    if found is None:
        raise BuildFailure(f"apt-get does not know from where to fetch {name}.")
    file = directory / found[1]
    if not file.exists():
        # apt-get writes to a name of its own until all is there and checked.
        _run(["apt-get", *options, "--quiet", "download", name], directory)
    return file


def tidy(directory: Path) -> None:
    """Remove what fetching left in `directory` beside packages."""
    for name in ("lists", "apt"):
        shutil.rmtree(directory / name, ignore_errors=True)


def concrete(name: str, pattern: str, directory: Path) -> str:
    """Return the one dependency of a package that is like `pattern`: what a name for `the newest of its kind` stands for now.

    Raises:
        BuildFailure: there is none.
    """
    said = _run(["dpkg-deb", "--field", str(fetch(name, directory)), "Depends"], directory)
    found = re.search(pattern, said)
    if found is None:
        raise BuildFailure(f"the Debian package {name} depends on nothing like {pattern}, only on {said.strip()}.")
    return found[0]


def unpack(package: Path, target: Path, wanted: Callable[[PurePosixPath], bool]) -> None:
    """Write those regular files of a package below `target` whose path there is wanted.

    Raises:
        BuildFailure: it is no package.
    """
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as unpacker:
        try:
            with tarfile.open(fileobj=unpacker.stdout, mode="r|") as archive:
                for member in archive:
                    path = PurePosixPath(member.name.removeprefix("./"))
                    if not member.isfile() or not wanted(path) or ".." in path.parts or path.is_absolute():
                        continue
                    content = archive.extractfile(member)
                    if content is not None:
                        file = target / path
                        file.parent.mkdir(parents=True, exist_ok=True)
                        file.write_bytes(content.read())
                        file.chmod(0o755 if member.mode & 0o100 else 0o644)
        except tarfile.TarError as error:
            raise BuildFailure(f"{package} can't be unpacked: {error}.") from error
        finally:
            unpacker.kill()


def _run(argv: Sequence[str], directory: Path) -> str:
    try:
        done = subprocess.run(
            argv, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except FileNotFoundError as error:
        raise BuildFailure(f"{argv[0]} is not there: guests' systems are built from Debian packages.") from error
    except subprocess.TimeoutExpired as error:
        raise BuildFailure(f"{argv[0]} had no answer after {_SECONDS} s: {' '.join(argv)}.") from error
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if line.startswith(("E:", "dpkg-deb: error"))]
        reason = reasons[-1] if reasons else done.stderr.strip() or f"exit code {done.returncode}"
        raise BuildFailure(f"`{' '.join(argv)}` failed: {reason}")
    return done.stdout
