"""A whole mooring whose guests are VMs: launched through operations, reached through a floating IP."""

from pathlib import Path

import pytest

from mooring.config import Settings
from mooring.demos.stage import OUTSIDE, Stage
from mooring.guests.qemu.machines import all_machines, find
from mooring.model.faults import NotFound
from mooring.model.ids import InstanceId
from mooring.model.nouns import Image, InstanceState
from mooring.operations import NewInstance
from tests.guests.qemu import vms
from tests.journeys.town import Town, eventually

pytestmark = pytest.mark.kernel


class VmStage(Stage):
    def _settings(self, state: Path) -> Settings:
        usual = super()._settings(state)
        host = usual.host.model_copy(update={"guests": "qemu", "vm_images": vms.IMAGES})
        return usual.model_copy(update={"host": host})


def image(town: Town, name: str) -> Image:
    return next(each for each in town.operations.instances.images() if each.name == name)


def is_gone(town: Town, instance: InstanceId) -> bool:
    try:
        town.operations.instances.get(town.demo, instance)
    except NotFound:
        return find(instance) is None
    return False


def test_a_vm_is_launched_answers_from_outside_and_goes(tmp_path: Path) -> None:
    vms.built()
    with VmStage(tmp_path, keep_port=False) as stage:
        town = Town(stage)
        made = town.operations.instances.create(town.demo, NewInstance("vm-1", image(town, "tiny-vm").id, "1"))
        eventually(
            lambda: town.operations.instances.get(town.demo, made.id).state is not InstanceState.BUILDING, timeout=60
        )
        instance = town.operations.instances.get(town.demo, made.id)
        assert (instance.state, instance.fault) == (InstanceState.ACTIVE, None)
        address = town.float_to(made.id)
        eventually(lambda: town.answers(address), timeout=60)
        page = town.at(OUTSIDE, "busybox", "wget", "-q", "-O", "-", f"http://{address}/")
        assert "instance   vm-1" in page
        assert str(town.fixed(made.id)) in page
        town.operations.instances.delete(town.demo, made.id)
        eventually(lambda: is_gone(town, made.id), timeout=30)
        assert list(all_machines()) == []
