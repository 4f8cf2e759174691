"""The interesting states: a run of many seeds that never gets to one of them has tested less than it says."""

OFTEN = frozenset(
    {
        "Exhausted",
        "QuotaExceeded",
        "address associated",
        "address kept from a new gateway",
        "address moved on one gateway",
        "address moved to another gateway",
        "agent died in the middle of a change",
        "agent restarted mid-launch",
        "answer to a client lost",
        "associate: Conflict",
        "associate: Lost",
        "associate: NotReady",
        "associated while the instance was being built",
        "backup restored",
        "call not answered in time",
        "client gave up",
        "clock set back",
        "clock set forward",
        "commit done and not known",
        "commit refused",
        "crash before commit",
        "crash between commit and publish",
        "crash of agent",
        "crash of api",
        "crash of controller",
        "create: QuotaExceeded",
        "database away",
        "database goes away",
        "database went back, and nobody said so",
        "deleted while it was being built",
        "duplicate delivered",
        "host away for longer than its liveness",
        "host dead and back with old state",
        "instance active",
        "instance building",
        "instance deleting",
        "instance error",
        "kernel changed by a stranger",
        "launch taken back",
        "lost reply retried",
        "message dropped",
        "message late",
        "message lost to a partition",
        "one-way partition",
        "partition",
        "power cut",
        "process stopped for a while",
        "process stopped for longer than its liveness",
        "refused apply",
        "release with two holders",
        "torn apply",
        "unavailable, retried",
    }
)
"""What any 40 seeds reach."""

RARELY = frozenset(
    {
        "agent died while a guest started",
        "agent ousted",
        "another machine has the name",
        "another machine of the same name",
        "associate: Exhausted",
        "create: Conflict",
        "create: Exhausted",
        "epoch of before the clock was set back",
        "guest failed to start",
    }
)
"""What some hundred seeds reach."""

HARDLY = frozenset({"associate: NotFound"})
"""What needs an accident in the right moment of an accident: it counts, and nobody is asked for it."""
