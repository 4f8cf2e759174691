"""systemd's units in packaging/, read as tests need them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PACKAGING = Path(__file__).parents[2] / "packaging"


_SERVICE = """
Type ExecStart Restart RestartSec TimeoutStopSec User Group KillMode OOMPolicy UMask LimitNOFILE LimitCORE
StateDirectory StateDirectoryMode RuntimeDirectory RuntimeDirectoryMode RuntimeDirectoryPreserve
CapabilityBoundingSet AmbientCapabilities NoNewPrivileges LockPersonality RemoveIPC
PrivateTmp PrivateDevices ProcSubset ProtectProc ProtectSystem ProtectHome ProtectClock ProtectControlGroups ProtectHostname
ProtectKernelLogs ProtectKernelModules ProtectKernelTunables
RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID
SystemCallArchitectures SystemCallFilter SystemCallErrorNumber
"""

# What systemd 252, Debian 12's, knows of and the units use; systemd itself ignores a setting that it doesn't know.
KNOWN: Mapping[str, frozenset[str]] = {
    "Unit": frozenset({"Description", "Documentation", "After", "Wants", "Conflicts", "StartLimitIntervalSec"}),
    "Install": frozenset({"WantedBy"}),
    "Service": frozenset(_SERVICE.split()),
}


def lines(unit: str) -> Iterator[tuple[str, str, str]]:
    """Return each setting of a unit with its section and its value.

    Raises:
        ValueError: a line is none.
    """
    section = ""
    for line in (PACKAGING / "systemd" / f"{unit}.service").read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif line and not line.startswith("#"):
            name, found, value = line.partition("=")
            if not found or name != name.strip():
                raise ValueError(f"{unit}: {line!r} is no setting")
            yield section, name, value


def settings(unit: str) -> Mapping[str, Sequence[str]]:
    """Return the settings of a unit's [Service], each with its values in order."""
    found: dict[str, list[str]] = {}
    for section, name, value in lines(unit):
        if section == "Service":
            found.setdefault(name, []).append(value)
    return found


def capabilities(unit: str) -> frozenset[str]:
    """Return the capabilities that a unit's process can have, as setpriv calls them: net_admin, and so on."""
    (value,) = settings(unit)["CapabilityBoundingSet"]
    return frozenset(word.removeprefix("CAP_").lower() for word in value.split())


def as_the_unit_does(unit: str) -> list[str]:
    """Return the command that takes away what a unit takes away, before the command that it runs."""
    bounds = ",".join(["-all", *(f"+{name}" for name in sorted(capabilities(unit)))])
    without = ["setpriv", "--inh-caps=-all", f"--bounding-set={bounds}", "--no-new-privs", "--"]
    if "ProcSubset" not in settings(unit):
        return without
    # It sees no processes but its own, and nothing else in /proc.
    blind = 'mount -t proc -o subset=pid,hidepid=invisible proc /proc && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", blind, "sh", *without]
