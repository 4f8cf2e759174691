"""The configuration: one TOML file, checked as a whole before anything starts.

sections.py   what sections are made of, and secrets
settings.py   every setting, its default and what it may be
accounts.py   those of who may log in
load.py       from a file to settings, and all that is wrong with it at once
roles.py      what each process needs of a file, and what must not be in it
text.py       the settings that hold, as text without secrets
"""

from mooring.config.accounts import (
    AccountSettings,
    BootstrapSettings,
    FirstUserSettings,
    IdentitySettings,
    KeystoneSettings,
)
from mooring.config.load import ConfigurationError, Problem, load, named, read
from mooring.config.roles import Process, credentials_file, fits, warnings
from mooring.config.sections import Section
from mooring.config.settings import (
    AgentSettings,
    ApiSettings,
    BusSettings,
    ControllerSettings,
    DatabaseSettings,
    HostSettings,
    LogSettings,
    NetworkSettings,
    QuotaSettings,
    Settings,
    TlsSettings,
)
from mooring.config.text import effective

__all__ = [
    "AccountSettings",
    "AgentSettings",
    "ApiSettings",
    "BootstrapSettings",
    "BusSettings",
    "ConfigurationError",
    "ControllerSettings",
    "DatabaseSettings",
    "FirstUserSettings",
    "HostSettings",
    "IdentitySettings",
    "KeystoneSettings",
    "LogSettings",
    "NetworkSettings",
    "Problem",
    "Process",
    "QuotaSettings",
    "Section",
    "Settings",
    "TlsSettings",
    "credentials_file",
    "effective",
    "fits",
    "load",
    "named",
    "read",
    "warnings",
]
