"""Keys: what they may do, and when they no longer may."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from mooring.model.accounts import Caller, Key, Role, Token
from mooring.model.faults import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from mooring.model.ids import KeyId
from mooring.operations import NewKey, ProjectChange, UserChange
from mooring.operations.identity import KeyName
from mooring.operations.keys import KeyOperations
from tests.cloud import PASSWORDS, Cloud, StoppedClock


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def cloud(make_cloud: Callable[..., Cloud], clock: StoppedClock) -> Cloud:
    return make_cloud(clock=clock)


@pytest.fixture
def keys(cloud: Cloud) -> KeyOperations:
    return cloud.operations.keys


def log_in(cloud: Cloud, key: Key, secret: str) -> Token:
    return cloud.operations.identity.log_in_by_key(KeyName(key.id), secret)


def by_key(cloud: Cloud, user: str, **asked: Any) -> Caller:
    """Return a user who comes with a new key."""
    key, secret = cloud.operations.keys.create(cloud.caller(user), NewKey("ci", **asked))
    return cloud.operations.identity.caller(log_in(cloud, key, secret).secret, "r")


def test_a_program_logs_in(cloud: Cloud, keys: KeyOperations) -> None:
    alice = cloud.caller("alice")
    key, secret = keys.create(alice, NewKey("ci", "for the tests"))
    assert len(secret) >= 43
    assert (key.name, key.description, key.expires) == ("ci", "for the tests", None)
    assert key.roles == {Role.MEMBER}
    identity = cloud.operations.identity
    for named in (KeyName(key.id), KeyName(name="ci", user="alice"), KeyName(name="ci", user_id=alice.user.id)):
        token = identity.log_in_by_key(named, secret)
        caller = identity.caller(token.secret, "r")
        assert (token.key, caller.key, caller.user, caller.project) == (key, key, alice.user, alice.project)
        assert cloud.operations.addresses.allocate(caller, None).project == alice.project.id
    assert secret.encode() not in cloud.database.read_bytes()


def test_whoever_is_refused_is_told_the_same(cloud: Cloud, keys: KeyOperations) -> None:
    key, secret = keys.create(cloud.caller("alice"), NewKey("ci"))
    for named, guess in (
        (KeyName(key.id), "wrong"),
        (KeyName(key.id), ""),
        (KeyName("nothing"), secret),
        (KeyName(), secret),
        (KeyName(name="ci"), secret),
        (KeyName(name="ci", user="bob"), secret),
        (KeyName(name="ic", user="alice"), secret),
        (KeyName(key.id), PASSWORDS["alice"]),
    ):
        with pytest.raises(Unauthenticated) as refused:
            cloud.operations.identity.log_in_by_key(named, guess)
        assert refused.value.reason == "The request you have made requires authentication."


def test_a_key_has_no_more_roles_than_its_user(cloud: Cloud, keys: KeyOperations) -> None:
    root, rita, alice = cloud.caller("root"), cloud.caller("rita"), cloud.caller("alice")
    for caller, roles in ((rita, {Role.MEMBER}), (alice, {Role.ADMIN}), (alice, set())):
        with pytest.raises(Invalid, match="roles: must be one or more of the roles that you have"):
            keys.create(caller, NewKey("ci", roles=frozenset(roles)))
    reader = by_key(cloud, "root", roles=frozenset({Role.READER}))
    assert reader.roles == {Role.READER}
    with pytest.raises(Forbidden):
        cloud.operations.addresses.allocate(reader, None)
    # A role that its user loses is lost to the key.
    key, secret = keys.create(alice, NewKey("second"))
    token = log_in(cloud, key, secret).secret
    accounts = cloud.operations.accounts
    accounts.grant(root, alice.user.id, alice.project.id, Role.READER)
    accounts.revoke(root, alice.user.id, alice.project.id, Role.MEMBER)
    with pytest.raises(Unauthenticated):
        cloud.operations.identity.caller(token, "r")
    with pytest.raises(Unauthenticated):
        log_in(cloud, key, secret)
    accounts.grant(root, alice.user.id, alice.project.id, Role.ADMIN)
    assert cloud.operations.identity.caller(token, "r").roles == {Role.MEMBER}


def test_keys_and_their_log_ins_end(cloud: Cloud, keys: KeyOperations, clock: StoppedClock) -> None:
    alice = cloud.caller("alice")
    key, secret = keys.create(alice, NewKey("ci", expires=clock.moment + timedelta(minutes=10)))
    token = log_in(cloud, key, secret)
    assert token.expires_at == key.expires
    clock.advance(599)
    assert cloud.operations.identity.caller(token.secret, "r").key == key
    assert log_in(cloud, key, secret).expires_at == key.expires
    clock.advance(1)
    for attempt in (
        lambda: cloud.operations.identity.caller(token.secret, "r"),
        lambda: cloud.operations.identity.exchange(token.secret, None),
        lambda: log_in(cloud, key, secret),
    ):
        with pytest.raises(Unauthenticated):
            attempt()
    with pytest.raises(Invalid, match="expires: must be a moment to come"):
        keys.create(alice, NewKey("late", expires=clock.moment))


def test_a_deleted_key_opens_nothing_any_longer(cloud: Cloud, keys: KeyOperations) -> None:
    alice = cloud.caller("alice")
    key, secret = keys.create(alice, NewKey("ci"))
    token = log_in(cloud, key, secret).secret
    second = cloud.operations.identity.exchange(token, None).secret
    keys.delete(alice, key.id)
    for each in (token, second):
        with pytest.raises(Unauthenticated):
            cloud.operations.identity.caller(each, "r")
    with pytest.raises(Unauthenticated):
        log_in(cloud, key, secret)
    assert cloud.operations.identity.caller(cloud.token("alice"), "r").key is None
    with pytest.raises(NotFound):
        keys.delete(alice, key.id)


def test_a_key_opens_nothing_while_user_or_project_are_disabled(cloud: Cloud, keys: KeyOperations) -> None:
    root, alice = cloud.caller("root"), cloud.caller("alice")
    key, secret = keys.create(alice, NewKey("ci"))
    accounts = cloud.operations.accounts
    for disable, enable in (
        (
            lambda: accounts.update_user(root, alice.user.id, UserChange(enabled=False)),
            lambda: accounts.update_user(root, alice.user.id, UserChange(enabled=True)),
        ),
        (
            lambda: accounts.update_project(root, alice.project.id, ProjectChange(enabled=False)),
            lambda: accounts.update_project(root, alice.project.id, ProjectChange(enabled=True)),
        ),
    ):
        token = log_in(cloud, key, secret).secret
        disable()
        with pytest.raises(Unauthenticated):
            cloud.operations.identity.caller(token, "r")
        with pytest.raises(Unauthenticated):
            log_in(cloud, key, secret)
        enable()
        with pytest.raises(Unauthenticated):
            cloud.operations.identity.caller(token, "r")
        assert log_in(cloud, key, secret).secret


def test_a_new_password_ends_log_ins_and_leaves_keys(cloud: Cloud, keys: KeyOperations) -> None:
    alice = cloud.caller("alice")
    key, secret = keys.create(alice, NewKey("ci"))
    token = log_in(cloud, key, secret).secret
    cloud.operations.identity.change_password(alice.user, PASSWORDS["alice"], "new")
    with pytest.raises(Unauthenticated):
        cloud.operations.identity.caller(token, "r")
    assert log_in(cloud, key, secret).secret


def test_a_key_stays_in_its_project(cloud: Cloud, keys: KeyOperations) -> None:
    root, alice = cloud.caller("root"), cloud.caller("alice")
    barges = cloud.caller("bob").project
    cloud.operations.accounts.grant(root, alice.user.id, barges.id, Role.MEMBER)
    key, secret = keys.create(alice, NewKey("ci", roles=frozenset({Role.READER})))
    token = log_in(cloud, key, secret).secret
    identity = cloud.operations.identity
    assert [project.name for project in identity.projects_of(token)] == ["boats"]
    caller, accounts = identity.caller(token, "r"), cloud.operations.accounts
    assert accounts.projects(caller) == [alice.project]
    assert accounts.project(caller, "boats") == alice.project
    with pytest.raises(NotFound):
        accounts.project(caller, "barges")
    assert accounts.project(alice, "barges") == barges
    for name in ("barges", barges.id, ""):
        with pytest.raises(Unauthenticated):
            identity.exchange(token, name)
    # What it is exchanged for is the key's too.
    for wanted in (None, "boats"):
        second = identity.exchange(token, wanted)
        assert identity.caller(second.secret, "r").roles == {Role.READER}
        assert second.key == key


def test_a_restricted_key_makes_and_deletes_none(cloud: Cloud, keys: KeyOperations) -> None:
    caller = by_key(cloud, "alice")
    assert caller.key is not None
    with pytest.raises(Forbidden, match="A restricted key can neither make nor delete keys"):
        keys.create(caller, NewKey("other"))
    with pytest.raises(Forbidden):
        keys.delete(caller, caller.key.id)
    assert [key.name for key in keys.listing(caller)] == ["ci"]


def test_an_unrestricted_key_makes_none_that_may_more(cloud: Cloud, keys: KeyOperations) -> None:
    caller = by_key(cloud, "root", roles=frozenset({Role.MEMBER}), restricted=False)
    with pytest.raises(Invalid, match="roles"):
        keys.create(caller, NewKey("other", roles=frozenset({Role.ADMIN})))
    made, _ = keys.create(caller, NewKey("other"))
    assert made.roles == {Role.MEMBER}
    keys.delete(caller, made.id)


def test_names_are_one_s_own(cloud: Cloud, keys: KeyOperations) -> None:
    alice, bob, root = cloud.caller("alice"), cloud.caller("bob"), cloud.caller("root")
    own, _ = keys.create(alice, NewKey("ci"))
    foreign, _ = keys.create(bob, NewKey("ci"))
    with pytest.raises(Conflict, match="Key ci already exists"):
        keys.create(alice, NewKey("ci"))
    assert keys.get(alice, "ci") == keys.get(alice, own.id) == own
    assert keys.listing(alice) == keys.listing(root, alice.user.id) == [own]
    assert keys.listing(alice, bob.user.id) == ()
    assert keys.get(root, foreign.id) == keys.get(root, "ci", bob.user.id) == foreign
    for name in (foreign.id, "nothing"):
        with pytest.raises(NotFound, match=f"Key {name} could not be found"):
            keys.get(alice, name)
        with pytest.raises(NotFound, match=f"Key {name} could not be found"):
            keys.delete(alice, KeyId(name))
    with pytest.raises(NotFound):
        keys.get(root, own.id, bob.user.id)
    keys.delete(root, foreign.id)
    assert keys.listing(bob) == []


def test_a_lost_answer_is_given_again_with_another_secret(cloud: Cloud, keys: KeyOperations) -> None:
    alice = cloud.caller("alice")
    first, lost = keys.create(alice, NewKey("ci"), "k")
    second, secret = keys.create(alice, NewKey("ci"), "k")
    assert first == second
    assert lost != secret
    assert log_in(cloud, second, secret).secret
    with pytest.raises(Unauthenticated):
        log_in(cloud, first, lost)
    with pytest.raises(Invalid, match="was used for a different request"):
        keys.create(cloud.caller("rita"), NewKey("ci"), "k")


def test_a_secret_of_one_s_own(cloud: Cloud, keys: KeyOperations) -> None:
    alice = cloud.caller("alice")
    key, secret = keys.create(alice, NewKey("ci", secret="mine"))
    assert secret == "mine"
    assert log_in(cloud, key, "mine").secret
    for new, field in ((NewKey("b", secret=""), "secret"), (NewKey(" "), "name"), (NewKey("c", "\n"), "description")):
        with pytest.raises(Invalid, match=field):
            keys.create(alice, new)
    assert keys.listing(alice) == [key]
