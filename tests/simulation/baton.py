"""Real synchronous code, interleaved by a seed: one thread per task, and one baton that only its holder may run with.

The code under test blocks: in a transaction, in a call over the bus, in waiting for hosts.  So each task is an operating system thread; but
only the holder of the baton runs.  Every object that the simulation injects (store, bus, bell, clock, back-end, guests) calls `pause`,
`sleep` or `wait` where the real thing could be slow; there the holder draws the next task and hands the baton over.  Between two such calls
a task runs without interruption.  Nothing depends on the machine's scheduler: the same seed makes the same steps, measured at about 80,000
handovers a second.

A task belongs to a process.  A process is killed by raising `Killed`, a BaseException, in each of its tasks where it stands; `finally`
blocks of the real code then run, but every injected object refuses to do anything for the dead.
"""

import contextvars
import heapq
import itertools
import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b

_TRACE = 4000


class Killed(BaseException):
    """The process of this task is dead."""


class Violation(BaseException):
    """An invariant does not hold.  No Exception: the code under test must not swallow it."""


def require(truth: object, invariant: str, text: str) -> None:
    """Raise Violation unless something is true."""
    if not truth:
        raise Violation(f"{invariant}: {text}")


@dataclass(eq=False)
class Process:
    """Something that can be killed: its tasks end, what it kept in memory is gone."""

    name: str
    alive: bool = True
    paused: bool = False
    tasks: "dict[Task, None]" = field(default_factory=dict)
    parked: "list[Task]" = field(default_factory=list)

    @property
    def kind(self) -> str:
        """What it is one of: api, controller or agent."""
        return self.name.split("@")[0].split("-")[0]


class Task:
    """A thread that runs only while it holds the baton."""

    def __init__(self, number: int, name: str, process: Process, work: Callable[[], None]) -> None:
        self.number = number
        self.name = name
        self.process = process
        self.work = work
        self.lock = threading.Lock()
        self.lock.acquire()
        self.killed = False
        self.done = False
        self.waits: Signal | None = None
        self.rings = 0  # a timer of an earlier sleep does not wake a later one


class Signal:
    """Something that tasks wait for; setting it wakes them all, and it stays set until somebody clears it."""

    def __init__(self) -> None:
        self.is_set = False
        self.waiting: list[Task] = []


