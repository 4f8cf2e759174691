"""Callers whom another identity service knows: it checks their tokens, and mooring keeps a row for what may own things.

A project and a user get their row when their first token comes, so that quotas, instances and everything else can name them; which roles
somebody has is never kept, but for as long as a token's answer is.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

from mooring.model.accounts import Caller, Project, Role, Token, User
from mooring.model.faults import Forbidden, Unauthenticated
from mooring.model.ids import ProjectId, UserId
from mooring.operations.accounts import add_project
from mooring.operations.door import Door
from mooring.operations.interfaces import Credentials, Transaction
from mooring.policy.names import MAX_NAME, name_fault

_REFUSED = "The request you have made requires authentication."

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Named:
    """A user or project of the other service; `domain` is the name of the domain whose it is, or None for the usual one."""

    id: str
    name: str
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class ForeignToken:
    """What the other service says of a token; `project` is None for one that is for no project."""

    user: Named
    project: Named | None
    roles: frozenset[Role]
    issued_at: datetime
    expires_at: datetime


class Authority(Protocol):
    """The other identity service."""

    @property
    def url(self) -> str:
        """Where people log in."""
        ...

    def validate(self, secret: str) -> ForeignToken:
        """Return what a token stands for.

        Raises:
            Unauthenticated: nothing, or nothing any longer.
            Unavailable: the service cannot be asked.
        """
        ...


@dataclass(frozen=True, slots=True)
class Remembering:
    """For how many seconds an answer of the authority's is believed, and how many are kept."""

    seconds: float = 60.0
    most: int = 10_000
    clock: Callable[[], float] = time.monotonic


class ForeignCallers:
    """Tells from a token who calls, by asking the authority and remembering its answers for a while.

    A token that was refused is remembered too, apart from the others: whoever makes tokens up neither asks the authority each time nor
    drives anybody's good one out.
    """

    def __init__(self, door: Door, authority: Authority, remembering: Remembering | None = None) -> None:
        """Keep the door, whom to ask, and for how long to believe it."""
        self._door = door
        self._authority = authority
        self._remembering = remembering or Remembering()
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Token]] = OrderedDict()
        self._refused: OrderedDict[str, tuple[float, bool]] = OrderedDict()

    @property
    def url(self) -> str:
        """Return where people log in."""
        return self._authority.url

    def token(self, secret: str) -> Token:
        """Return what a token stands for.

        Raises:
            Unauthenticated: nothing, or nothing any longer.
            Unavailable: nobody can say.
        """
        # What is kept in memory must not be usable as a token.
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        now = self._remembering.clock()
        with self._lock:
            known = _fresh(self._known, digest, now)
            if known is None and _fresh(self._refused, digest, now):
                raise Unauthenticated(_REFUSED)
        return replace(known or self._ask(secret, digest, now), secret=secret)

    def caller(self, secret: str, request_id: str) -> Caller:
        """Return the caller that a token with a project stands for.

        Raises:
            Unauthenticated: there is no such token, or it has no project.
            Forbidden: none of its roles is one of ours.
            Unavailable: nobody can say.
        """
        token = self.token(secret)
        if token.project is None:
            raise Unauthenticated(_REFUSED)
        if not token.roles:
            raise Forbidden("Your roles do not allow this.", detail=f"{token.user.name} has none of {', '.join(Role)}")
        return Caller(token.user, token.project, token.roles, request_id)

    def _ask(self, secret: str, digest: str, now: float) -> Token:
        seconds = self._remembering.seconds
        try:
            said = self._authority.validate(secret)
        except Unauthenticated:
            self._keep(self._refused, digest, (now + seconds, True))
            raise
        user, project, moment = self._recorded(said)
        token = Token("", user, project, said.roles, said.issued_at, said.expires_at)
        # Counted from before it was asked for, so that what is revoked afterwards has no more than these seconds.
        self._keep(self._known, digest, (now + min(seconds, (said.expires_at - moment).total_seconds()), token))
        return token

    def _keep(self, kept: OrderedDict[str, tuple[float, V]], digest: str, answer: tuple[float, V]) -> None:
        with self._lock:
            # The oldest answer goes first, so it must not stay where an earlier one stood.
            kept.pop(digest, None)
            kept[digest] = answer
            while len(kept) > self._remembering.most:
                kept.popitem(last=False)

    # --------------------------------------------------------------------------------------------------------- rows

    def _recorded(self, said: ForeignToken) -> tuple[User, Project | None, datetime]:
        """Return the rows of a token's user and project, made or renamed if they must be, and what time it is."""
        with self._door.store.read() as tx:
            user, project, now = _user(tx, said.user), _project(tx, said.project), tx.now()
        if user is None or (project is None and said.project is not None):
            with self._door.store.write() as tx:
                user = _user(tx, said.user) or _save_user(tx, said.user)
                if said.project is not None:
                    project = _project(tx, said.project) or self._save_project(tx, said.project)
        return user, project, now

    def _save_project(self, tx: Transaction, named: Named) -> Project:
        known = tx.identities.project(ProjectId(named.id))
        holder = tx.identities.project_by_name(_name(named))
        name = _name(named) if holder is None or holder.id == named.id else _apart(named)
        if known is None:
            return add_project(self._door, tx, Project(ProjectId(named.id), name))
        changed = replace(known, name=name, enabled=True)
        tx.identities.save_project(changed)
        return changed


def _fresh(kept: OrderedDict[str, tuple[float, V]], digest: str, now: float) -> V | None:
    """Return what is kept, while it is to be believed."""
    until, answer = kept.get(digest, (now, None))
    return answer if now < until else None


def _save_user(tx: Transaction, named: Named) -> User:
    known = tx.identities.user(UserId(named.id))
    holder = tx.identities.user_by_name(_name(named))
    name = _name(named) if holder is None or holder.user.id == named.id else _apart(named)
    if known is None:
        user = User(UserId(named.id), name)
        # No password: none opens anything here.
        tx.identities.add_user(Credentials(user, ""))
        return user
    changed = replace(known.user, name=name, enabled=True)
    tx.identities.save_user(changed)
    return changed


def _user(tx: Transaction, named: Named) -> User | None:
    """Return the row of a user, if it says what is so."""
    known = tx.identities.user(UserId(named.id))
    return known.user if known is not None and known.user.enabled and _is_called(known.user.name, named) else None


def _project(tx: Transaction, named: Named | None) -> Project | None:
    """Return the row of a project, if it says what is so."""
    known = tx.identities.project(ProjectId(named.id)) if named is not None else None
    return (
        known if named is not None and known is not None and known.enabled and _is_called(known.name, named) else None
    )


def _is_called(name: str, named: Named) -> bool:
    return name in {_name(named), _apart(named)}


def _name(named: Named) -> str:
    """Return a name that tells things of several domains apart, and can be shown."""
    name = named.name if named.domain is None else f"{named.name}@{named.domain}"
    return name if name_fault(name) is None else named.id


def _apart(named: Named) -> str:
    """Return a name that nobody else can have, for where another has the obvious one: a row of before, or of who was renamed since."""
    return f"{_name(named)[: MAX_NAME - len(named.id) - 3]} ({named.id})"
