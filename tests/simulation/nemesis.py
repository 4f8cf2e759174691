"""Who breaks things: crashes, power cuts, pauses, partitions, a database that is away, goes back or has its clock set, strangers on hosts."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from mooring.compile.facts import Key, Stage, fact_line
from mooring.compile.tables import MAY_OUT
from tests.simulation.baton import Process
from tests.simulation.hosts import Machine
from tests.simulation.sightings import mid_launch

if TYPE_CHECKING:
    from tests.simulation.world import World

_LIVENESS = 10.0


class Nemesis:
    """A task that draws what goes wrong next; what it breaks, it mends after a while."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._around = world.around
        self._chance = world.around.chance
        self.active = False
        self._stopped: list[Process] = []
        world.baton.spawn(world.around.process("nemesis", "nemesis"), "nemesis", self._run)

    def _run(self) -> None:
        while True:
            self._world.baton.sleep(0.5)
            self._world.restart_dead(0.4 if self.active else 1.0)
            if not self.active:
                continue
            faults = self._around.faults
            deeds: list[tuple[float, Callable[[], None]]] = [
                (faults.crash, self._crash),
                (faults.power_cut, self._power_cut),
                (faults.pause, self._pause),
                (faults.cut, self._cut),
                (faults.one_way, self._one_way),
                (faults.away, self._away),
                (faults.reinstall, self._reinstall),
                (faults.database_away, self._database_away),
                (faults.clock, self._set_clock),
                (faults.tamper, self._tamper),
                (faults.backup, self._world.take_backup),
                (faults.restore, self._restore),
            ]
            for often, do in deeds:
                if self._around.happens(often):
                    do()

    def heal(self) -> None:
        """Mend everything, and break nothing any longer; what time the database's clock shows is for it to know."""
        self.active = False
        self.mend_ways()
        for machine in self._world.machines:
            machine.kernel._refusals.clear()
            machine.kernel._tears.clear()

    def mend_ways(self) -> None:
        """Let every process run and reach every other, and the database."""
        self._around.deaf.clear()
        self._around.mute.clear()
        self._around.database_away_until = 0.0
        for process in self._stopped:
            self._world.baton.go_on(process)
        self._stopped.clear()

    def _note(self, text: str) -> None:
        self._around.reached(text)
        self._world.baton.note(f"nemesis: {text}")

    def _machine(self) -> Machine:
        return self._chance.choice(self._world.machines)

    def _process(self) -> Process:
        return self._chance.choice(self._world.processes())

    def _kill(self, process: Process) -> None:
        for machine in self._world.machines:
            if (
                machine.agent
                and machine.agent.process is process
                and mid_launch(self._world.database.tables, machine.id)
            ):
                self._around.reached("agent restarted mid-launch")
        self._world.baton.kill(process)

    def _crash(self) -> None:
        process = self._process()
        self._note(f"crash of {process.kind}")
        self._kill(process)

    def _power_cut(self) -> None:
        machine = self._machine()
        self._note("power cut")
        if machine.agent:
            self._kill(machine.agent.process)
        machine.lose_power()
        self._around.kernels_changed = True

    def _reinstall(self) -> None:
        machine = self._machine()
        self._note("another machine of the same name")
        if machine.agent:
            self._kill(machine.agent.process)
        machine.reinstall()
        self._around.kernels_changed = True

    def _pause(self) -> None:
        process = self._process()
        seconds = self._chance.choice((0.5, 2.0, 15.0)) * self._chance.uniform(0.5, 1.5)
        self._note(
            "process stopped for longer than its liveness" if seconds > _LIVENESS else "process stopped for a while"
        )
        self._world.baton.stop(process)
        self._stopped.append(process)
        self._world.baton.later(seconds, lambda: self._world.baton.go_on(process))

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
        machine = self._machine()
        self._note("host away for longer than its liveness")
        seconds = self._chance.uniform(11, 25)
        self._isolate(machine.name, deaf=True, mute=True, seconds=seconds)

        def back() -> None:
            if machine.kernel.state:
                self._around.reached("host dead and back with old state")

        self._world.baton.later(seconds, back)

    def _database_away(self) -> None:
        self._note("database goes away")
        self._around.database_away_until = self._world.baton.now + self._chance.choice((0.5, 3.0, 20.0))

    def _set_clock(self) -> None:
        by = self._chance.choice((-3600.0, -60.0, -2.0, 2.0, 60.0, 3600.0))
        self._note("clock set back" if by < 0 else "clock set forward")
        self._around.clock_is_off += by

    def _tamper(self) -> None:
        """Be a stranger on a host: take elements of ours away, or add one that is nobody's."""
        machine = self._machine()
        keys = [key for key in machine.kernel.state if key.table.stage in {Stage.ELEMENT, Stage.ENTRY}]
        # The kernel's own order is that of a set, which is another one in each process.
        keys.sort(key=lambda key: fact_line(key, machine.kernel.state[key]))
        if not keys:
            return
        self._note("kernel changed by a stranger")
        self._around.kernels_changed = True
        silent = self._chance.random() < 0.5
        key = self._chance.choice(keys)
        if key.table is MAY_OUT:
            machine.tamper({Key(MAY_OUT, key.place, (key.row[0], "muffffffffff0")): ()}, (), silent=silent)
        else:
            machine.tamper({}, [key], silent=silent)

    def _restore(self) -> None:
        if self._world.backup is not None:
            self._note("backup restored")
            self._world.restore(renew_at_once=self._chance.random() < 0.5)
