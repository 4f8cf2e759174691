"""Projects, users and roles as administrators manage them, and when log-ins end."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from mooring.model.accounts import Project, Role, User
from mooring.model.faults import Conflict, Forbidden, InUse, Invalid, NotFound, TooManyAttempts, Unauthenticated
from mooring.model.ids import ProjectId, UserId
from mooring.model.nouns import Resource
from mooring.operations import (
    NewPreference,
    NewProject,
    NewRule,
    NewUser,
    NewWay,
    Operations,
    ProjectChange,
    UserChange,
)
from mooring.operations.accounts import AccountOperations
from mooring.operations.attempts import Attempts
from mooring.operations.bootstrap import FirstProject, FirstUser
from tests.cloud import PASSWORDS, Cloud


@pytest.fixture
def accounts(cloud: Cloud) -> AccountOperations:
    return cloud.operations.accounts


def log_in(cloud: Cloud, user: str, password: str, project: str | None = None) -> str:
    return cloud.operations.identity.log_in(user=user, user_id=None, password=password, project=project).secret


def refused(cloud: Cloud, user: str, password: str, project: str | None = None) -> None:
    with pytest.raises(Unauthenticated, match="The request you have made requires authentication"):
        log_in(cloud, user, password, project)


def has_ended(cloud: Cloud, secret: str) -> None:
    for ask in (cloud.operations.identity.token, cloud.operations.identity.projects_of):
        with pytest.raises(Unauthenticated):
            ask(secret)
    with pytest.raises(Unauthenticated):
        cloud.operations.identity.caller(secret, "r")
    with pytest.raises(Unauthenticated):
        cloud.operations.identity.exchange(secret, None)


# ----------------------------------------------------------------------------------------------------------- projects


def test_a_project_is_made_with_quotas_and_used(cloud: Cloud, accounts: AccountOperations) -> None:
    root = cloud.caller("root")
    made = accounts.create_project(root, NewProject("fleet", "all of it"))
    assert made == Project(made.id, "fleet", "all of it", enabled=True)
    assert accounts.project(root, "fleet") == accounts.project(root, made.id) == made
    assert made in accounts.projects(root)
    quotas = {quota.resource: quota.limit for quota in cloud.operations.identity.quotas(root, "fleet")}
    assert quotas[Resource.FLOATING_IPS] == 10
    alice = cloud.caller("alice").user
    accounts.grant(root, alice.id, made.id, Role.MEMBER)
    token = log_in(cloud, "alice", PASSWORDS["alice"], "fleet")
    assert cloud.operations.addresses.allocate(cloud.operations.identity.caller(token, "r"), None).project == made.id


def test_the_same_request_makes_one(cloud: Cloud, accounts: AccountOperations) -> None:
    root = cloud.caller("root")
    first, second = (accounts.create_project(root, NewProject("fleet"), "k") for _ in range(2))
    assert first == second
    one, two = (accounts.create_user(root, NewUser("nell", f"pw{number}"), "k2") for number in range(2))
    assert one == two
    with pytest.raises(Invalid, match="was used for a different request"):
        accounts.create_project(root, NewProject("other"), "k")
    with pytest.raises(Conflict, match="Project fleet already exists"):
        accounts.create_project(root, NewProject("fleet"))
    with pytest.raises(Conflict, match="User nell already exists"):
        accounts.create_user(root, NewUser("nell"))


def test_nobody_acts_in_a_disabled_project(cloud: Cloud, accounts: AccountOperations) -> None:
    root, alice = cloud.caller("root"), cloud.caller("alice")
    instance = cloud.boot(alice)
    tokens = [cloud.token("alice"), cloud.token("rita")]
    unscoped = log_in(cloud, "alice", PASSWORDS["alice"])
    changed = accounts.update_project(root, alice.project.id, ProjectChange(enabled=False, description="closed"))
    assert changed == replace(alice.project, enabled=False, description="closed")
    for token in tokens:
        has_ended(cloud, token)
    refused(cloud, "alice", PASSWORDS["alice"], "boats")
    with pytest.raises(Unauthenticated):
        cloud.operations.identity.exchange(unscoped, "boats")
    assert cloud.operations.identity.projects_of(unscoped) == []
    # What it owns goes on.
    assert cloud.operations.instances.get(root, instance.id).nics[0].fixed
    accounts.update_project(root, alice.project.id, ProjectChange(enabled=True))
    for token in tokens:
        has_ended(cloud, token)
    assert cloud.caller("alice").project.description == "closed"


def test_a_project_goes_when_it_owns_nothing(cloud: Cloud, accounts: AccountOperations) -> None:
    root, alice = cloud.caller("root"), cloud.caller("alice")
    do = cloud.operations
    instance = cloud.boot(alice)
    floating = do.addresses.allocate(alice, None)
    with pytest.raises(InUse, match="Project boats is in use by 1 instance, 1 floating IP"):
        accounts.delete_project(root, alice.project.id)
    do.instances.delete(alice, instance.id)
    do.addresses.release(alice, floating.id)
    one, two = (do.groups.create(alice, name) for name in ("one", "two"))
    do.groups.add_rule(alice, one.id, NewRule(remote=two.id))
    do.groups.add_rule(alice, two.id, NewRule(remote=one.id))
    token = cloud.token("rita")
    accounts.delete_project(root, alice.project.id)
    has_ended(cloud, token)
    with pytest.raises(NotFound):
        accounts.project(root, "boats")
    refused(cloud, "alice", PASSWORDS["alice"], "boats")
    assert accounts.grants(root, user=alice.user.id) == []
    assert log_in(cloud, "alice", PASSWORDS["alice"])


def test_a_project_whose_guests_prefer_something_is_in_use_by_that(cloud: Cloud, accounts: AccountOperations) -> None:
    root, alice = cloud.caller("root"), cloud.caller("alice")
    wanted = NewPreference(IPv4Network("192.0.2.0/24"), NewWay(pool="public"))
    made = cloud.operations.egress.create(alice, wanted)
    with pytest.raises(InUse, match="Project boats is in use by 1 egress preference"):
        accounts.delete_project(root, alice.project.id)
    cloud.operations.egress.delete(alice, made.id)
    accounts.delete_project(root, alice.project.id)


def test_a_project_stays_until_hosts_have_let_go(cloud: Cloud, accounts: AccountOperations) -> None:
    root, alice = cloud.caller("root"), cloud.caller("alice")
    instance = cloud.boot(alice)
    floating = cloud.operations.addresses.allocate(alice, None)
    cloud.operations.addresses.associate(alice, instance.id, floating.address)
    cloud.operations.instances.delete(alice, instance.id)
    # Whatever is gone for its owner and still in use for everybody else.
    cloud.host.away = True
    with cloud.store.write() as tx:
        tx.addresses.release(floating.id)
    with pytest.raises(InUse, match="what it owns, or what hosts have still to let go"):
        accounts.delete_project(root, alice.project.id)
    assert accounts.project(root, "boats") == alice.project
    assert cloud.operations.groups.listing(alice)[0].rules
    with cloud.store.write() as tx:
        tx.addresses.free(floating.id)
    accounts.delete_project(root, alice.project.id)


# -------------------------------------------------------------------------------------------------------------- users


def test_a_user_is_made_and_logs_in(cloud: Cloud, accounts: AccountOperations) -> None:
    root = cloud.caller("root")
    made = accounts.create_user(
        root, NewUser("nell", "secret", "of the Gwyn", "nell@example.org", default_project="boats")
    )
    boats = accounts.project(root, "boats")
    assert made == User(made.id, "nell", True, "of the Gwyn", "nell@example.org", boats.id)
    # Without a role, the default project is none.
    assert cloud.operations.identity.token(log_in(cloud, "nell", "secret")).project is None
    refused(cloud, "nell", "secret", "boats")
    accounts.grant(root, made.id, boats.id, Role.MEMBER)
    assert cloud.operations.identity.token(log_in(cloud, "nell", "secret")).project == boats
    assert cloud.operations.identity.token(log_in(cloud, "nell", "secret", "")).project is None
    assert accounts.user(root, "nell") == accounts.user(root, made.id) == made


def test_without_a_password_nobody_logs_in_with_one(cloud: Cloud, accounts: AccountOperations) -> None:
    accounts.create_user(cloud.caller("root"), NewUser("service"))
    for guess in ("", "service", "None"):
        refused(cloud, "service", guess)


@pytest.mark.parametrize("change", [UserChange(enabled=False), UserChange(password="another")], ids=["off", "password"])
def test_log_ins_end_at_once(cloud: Cloud, accounts: AccountOperations, change: UserChange) -> None:
    root, alice = cloud.caller("root"), cloud.caller("alice")
    tokens = [cloud.token("alice"), log_in(cloud, "alice", PASSWORDS["alice"])]
    other = cloud.token("bob")
    accounts.update_user(root, alice.user.id, change)
    for token in tokens:
        has_ended(cloud, token)
    refused(cloud, "alice", PASSWORDS["alice"])
    assert cloud.operations.identity.token(other).user.name == "bob"
    accounts.update_user(root, alice.user.id, UserChange(enabled=True))
    for token in tokens:
        has_ended(cloud, token)
    assert log_in(cloud, "alice", change.password or PASSWORDS["alice"])


def test_what_is_told_of_a_user_ends_no_log_in(cloud: Cloud, accounts: AccountOperations) -> None:
    root, alice = cloud.caller("root"), cloud.caller("alice")
    token = cloud.token("alice")
    told = accounts.update_user(
        root, alice.user.id, UserChange(name="alix", email="a@example.org", default_project="boats")
    )
    assert told == replace(alice.user, name="alix", email="a@example.org", default_project=alice.project.id)
    assert cloud.operations.identity.caller(token, "r").user == told
    assert accounts.update_user(root, alice.user.id, UserChange(default_project="")).default_project is None
    with pytest.raises(Conflict, match="User bob already exists"):
        accounts.update_user(root, alice.user.id, UserChange(name="bob"))


def test_one_changes_one_s_own_password(cloud: Cloud) -> None:
    identity = cloud.operations.identity
    alice, token = cloud.caller("alice").user, cloud.token("alice")
    with pytest.raises(Unauthenticated):
        identity.change_password(alice, "wrong", "new")
    with pytest.raises(Invalid, match="password: must not be empty"):
        identity.change_password(alice, PASSWORDS["alice"], "")
    assert identity.token(token).secret == token
    identity.change_password(alice, PASSWORDS["alice"], "new")
    has_ended(cloud, token)
    refused(cloud, "alice", PASSWORDS["alice"])
    assert log_in(cloud, "alice", "new")


def test_a_password_that_is_changed_while_it_is_checked_opens_nothing(
    cloud: Cloud, accounts: AccountOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, alice = cloud.caller("root"), cloud.caller("alice").user
    identity = cloud.operations.identity
    checked = identity._passwords.matches

    def meanwhile(hashed: str | None, password: str) -> bool:
        answer = checked(hashed, password)
        accounts.update_user(root, alice.id, UserChange(password="new"))
        return answer

    monkeypatch.setattr(identity._passwords, "matches", meanwhile)
    refused(cloud, "alice", PASSWORDS["alice"])


def test_a_user_goes_unless_instances_name_them(cloud: Cloud, accounts: AccountOperations) -> None:
    root, alice = cloud.caller("root"), cloud.caller("alice")
    instance, token = cloud.boot(alice), cloud.token("alice")
    with pytest.raises(InUse, match="User alice is in use by instances; disable the user instead"):
        accounts.delete_user(root, alice.user.id)
    assert cloud.operations.identity.token(token).secret
    cloud.operations.instances.delete(alice, instance.id)
    accounts.delete_user(root, alice.user.id)
    has_ended(cloud, token)
    refused(cloud, "alice", PASSWORDS["alice"])
    with pytest.raises(NotFound):
        accounts.user(root, "alice")


# -------------------------------------------------------------------------------------------------------------- roles


def test_roles_are_given_and_taken_at_once(cloud: Cloud, accounts: AccountOperations) -> None:
    root, rita = cloud.caller("root"), cloud.caller("rita")
    token = cloud.token("rita")
    caller = cloud.operations.identity.caller
    for _ in range(2):
        accounts.grant(root, rita.user.id, rita.project.id, Role.MEMBER)
    assert caller(token, "r").roles == {Role.READER, Role.MEMBER}
    accounts.revoke(root, rita.user.id, rita.project.id, Role.MEMBER)
    assert caller(token, "r").roles == {Role.READER}
    with pytest.raises(NotFound, match="Role member could not be found"):
        accounts.revoke(root, rita.user.id, rita.project.id, Role.MEMBER)
    accounts.revoke(root, rita.user.id, rita.project.id, Role.READER)
    with pytest.raises(Unauthenticated):
        caller(token, "r")
    assert [grant.user.name for grant in accounts.grants(root, project=rita.project.id)] == ["alice"]


def test_administrators_do_not_lock_themselves_out(cloud: Cloud, accounts: AccountOperations) -> None:
    root = cloud.caller("root")
    for attempt in (
        lambda: accounts.delete_user(root, root.user.id),
        lambda: accounts.update_user(root, root.user.id, UserChange(enabled=False)),
        lambda: accounts.delete_project(root, root.project.id),
        lambda: accounts.update_project(root, root.project.id, ProjectChange(enabled=False)),
        lambda: accounts.revoke(root, root.user.id, root.project.id, Role.ADMIN),
    ):
        with pytest.raises(Conflict):
            attempt()
    assert cloud.caller("root") == root


Doing = Callable[[Operations, Any, str, str], Any]
ADMINISTRATORS_ONLY: dict[str, Doing] = {
    "create project": lambda do, who, *_: do.accounts.create_project(who, NewProject("p")),
    "update project": lambda do, who, _, project: do.accounts.update_project(
        who, ProjectId(project), ProjectChange("p")
    ),
    "delete project": lambda do, who, _, project: do.accounts.delete_project(who, ProjectId(project)),
    "create user": lambda do, who, *_: do.accounts.create_user(who, NewUser("u", "pw")),
    "update user": lambda do, who, user, _: do.accounts.update_user(who, UserId(user), UserChange(password="pw")),
    "delete user": lambda do, who, user, _: do.accounts.delete_user(who, UserId(user)),
    "grant": lambda do, who, user, project: do.accounts.grant(who, UserId(user), ProjectId(project), Role.ADMIN),
    "revoke": lambda do, who, user, project: do.accounts.revoke(who, UserId(user), ProjectId(project), Role.MEMBER),
}


@pytest.mark.parametrize("do", ADMINISTRATORS_ONLY.values(), ids=ADMINISTRATORS_ONLY.keys())
def test_only_administrators_change_accounts(cloud: Cloud, do: Doing) -> None:
    with cloud.store.read() as tx:
        before = (tx.identities.projects(), tx.identities.users(), tx.identities.grants())
    bob = cloud.caller("bob")
    for user in ("alice", "rita"):
        for target in (bob.user.id, cloud.caller(user).user.id, "nobody"):
            with pytest.raises(Forbidden):
                do(cloud.operations, cloud.caller(user), target, bob.project.id)
    with cloud.store.read() as tx:
        assert (tx.identities.projects(), tx.identities.users(), tx.identities.grants()) == before


def test_others_see_themselves(cloud: Cloud, accounts: AccountOperations) -> None:
    alice, bob = cloud.caller("alice"), cloud.caller("bob")
    assert accounts.users(alice) == [alice.user]
    assert accounts.projects(alice) == [alice.project]
    assert accounts.project(alice, "boats") == alice.project
    assert accounts.user(alice, "alice") == alice.user
    assert [grant.role for grant in accounts.grants(alice)] == [Role.MEMBER]
    assert accounts.grants(alice, user=bob.user.id) == []
    for name in ("bob", bob.user.id, "nobody"):
        with pytest.raises(NotFound, match=f"User {name} could not be found"):
            accounts.user(alice, name)
    for name in ("barges", bob.project.id, "nothing"):
        with pytest.raises(NotFound, match=f"Project {name} could not be found"):
            accounts.project(alice, name)


@pytest.mark.parametrize(
    "make",
    [
        lambda do, root: do.create_project(root, NewProject(" ")),
        lambda do, root: do.create_project(root, NewProject("a\nb")),
        lambda do, root: do.create_project(root, NewProject("p", "x" * 256)),
        lambda do, root: do.create_user(root, NewUser("")),
        lambda do, root: do.create_user(root, NewUser("u", "")),
        lambda do, root: do.create_user(root, NewUser("u", "x" * 5000)),
        lambda do, root: do.create_user(root, NewUser("u", "\ud800")),
        lambda do, root: do.create_user(root, NewUser("u", email="a\tb")),
        lambda do, root: do.update_user(root, root.user.id, UserChange(description="\x07")),
        lambda do, root: do.update_user(root, root.user.id, UserChange(password="")),
        lambda do, root: do.update_project(root, root.project.id, ProjectChange(name="")),
    ],
)
def test_what_cannot_be_changes_nothing(
    cloud: Cloud, accounts: AccountOperations, make: Callable[[AccountOperations, Any], Any]
) -> None:
    root = cloud.caller("root")
    with pytest.raises(Invalid):
        make(accounts, root)
    assert len(accounts.users(root)) == 4
    assert len(accounts.projects(root)) == 3
    assert cloud.caller("root") == root


# ------------------------------------------------------------------------------------------------------------ attempts


def test_wrong_passwords_come_to_an_end(cloud: Cloud) -> None:
    identity = cloud.operations.identity
    identity._attempts = Attempts(per_account=2, per_source=0, clock=lambda: 0.0)

    def attempt(password: str, source: str, **who: str | None) -> None:
        named: dict[str, Any] = {"user": "alice", "user_id": None, **who}
        identity.log_in(password=password, project=None, source=source, **named)

    alice = cloud.caller("alice").user  # from nowhere in particular
    for who in ({}, {"user": None, "user_id": alice.id}):
        with pytest.raises(Unauthenticated):
            attempt("wrong", "192.0.2.1", **who)
    # By name and by id it is one account; the right password is not looked at.
    for password in ("wrong", PASSWORDS["alice"]):
        with pytest.raises(TooManyAttempts, match="Try again in 30 seconds"):
            attempt(password, "192.0.2.2")
    assert log_in(cloud, "alice", PASSWORDS["alice"])
    with pytest.raises(TooManyAttempts):
        identity.change_password(alice, PASSWORDS["alice"], "new", "192.0.2.9")


class Recorder:
    """Takes every password for the right one, and says whose hash was looked at."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def verify(self, hashed: str, _password: str) -> bool:
        self.seen.append(hashed)
        return True


