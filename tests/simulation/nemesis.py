"""Who breaks things, second by second: crashes, power cuts, partitions, clocks, a database that is away, strangers on hosts."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from mooring.compile.facts import Stage
from tests.simulation.hosts import Machine

if TYPE_CHECKING:
    from tests.simulation.world import World


class Nemesis:
    """A task that draws what goes wrong next; what it breaks, it mends after a while."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._around = world.around
        self._chance = world.around.chance
        self.active = False
        process = world.around.process("nemesis", "nemesis")
        world.baton.spawn(process, "nemesis", self._run)

    def _run(self) -> None:
        while True:
            self._world.baton.sleep(0.5)
            self._restart()
            if not self.active:
                continue
            faults = self._around.faults
            deeds: list[tuple[float, Callable[[], None]]] = [
                (faults.crash, self._crash),
                (faults.power_cut, self._power_cut),
                (faults.cut, self._cut),
                (faults.one_way, self._one_way),
                (faults.away, self._away),
                (faults.database_away, self._database_away),
                (faults.skew, self._skew),
                (faults.tamper, self._tamper),
            ]
            for often, do in deeds:
                if self._around.happens(often):
                    do()

    def heal(self) -> None:
        """Mend everything, and break nothing any longer."""
        self.active = False
        self._around.deaf.clear()
        self._around.mute.clear()
        self._around.skews.clear()
        self._around.database_away_until = 0.0
        for machine in self._world.machines:
            machine.kernel._refusals.clear()
            machine.kernel._tears.clear()

    def _restart(self) -> None:
        """Start again what has died, as systemd does."""
        world = self._world
        for number, api in enumerate(world.apis):
            if not api.process.alive and (not self.active or self._chance.random() < 0.5):
                world.reap()
                world.apis.remove(api)
                world.start_api(number + 1)
        for number, controller in enumerate(world.controllers):
            if not controller.process.alive and (not self.active or self._chance.random() < 0.5):
                world.controllers.remove(controller)
                world.start_controller(number + 1)
        for machine in world.machines:
            if machine.agent and not machine.agent.process.alive and (not self.active or self._chance.random() < 0.4):
                world.start_agent(machine)

    def _machine(self) -> Machine:
        return self._chance.choice(self._world.machines)

    def _note(self, text: str) -> None:
        self._around.reached(text)
        self._world.baton.note(f"nemesis: {text}")

    def _crash(self) -> None:
        processes = [api.process for api in self._world.apis] + [one.process for one in self._world.controllers]
        processes += [machine.agent.process for machine in self._world.machines if machine.agent]
        process = self._chance.choice(processes)
        self._note(f"crash of {process.name.split('@')[0].split('-')[0]}")
        self._world.baton.kill(process)

    def _power_cut(self) -> None:
        machine = self._machine()
        self._note("power cut")
        machine.lose_power()
        self._around.kernels_changed = True
        if machine.agent:
            self._world.baton.kill(machine.agent.process)

    def _isolate(self, site: str, *, deaf: bool, mute: bool, seconds: float) -> None:
        around = self._around
        around.deaf[site] += deaf
        around.mute[site] += mute

        def end() -> None:
            around.deaf[site] = max(0, around.deaf[site] - deaf)
            around.mute[site] = max(0, around.mute[site] - mute)

        self._world.baton.later(seconds, end)

    def _site(self) -> str:
        return self._chance.choice([*(machine.name for machine in self._world.machines), "control-1", "control-2"])

    def _cut(self) -> None:
        self._note("partition")
        self._isolate(self._site(), deaf=True, mute=True, seconds=self._chance.uniform(1, 8))

    def _one_way(self) -> None:
        deaf = self._chance.random() < 0.5
        self._note("one-way partition")
        self._isolate(self._site(), deaf=deaf, mute=not deaf, seconds=self._chance.uniform(1, 8))

    def _away(self) -> None:
        self._note("host away for longer than its liveness")
        self._isolate(self._machine().name, deaf=True, mute=True, seconds=self._chance.uniform(11, 25))

    def _database_away(self) -> None:
        self._note("database goes away")
        self._around.database_away_until = self._world.baton.now + self._chance.uniform(0.5, 6)

    def _skew(self) -> None:
        self._note("clock steps")
        by = self._chance.uniform(-2, 2)
        self._around.skews[self._chance.choice(("control-1", "control-2"))] = by

    def _tamper(self) -> None:
        machine = self._machine()
        keys = [key for key in machine.kernel.state if key.table.stage in {Stage.ELEMENT, Stage.ENTRY}]
        if keys:
            self._note("kernel changed by a stranger")
            self._around.kernels_changed = True
            machine.kernel.tamper(drop=[self._chance.choice(keys)], silent=self._chance.random() < 0.5)
