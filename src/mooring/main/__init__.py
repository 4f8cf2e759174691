"""The composition root: reads one configuration and builds everything from it, explicitly and in one place.

    node.py         API, controller and agent in one process: `mooring up`
    api.py  controller.py  agent.py     the same, each as a process of its own
    service.py      what api and controller are built on: store and operations
    host.py         what an agent is built of, on any bus
    bus.py          the way to a NATS server, and who we are there
    status.py  server.py  metrics.py    HTTP: alive, ready, figures
    process.py      starting, waiting for a signal, stopping
    clock.py        time and randomness

Import what you need from its module: an agent has no use for the libraries of the API.
"""

from pathlib import Path


def up(config: Path | None) -> int:
    """Run everything in one process until SIGINT or SIGTERM; return the exit code."""
    from mooring.main import node  # noqa: PLC0415 - see above

    return node.run(config)