def test_whoever_is_named_one_hash_is_worked_on(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.operations.accounts.create_user(cloud.caller("root"), NewUser("service"))
    passwords, recorder = cloud.operations.identity._passwords, Recorder()
    monkeypatch.setattr(passwords, "_hasher", recorder)
    for unknown in ("nobody", "service"):
        refused(cloud, unknown, "guess")
    assert recorder.seen == [passwords._nobody] * 2
    assert log_in(cloud, "alice", "guess")
    assert len(recorder.seen) == 3


# ----------------------------------------------------------------------------------------------------------- bootstrap


def test_what_an_installer_names_is_there_and_stays(cloud: Cloud) -> None:
    bootstrap, root = cloud.operations.bootstrap, cloud.caller("root")
    hashed = cloud.operations.identity._passwords.hash("geheim")
    user = FirstUser(
        "nell", password_hash=hashed, email="nell@example.org", roles={"fleet": frozenset({Role.ADMIN, Role.MEMBER})}
    )
    for _ in range(2):
        bootstrap.prepare_project(FirstProject("quay", "for unloading"))
        bootstrap.prepare_user(user)
    accounts = cloud.operations.accounts
    assert accounts.project(root, "quay").description == "for unloading"
    token = log_in(cloud, "nell", "geheim", "fleet")
    assert cloud.operations.identity.caller(token, "r").roles == {Role.ADMIN, Role.MEMBER}
    # Who is disabled stays so, and what is not named stays as it is.
    accounts.update_user(root, accounts.user(root, "nell").id, UserChange(enabled=False, description="on leave"))
    bootstrap.prepare_user(user)
    known = accounts.user(root, "nell")
    assert (known.enabled, known.description, known.email) == (False, "on leave", "nell@example.org")


def test_a_new_password_of_the_installer_ends_log_ins(cloud: Cloud) -> None:
    token, other = cloud.token("alice"), cloud.token("bob")
    cloud.operations.bootstrap.prepare_user(FirstUser("alice", "another"))
    has_ended(cloud, token)
    assert log_in(cloud, "alice", "another", "boats")
    cloud.operations.bootstrap.prepare_user(FirstUser("bob", PASSWORDS["bob"]))
    cloud.operations.bootstrap.prepare_user(FirstUser("bob"))
    assert cloud.operations.identity.token(other).secret


@pytest.mark.parametrize("hashed", ["", "geheim", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=1"])
def test_what_is_no_hash_is_refused(cloud: Cloud, hashed: str) -> None:
    with pytest.raises(Invalid, match="password_hash: must be an Argon2 hash"):
        cloud.operations.bootstrap.prepare_user(FirstUser("nell", password_hash=hashed))
    with pytest.raises(NotFound):
        cloud.operations.accounts.user(cloud.caller("root"), "nell")
