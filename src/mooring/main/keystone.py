"""A Keystone of others, asked what tokens stand for: keystoneauth logs mooring's own user in, asks, and reads the answer."""

from datetime import UTC, datetime
from typing import Any, cast

import structlog

from mooring.config import ConfigurationError, KeystoneSettings
from mooring.model.accounts import Role
from mooring.model.faults import Unauthenticated, Unavailable
from mooring.operations.foreign import ForeignToken, Named

_REFUSED = "The request you have made requires authentication."
_AWAY = "The identity service is not available."
# Keystone's longest tokens have a few hundred characters; what is longer is not worth asking.
_LONGEST = 8192
_USUAL_DOMAIN = "default"
_ROLES = {role.value: role for role in Role}
_log = structlog.get_logger(__name__)


class Keystone:
    """See mooring.operations.foreign.Authority."""

    def __init__(self, settings: KeystoneSettings) -> None:
        """Keep how to ask; nothing is asked before a token is to be looked at.

        Raises:
            ConfigurationError: keystoneauth is not installed.
        """
        try:
            # Only who has another Keystone needs it, and it takes a while.
            from keystoneauth1 import access, exceptions, session  # noqa: PLC0415
        except ImportError as error:
            raise ConfigurationError(
                "identity.keystone: needs the Python package keystoneauth1 (mooring[keystone])"
            ) from error
        self._settings = settings
        self._read = access.create
        self._failures = exceptions
        self._session = session.Session(
            auth=_own_login(settings),
            verify=str(settings.ca) if settings.ca is not None else True,
            timeout=settings.timeout,
            user_agent="mooring",
        )

    @property
    def url(self) -> str:
        """Return where people log in."""
        return self._settings.told_url

    def validate(self, secret: str) -> ForeignToken:
        """Return what a token stands for.

        Raises:
            Unauthenticated: nothing, or it is bound to rules that are not checked here.
            Unavailable: Keystone doesn't answer, or not to us.
        """
        if len(secret) > _LONGEST or not secret.isascii() or not secret.isprintable():
            raise Unauthenticated(_REFUSED)
        failures = self._failures
        try:
            answer = self._session.get(
                f"{self._settings.url}/auth/tokens?nocatalog", headers={"X-Subject-Token": secret}
            )
            return _token_of(self._read(resp=answer, auth_token=secret))
        except failures.NotFound as error:
            raise Unauthenticated(_REFUSED) from error
        except (failures.ClientException, LookupError, TypeError, ValueError, AttributeError) as error:
            # 401 and 403 are about our own user, so whoever asks has done nothing wrong.
            _log.warning(
                "Keystone does not say what a token stands for", keystone=self._settings.url, reason=str(error)
            )
            raise Unavailable(_AWAY, detail=str(error)) from error


def _own_login(settings: KeystoneSettings) -> Any:
    from keystoneauth1.identity import v3  # noqa: PLC0415 - see above

    if settings.credential is not None:
        return v3.ApplicationCredential(
            auth_url=settings.url,
            application_credential_id=settings.credential,
            application_credential_secret=settings.secret or "",
        )
    return v3.Password(
        auth_url=settings.url,
        username=settings.username,
        password=settings.password or "",
        user_domain_name=settings.domain,
        project_name=settings.project,
        project_domain_name=settings.domain,
    )


def _token_of(said: Any) -> ForeignToken:
    """Return an answer of Keystone's in our words; a missing field is a LookupError or a TypeError."""
    if said.application_credential_access_rules is not None:
        # Which say what may be called with it, here or elsewhere: nobody looks at them here, so it opens nothing.
        raise Unauthenticated(_REFUSED, detail="the application credential has access rules")
    names = {str(name).lower() for name in said.role_names}
    roles = frozenset(_ROLES[name] for name in names & _ROLES.keys())
    if Role.ADMIN in roles and not said.is_admin_project:
        # Where Keystone names one project for administrators, it is no administrator elsewhere.
        roles = roles - {Role.ADMIN} | {Role.MEMBER}
    project = _named(said, "project") if said.project_id is not None else None
    return ForeignToken(_named(said, "user"), project, roles, _moment(said.issued), _moment(said.expires))


def _named(said: Any, kind: str) -> Named:
    identifier, domain = getattr(said, f"{kind}_id"), getattr(said, f"{kind}_domain_id")
    name = said.username if kind == "user" else said.project_name
    if not isinstance(identifier, str) or not isinstance(name, str) or not identifier:
        raise TypeError(f"a {kind} without id or name")
    other = None if domain in (None, _USUAL_DOMAIN) else str(getattr(said, f"{kind}_domain_name"))
    return Named(identifier, name, other)


def _moment(moment: object) -> datetime:
    told = cast("datetime", moment)
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)
