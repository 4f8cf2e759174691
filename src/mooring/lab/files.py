"""What each of mooring's processes in the laboratory is told: one TOML file each, with its own credentials for the bus."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from mooring.lab import database
from mooring.lab.plan import API_PORT, NATS_PORT, Database, HostPlan, Plan
from mooring.lab.wires import TAGS, TRUNK

ADMIN, TENANTS = "admin", ("red", "blue")
STATE, RUN = Path("/run/mooring-state"), Path("/run/mooring")


class Files:
    """The configuration files of a laboratory, in one directory that only its owner can read."""

    def __init__(self, plan: Plan, directory: Path, public_url: str) -> None:
        """Invent a password; nothing is written before `write`."""
        self._plan = plan
        self._directory = directory
        self._public_url = public_url
        self.password = secrets.token_urlsafe(9)

    def write(self) -> Mapping[str, Path]:
        """Write all files; return them by `api`, `controller` and the names of hosts."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        texts = {"api": self._api(), "controller": self._service()}
        texts |= {host.name: self._agent(host) for host in self._plan.machines}
        return {
            name: self._save(name, f"# Written by mooring lab.\n{text}{self._bus(name)}")
            for name, text in texts.items()
        }

    def credentials(self, name: str) -> Path:
        """Return the bus credentials of a process."""
        return self._directory.parent / "bus" / f"{name}.credentials"

    def _save(self, name: str, text: str) -> Path:
        path = self._directory / f"{name}.toml"
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        return path

    def _bus(self, name: str) -> str:
        server = f"nats://{self._plan.control.ip}:{NATS_PORT}"
        return (
            f'\n[bus]\nservers = ["{server}"]\ncredentials = "{self.credentials(name)}"\n\n[log]\njson_lines = true\n'
        )

    def _service(self) -> str:
        url = database.URL if self._plan.database is Database.POSTGRESQL else f"sqlite:///{STATE / 'mooring.db'}"
        return "\n".join(
            [
                f'state_directory = "{STATE}"',
                f'run_directory = "{RUN}"',
                f'\n[database]\nurl = "{url}"',
                "\n[quotas]\ninstances = 200\nfloating_ips = 200\n",
            ]
        )

    def _api(self) -> str:
        accounts = [(ADMIN, "admin"), *((tenant, "member") for tenant in TENANTS)]
        listed = [
            f'\n[[identity.accounts]]\nuser = "{name}"\npassword = "{self.password}"\nproject = "{name}"\nrole = "{role}"\n'
            for name, role in accounts
        ]
        api = f'\n[api]\nlisten = "{self._plan.control.ip}"\nport = {API_PORT}\npublic_url = "{self._public_url}"\n'
        return self._service() + api + "".join(listed)

    def _agent(self, host: HostPlan) -> str:
        lines = [
            f'state_directory = "{STATE}"',
            f'run_directory = "{RUN}"',
            f'\n[host]\nname = "{host.name}"',
            "compute = true",
            f"gateway = {str(host.gateway).lower()}",
            f'cluster = "{host.cluster}"',
            f'endpoint = "{host.address.ip}"',
            f'trunk_interface = "{TRUNK}"',
        ]
        if self._plan.vlans:
            lines.append(f'vlan_interface = "{TAGS}"')
        return "\n".join(lines) + "\n"