class Baton:
    """The scheduler: whose turn it is, what time it is, and what happened."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self.limit = 0
        self.ended = False
        self.failure: BaseException | None = None
        self.after_step: Callable[[], None] = lambda: None
        self.tail: deque[str] = deque(maxlen=_TRACE)
        self._hash = blake2b(digest_size=16)
        self._ready: list[Task] = []
        self._timers: list[tuple[float, int, Task | Callable[[], None], int]] = []
        self._numbers = itertools.count()
        self._holder: Task | None = None
        self._main = threading.Lock()
        self._main.acquire()
        self._idle: list[_Worker] = []
        self._all: dict[Task, None] = {}
        self._returns: list[threading.Lock] = []
        self.stickiness = 0.3

    # ------------------------------------------------------------------------------------------------------- the trace

    def note(self, text: str) -> None:
        """Write a line of the trace; all lines together make the hash."""
        line = f"{self.steps} {self.now:.4f} {self._holder.name if self._holder else '-'}: {text}"
        self._hash.update(line.encode())
        self.tail.append(line)

    def digest(self) -> str:
        """Return the hash of everything that was noted."""
        return self._hash.hexdigest()

    # ------------------------------------------------------------------------------------------------ from the outside

    def run(self, steps: int) -> None:
        """Run until so many more steps are made; raise what went wrong."""
        self.limit = self.steps + steps
        self.ended = False
        holder = self._holder or self._choose()
        if holder is None:
            raise RuntimeError("there is nothing to run")
        self._hand_to(holder)
        self._main.acquire()
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """End all tasks and threads."""
        self.failure = self.failure or Killed()
        for task in list(self._all):
            self._end(task)
        for worker in self._idle:
            worker.stop()
        self._idle.clear()

    # --------------------------------------------------------------------------------------------------- for the tasks

    def spawn(self, process: Process, name: str, work: Callable[[], None]) -> Task:
        """Start a task of a process; it gets its first turn some time later."""
        task = Task(next(self._numbers), name, process, work)
        if not process.alive:
            task.done = True
            return task
        process.tasks[task] = None
        self._all[task] = None
        worker = self._idle.pop() if self._idle else _Worker(self)
        worker.take(task)
        self._get_ready(task)
        return task

    def pause(self) -> None:
        """Let others run, perhaps."""
        me = self._me()
        self._get_ready(me)
        self._pass_on(me)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        me = self._me()
        self._alarm(me, seconds)
        self._pass_on(me)

    def wait(self, signal: Signal, timeout: float) -> bool:
        """Wait until a signal is set, or until a time is over; return whether it is set."""
        me = self._me()
        if signal.is_set:
            self.pause()
        elif timeout > 0:
            signal.waiting.append(me)
            me.waits = signal
            self._alarm(me, timeout)
            self._pass_on(me)
        return signal.is_set

    def set(self, signal: Signal) -> None:
        """Wake who waits."""
        signal.is_set = True
        for task in signal.waiting:
            self._wake(task)
        signal.waiting.clear()

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something after a time, in nobody's name."""
        heapq.heappush(self._timers, (self.now + seconds, next(self._numbers), what, 0))

    def kill(self, process: Process) -> None:
        """End a process.  Its tasks are unwound here and now, but for the one that calls: that one raises Killed."""
        process.alive = False
        me = self._holder
        for task in list(process.tasks):
            if task is not me:
                self._end(task)
        if me is not None and me.process is process:
            me.killed = True
            raise Killed

    def stop(self, process: Process) -> None:
        """Let a process make no step until it is continued, as SIGSTOP does; others see nothing of that but silence."""
        process.paused = True
        mine = [task for task in self._ready if task.process is process]
        process.parked += mine
        self._ready = [task for task in self._ready if task.process is not process]

    def go_on(self, process: Process) -> None:
        """Continue a process that was stopped."""
        process.paused = False
        self._ready += process.parked
        process.parked = []

    def check(self) -> None:
        """Refuse to do anything for the dead."""
        me = self._holder
        if me is None or me.killed or self.failure is not None:
            raise Killed

    @property
    def holder(self) -> Task | None:
        """Whose turn it is."""
        return self._holder

    # ---------------------------------------------------------------------------------------------------------- inside

    def _me(self) -> Task:
        self.check()
        assert self._holder is not None
        return self._holder

    def _alarm(self, task: Task, seconds: float) -> None:
        task.rings += 1
        heapq.heappush(self._timers, (self.now + max(seconds, 0.0), next(self._numbers), task, task.rings))

    def _wake(self, task: Task) -> None:
        task.waits = None
        task.rings += 1
        self._get_ready(task)

    def _get_ready(self, task: Task) -> None:
        (task.process.parked if task.process.paused else self._ready).append(task)

    def _choose(self) -> Task | None:
        """Take the next step: time, what is due, then a task by lot."""
        self.now += 0.0005
        while True:
            while self._timers and (self._timers[0][0] <= self.now or not self._ready):
                due, _, what, ring = heapq.heappop(self._timers)
                self.now = max(self.now, due)
                if not isinstance(what, Task):
                    what()
                elif what.rings == ring and not what.done:
                    if what.waits is not None:
                        what.waits.waiting.remove(what)
                    self._wake(what)
            if self._ready:
                break
            if not self._timers:
                return None
        ready = self._ready
        index = len(ready) - 1
        if len(ready) > 1 and self.random.random() >= self.stickiness:
            index = self.random.randrange(len(ready))
        ready[index], ready[-1] = ready[-1], ready[index]
        return ready.pop()

    def _step(self) -> Task | None:
        """Make a step; None if this was the last one, or something is wrong."""
        self.steps += 1
        try:
            self.after_step()
        except BaseException as error:  # noqa: BLE001 - whoever holds the baton, the run has failed
            self.failure = error
            return None
        if self.steps >= self.limit:
            self.ended = True
            return None
        chosen = self._choose()
        if chosen is None:
            self.failure = RuntimeError("nothing is left to run")
        return chosen

    def _pass_on(self, me: Task) -> None:
        chosen = self._step()
        if chosen is not me:
            if chosen is None:
                self._stop()
            else:
                self._hand_to(chosen)
            me.lock.acquire()
        else:
            self._holder = me
        if me.killed or self.failure is not None:
            raise Killed

    def _hand_to(self, task: Task) -> None:
        self._holder = task
        task.lock.release()

    def _stop(self) -> None:
        """Give the baton back to whoever called `run`."""
        self._holder = None
        self._main.release()

    def _end(self, task: Task) -> None:
        """Unwind a task that stands still, and come back."""
        if task.done:
            return
        task.killed = True
        for where in (self._ready, task.process.parked):
            if task in where:
                where.remove(task)
        if task.waits is not None:
            task.waits.waiting.remove(task)
        task.rings += 1
        before, self._holder = self._holder, task
        self._returns.append(threading.Lock())
        self._returns[-1].acquire()
        task.lock.release()
        self._returns[-1].acquire()
        self._returns.pop()
        self._holder = before

    def succeed(self, worker: "_Worker", task: Task, error: BaseException | None) -> None:
        """Pass the baton on from a task that has ended; the last thing that its thread does for it."""
        task.done = True
        task.process.tasks.pop(task, None)
        self._all.pop(task, None)
        self._idle.append(worker)
        if self._returns:
            # It was unwound by somebody who waits for that.
            self._returns[-1].release()
            return
        if error is not None and self.failure is None:
            self.failure = error
        chosen = self._step() if self.failure is None else None
        if chosen is None:
            self._stop()
        else:
            self._hand_to(chosen)


class _Worker:
    """A thread that is used again: to make one takes as long as ten steps."""

    def __init__(self, baton: Baton) -> None:
        self._baton = baton
        self._task: Task | None = None
        self._go = threading.Lock()
        self._go.acquire()
        self._thread = threading.Thread(target=self._run, name="simulated", daemon=True)
        self._thread.start()

    def take(self, task: Task) -> None:
        self._task = task
        self._go.release()

    def stop(self) -> None:
        self._task = None
        self._go.release()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._go.acquire()
            task = self._task
            if task is None:
                return
            task.lock.acquire()
            error: BaseException | None = None
            if not task.killed:
                try:
                    contextvars.Context().run(task.work)
                except Killed:
                    pass
                except BaseException as failure:  # noqa: BLE001 - nothing may end a task but its work
                    error = failure
            self._baton.succeed(self, task, error)
