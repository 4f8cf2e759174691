"""Building the guests' system: packages that are fetched and not installed, modules in order, an archive that a kernel reads."""

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.guests import image
from mooring.guests.image import cpio, modules, packages
from mooring.guests.image.build import MODULES, BuildFailure, find
from tests.guests.qemu import vms

JSON = Path(image.__file__).parent / "system" / "json.awk"


# ------------------------------------------------------------------------------------------------------------- archive


def test_an_archive_is_what_cpio_unpacks(tmp_path: Path) -> None:
    made = cpio.archive(
        [
            cpio.file("init", b"#!/bin/sh\n", executable=True),
            cpio.file("a/b/c", b"odd"),
            cpio.link("bin/sh", "busybox"),
            cpio.directory("dev"),
        ]
    )
    subprocess.run(["busybox", "cpio", "-id"], input=made, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"odd"
    assert (tmp_path / "init").stat().st_mode == stat.S_IFREG | 0o755
    assert (tmp_path / "bin" / "sh").readlink() == Path("busybox")
    assert (tmp_path / "dev").is_dir()


def test_an_archive_has_every_directory_before_what_lies_in_it() -> None:
    # "lib-x" sorts between "lib" and "lib/x" by bytes: the order is by path all the same.
    names = list(names_in(cpio.archive([cpio.file("lib/x/y", b""), cpio.file("lib-x", b""), cpio.file("a", b"")])))
    assert names == ["a", "lib", "lib-x", "lib/x", "lib/x/y", "TRAILER!!!"]


def names_in(archive: bytes) -> Iterator[str]:
    while archive.startswith(b"070701"):
        size, name = int(archive[54:62], 16), int(archive[94:102], 16)
        yield archive[110 : 110 + name - 1].decode()
        head = 110 + name + -(110 + name) % 4
        archive = archive[head + size + -size % 4 :]


def test_the_same_files_give_the_same_bytes() -> None:
    one, other = cpio.file("a", b"1"), cpio.file("b/c", b"2")
    assert cpio.archive([one, other]) == cpio.archive([other, one])


# ------------------------------------------------------------------------------------------------------------- modules


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    needs = {
        "kernel/net/top.ko": "kernel/net/mid-dle.ko kernel/lib/low.ko",
        "kernel/net/mid-dle.ko": "kernel/lib/low.ko",
        "kernel/lib/low.ko": "",
        "kernel/lib/other.ko": "",
    }
    (tmp_path / "modules.dep").write_text("".join(f"{path}: {rest}\n" for path, rest in needs.items()))
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4.ko\n")
    return tmp_path


def test_modules_come_after_what_they_need_and_once(tree: Path) -> None:
    assert modules.in_order(tree, ["top", "low", "mid_dle"]) == [
        "kernel/lib/low.ko",
        "kernel/net/mid-dle.ko",
        "kernel/net/top.ko",
    ]
    assert modules.in_order(tree, ["mid-dle"]) == ["kernel/lib/low.ko", "kernel/net/mid-dle.ko"]


def test_what_is_built_in_needs_no_file_and_what_is_missing_is_named(tree: Path) -> None:
    assert modules.in_order(tree, ["ext4"]) == []
    with pytest.raises(modules.NoSuchModule, match="vlan"):
        modules.in_order(tree, ["vlan"])


# ---------------------------------------------------------------------------------------------------------------- JSON


def flat(text: str) -> list[str]:
    done = subprocess.run(
        ["busybox", "awk", "-f", JSON], input=text, capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.splitlines()


def lines(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return [line for key, each in pairs for line in lines(each, f"{path}.{key}" if path else str(key))]
    return [f"{path}\t{value if isinstance(value, str) else json.dumps(value)}"]


texts = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | texts,
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), inside, max_size=3)
    ),
    max_leaves=12,
)


@given(values, st.sampled_from((None, 1)))
@settings(max_examples=60)
def test_a_guest_reads_json(value: Any, indent: int | None) -> None:
    assert flat(json.dumps({"v": value}, ensure_ascii=False, indent=indent)) == lines({"v": value})


@pytest.mark.parametrize("text", ["", "{", '{"a": ', '{"a": [1, 2', '"', "]", "nonsense", '{"a" "b"}', "{" * 50])
def test_what_is_no_json_comes_to_an_end(text: str) -> None:
    flat(text)


# ------------------------------------------------------------------------------------------------------------ packages


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get of the test's own, which writes down how it was called."""
    program = tmp_path / "bin" / "apt-get"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


def write(program: Path, script: str) -> None:
    program.write_text(f'#!/bin/sh\necho "$*" >> {program.parent}/calls\n{script}\n')
    program.chmod(0o755)


