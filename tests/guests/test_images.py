"""What clients are told of images is what drivers boot."""

import hashlib
from importlib import import_module
from pathlib import Path

from mooring.guests import netns, qemu
from mooring.guests.image import built
from mooring.guests.netns.inits import SCRIPTS


def test_namespace_guests_are_their_scripts() -> None:
    images = {image.name: image for image in netns.IMAGES}
    for name, scripts in (("web", "launch.sh init.sh dhcp.sh web.sh"), ("bare", "launch.sh init.sh dhcp.sh")):
        content = b"".join((SCRIPTS / script).read_bytes() for script in scripts.split())
        assert (images[name].size, images[name].sha512) == (len(content), hashlib.sha512(content).hexdigest())
        assert images[name].md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()
    # Nothing else runs in a guest: the scripts name each other.
    started = "".join((SCRIPTS / script).read_text() for script in ("launch.sh", "init.sh"))
    assert all(f"{script.name}" in started for script in SCRIPTS.glob("*.sh") if script.name != "launch.sh")


def test_vms_are_the_system_that_was_built(tmp_path: Path) -> None:
    assert {(image.md5, image.sha512) for image in qemu.images_of(tmp_path)} == {(None, None)}
    assert built(tmp_path) is None
    # The module by its name: as an attribute of the package, it is the function.
    made = tmp_path / f"guest-{import_module('mooring.guests.image.build')._fingerprint()}"
    made.mkdir()
    (made / "vmlinuz").write_bytes(b"kernel")
    (made / "initrd").write_bytes(b"system")
    system = built(tmp_path)
    assert system is not None
    images = qemu.images_of(tmp_path)
    assert [image.name for image in images] == ["web", "bare", "tiny-vm"]
    assert {(image.size, image.sha512) for image in images} == {
        (system.size, hashlib.sha512(b"kernelsystem").hexdigest())
    }
