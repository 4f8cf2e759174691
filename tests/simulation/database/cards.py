"""NICs that projects make themselves, in the simulated database: none, for no client of the simulation makes any."""

from collections.abc import Sequence

from mooring.model.ids import InstanceId, NicId, ProjectId
from mooring.model.nouns import Nic, OwnNic


class Cards:
    """See mooring.operations.interfaces_of_instances.Cards."""

    def own(self, nic: NicId, own: OwnNic) -> None:
        raise AssertionError(f"nobody in the simulation makes {nic}, {own}")

    def get(self, nic: NicId) -> Nic | None:
        return None

    def list(self, project: ProjectId | None) -> Sequence[Nic]:
        return ()

    def describe(self, nic: NicId, own: OwnNic) -> None:
        raise AssertionError(f"nobody in the simulation calls {nic} {own}")

    def plug(self, nic: NicId, instance: InstanceId, position: int) -> bool:
        raise AssertionError(f"nobody in the simulation puts {nic} into {instance} at {position}")

    def unplug(self, nic: NicId) -> bool:
        return False