KNOWS = """
case "$*" in
    *--print-uris*) echo "'http://deb.test/pool/thing_1%3a2_all.deb' thing_1%3a2_all.deb 3 SHA256:0" ;;
    *download*) echo deb > thing_1%3a2_all.deb ;;
esac
"""


def test_a_package_is_fetched_once(apt: Path, tmp_path: Path) -> None:
    write(apt, KNOWS)
    for _ in range(2):
        assert packages.fetch("thing", tmp_path / "p") == tmp_path / "p" / "thing_1%3a2_all.deb"
    calls = (apt.parent / "calls").read_text().splitlines()
    assert [call.split()[-2:] for call in calls if "--print-uris" not in call] == [["download", "thing"]]


def test_a_machine_that_knows_nothing_of_packages_is_left_as_it_is(apt: Path, tmp_path: Path) -> None:
    own = f'case "$*" in *{tmp_path}/p/lists*) ;; *) echo "E: Unable to locate package thing" >&2; exit 100 ;; esac'
    write(apt, own + KNOWS)
    assert packages.fetch("thing", tmp_path / "p").exists()
    updates = [call for call in (apt.parent / "calls").read_text().splitlines() if call.endswith("update")]
    assert len(updates) == 1
    assert f"Dir::State::Lists={tmp_path / 'p' / 'lists'}" in updates[0]


def test_why_a_package_can_t_be_had(apt: Path, tmp_path: Path) -> None:
    write(apt, 'echo "W: something" >&2; echo "E: Unable to locate package thing" >&2; exit 100')
    with pytest.raises(BuildFailure, match="Unable to locate package thing"):
        packages.fetch("thing", tmp_path)


def test_without_apt_get_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildFailure, match="apt-get is not there"):
        packages.fetch("thing", tmp_path)


def test_only_what_is_wanted_is_unpacked(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for path, text in (
        ("DEBIAN/control", "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: m\nDescription: d\n"),
        ("a/yes", "1"),
        ("b/no", "2"),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "a" / "yes").chmod(0o755)
    subprocess.run(["dpkg-deb", "--build", root, tmp_path / "x.deb"], check=True, capture_output=True)
    packages.unpack(tmp_path / "x.deb", tmp_path / "out", lambda path: path.parts[0] == "a")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")] == ["a", "a/yes"]
    assert os.access(tmp_path / "out" / "a" / "yes", os.X_OK)
    (tmp_path / "x.deb").write_bytes(b"no package")
    with pytest.raises(BuildFailure, match="can't be unpacked"):
        packages.unpack(tmp_path / "x.deb", tmp_path / "out", lambda _: True)


# --------------------------------------------------------------------------------------------------------------- build


def test_nothing_is_found_where_nothing_was_built(tmp_path: Path) -> None:
    assert find(tmp_path) is None


@pytest.mark.kernel
def test_the_system_is_small_and_found_again() -> None:
    system = vms.built()
    assert find(vms.IMAGES) == system
    assert system.size < 24 << 20
    kernel = image.kernel(vms.IMAGES)
    archived = set(names_in(system.initrd.read_bytes()))
    wanted = [PurePosixPath(path).name for path in modules.in_order(kernel.tree, MODULES)]
    assert {f"lib/modules/{name}" for name in wanted} <= archived
    assert {"virtio_net.ko", "virtio_blk.ko", "isofs.ko"} <= set(wanted)


@pytest.mark.kernel
def test_after_an_upgrade_it_is_packed_anew_without_fetching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vms.built()
    for part in ("kernel", "busybox"):
        (tmp_path / part).symlink_to(vms.IMAGES / part)
    monkeypatch.setattr(packages, "fetch", lambda *_: pytest.fail("something was fetched"))
    found = find(tmp_path)
    assert found is not None
    assert found.initrd.read_bytes() == vms.built().initrd.read_bytes()


@pytest.mark.kernel
def test_several_who_build_at_once_build_one(tmp_path: Path) -> None:
    vms.built()
    for part in ("kernel", "busybox"):
        (tmp_path / part).symlink_to(vms.IMAGES / part)
    with ThreadPoolExecutor(max_workers=4) as threads:
        built = {each.result() for each in [threads.submit(image.build, tmp_path) for _ in range(4)]}
    assert len(built) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_where_nothing_can_be_written_that_is_said() -> None:
    with pytest.raises(BuildFailure, match="can't be written to /proc/self/images"):
        image.build(Path("/proc/self/images"))


@pytest.mark.kernel
@pytest.mark.slow
def test_the_same_packages_give_the_same_bytes(tmp_path: Path) -> None:
    first = vms.built()
    (tmp_path / "packages").symlink_to(vms.IMAGES / "packages")
    again = image.build(tmp_path)
    assert again.initrd.read_bytes() == first.initrd.read_bytes()
    assert again.kernel.read_bytes() == first.kernel.read_bytes()
