"""Topics: who calls whom, and on which subject.  The only list of them, for code and for the permissions of a NATS server.

    controller.HOST.METHOD   a host's calls, shared by all controllers
    scheduler                an instance wants a host; shared by all controllers
    host.HOST                there is something to pull
    compute.HOST             run an instance
    settled                  hosts have reported; to everybody who waits for them

HOST is a host's id.
"""

from mooring.model.ids import HostId

CONTROLLER = "controller.*.*"
SCHEDULER = "scheduler"
SETTLED = "settled"
METHODS = ("register", "heartbeat", "pull", "digest", "report", "uplinks", "set_up_network", "allocate_fixed_ips")
"""What hosts call the controller for."""

HOSTS = "host.*"
COMPUTES = "compute.*"


def controller_topic(host: HostId, method: str) -> str:
    """Return the topic on which a host calls a method of the controller; `*` is any method."""
    return f"controller.{host}.{method}"


def caller_of(topic: str) -> tuple[HostId, str]:
    """Return the host and the method of a topic that CONTROLLER matches."""
    _, host, method = topic.split(".")
    return HostId(host), method


def host_topic(host: HostId) -> str:
    """Return the topic on which a host is woken."""
    return f"host.{host}"


def compute_topic(host: HostId) -> str:
    """Return the topic on which a host is asked to run instances."""
    return f"compute.{host}"


def matches(pattern: str, topic: str) -> bool:
    """Say whether a topic is one of a pattern's, in which `*` stands for any one word."""
    wanted, words = pattern.split("."), topic.split(".")
    return len(wanted) == len(words) and all(one in {"*", word} for one, word in zip(wanted, words, strict=True))


def asker(pattern: str, topic: str) -> str | None:
    """Return who sends on a topic that a pattern matches: the word at the pattern's first `*`; None if it has none."""
    words = pattern.split(".")
    return topic.split(".")[words.index("*")] if "*" in words else None


def kind_of(topic: str) -> str:
    """Return a topic without the hosts in it, for statistics: `controller.pull`, `host`, `settled`."""
    first, *rest = topic.split(".")
    return f"{first}.{rest[-1]}" if first == "controller" and rest else first
