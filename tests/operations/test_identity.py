"""Log-in, tokens, roles, and accounts as an installer prepares them."""

from collections.abc import Callable

import pytest

from mooring.model.accounts import Role
from mooring.model.faults import Forbidden, Invalid, NotFound, Unauthenticated
from mooring.model.nouns import Resource
from mooring.operations.bootstrap import Account
from tests.cloud import Cloud, StoppedClock


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def cloud(make_cloud: Callable[..., Cloud], clock: StoppedClock) -> Cloud:
    return make_cloud(clock=clock)


@pytest.mark.parametrize(
    "user, password, project",
    [
        ("nobody", "pw-alice", None),
        ("alice", "pw-bob", None),
        ("alice", "", None),
        ("", "pw-alice", None),
        (None, "pw-alice", None),
        ("Alice", "pw-alice", None),
        ("alice", "pw-alice", "barges"),
        ("alice", "pw-alice", "no such project"),
    ],
)
def test_whoever_is_refused_is_told_the_same(
    cloud: Cloud, user: str | None, password: str, project: str | None
) -> None:
    with pytest.raises(Unauthenticated) as refused:
        cloud.operations.identity.log_in(user=user, user_id=None, password=password, project=project)
    assert refused.value.reason == "The request you have made requires authentication."


def test_a_project_by_name_or_id_or_none(cloud: Cloud) -> None:
    def log_in(project: str | None) -> str | None:
        token = cloud.operations.identity.log_in(user="alice", user_id=None, password="pw-alice", project=project)
        return token.project.name if token.project else None

    boats = cloud.caller("alice").project.id
    assert [log_in("boats"), log_in(boats), log_in(None)] == ["boats", "boats", None]


def test_a_user_by_id(cloud: Cloud) -> None:
    alice = cloud.caller("alice").user
    token = cloud.operations.identity.log_in(user=None, user_id=alice.id, password="pw-alice", project=None)
    assert token.user == alice


def test_tokens_end(cloud: Cloud, clock: StoppedClock) -> None:
    secret = cloud.token("alice")
    clock.advance(3599)
    assert cloud.operations.identity.caller(secret, "r").user.name == "alice"
    clock.advance(1)
    with pytest.raises(Unauthenticated):
        cloud.operations.identity.caller(secret, "r")


def test_an_exchanged_token_lives_no_longer(cloud: Cloud, clock: StoppedClock) -> None:
    first = cloud.operations.identity.log_in(user="alice", user_id=None, password="pw-alice", project=None)
    clock.advance(3000)
    second = cloud.operations.identity.exchange(first.secret, "boats")
    assert second.expires_at == first.expires_at
    assert cloud.operations.identity.caller(second.secret, "r").project.name == "boats"
    clock.advance(600)
    with pytest.raises(Unauthenticated):
        cloud.operations.identity.exchange(second.secret, "boats")


def test_an_exchange_gives_no_more_than_a_log_in(cloud: Cloud) -> None:
    with pytest.raises(Unauthenticated):
        cloud.operations.identity.exchange(cloud.token("alice"), "barges")


def test_log_out(cloud: Cloud) -> None:
    secret, other = cloud.token("alice"), cloud.token("alice")
    cloud.operations.identity.log_out(secret)
    for call in (
        cloud.operations.identity.token,
        cloud.operations.identity.log_out,
        cloud.operations.identity.projects_of,
    ):
        with pytest.raises(Unauthenticated):
            call(secret)
    assert cloud.operations.identity.token(other).user.name == "alice"


def test_no_token_is_kept_as_it_is(cloud: Cloud) -> None:
    secret = cloud.token("alice")
    assert secret.encode() not in cloud.database.read_bytes()
    assert b"pw-alice" not in cloud.database.read_bytes()


def test_a_role_given_later_counts_at_once(cloud: Cloud) -> None:
    caller = cloud.operations.identity.caller
    secret = cloud.token("rita")
    assert caller(secret, "r").roles == {Role.READER}
    cloud.operations.bootstrap.prepare([Account("rita", "pw-rita", "boats", Role.MEMBER)])
    assert caller(secret, "r").roles == {Role.READER, Role.MEMBER}


def test_preparing_again_changes_nothing_but_what_is_new(cloud: Cloud) -> None:
    before = cloud.caller("alice")
    cloud.operations.bootstrap.prepare([Account("alice", "pw-alice", "boats", Role.MEMBER)])
    assert cloud.caller("alice") == before
    cloud.operations.bootstrap.prepare([Account("alice", "new", "barges", Role.READER)])
    with pytest.raises(Unauthenticated):
        cloud.caller("alice")
    token = cloud.operations.identity.log_in(user="alice", user_id=None, password="new", project="barges")
    assert token.user == before.user
    assert token.roles == {Role.READER}
    assert {project.name for project in cloud.operations.identity.projects_of(token.secret)} == {"boats", "barges"}


@pytest.mark.parametrize("account", [Account("a\nb", "x", "p", Role.MEMBER), Account("a", "x", " ", Role.MEMBER)])
def test_names_of_accounts(cloud: Cloud, account: Account) -> None:
    with pytest.raises(Invalid):
        cloud.operations.bootstrap.prepare([account])


def test_projects_of_others(cloud: Cloud) -> None:
    boats = cloud.caller("alice").project
    bob, root = cloud.caller("bob"), cloud.caller("root")
    assert cloud.operations.identity.project(root, "boats") == boats
    for name in ("boats", boats.id, "no such project"):
        with pytest.raises(NotFound, match=r"Project .* could not be found"):
            cloud.operations.identity.project(bob, name)


def test_quotas_are_set_by_administrators(cloud: Cloud) -> None:
    alice, root = cloud.caller("alice"), cloud.caller("root")
    with pytest.raises(Forbidden):
        cloud.operations.identity.set_quota(alice, alice.project.id, Resource.FLOATING_IPS, 1000)
    cloud.operations.addresses.allocate(alice, None)
    cloud.operations.identity.set_quota(root, alice.project.id, Resource.FLOATING_IPS, 0)
    quotas = {quota.resource: quota for quota in cloud.operations.identity.quotas(alice, "boats")}
    assert (quotas[Resource.FLOATING_IPS].used, quotas[Resource.FLOATING_IPS].limit) == (1, 0)
    cloud.operations.identity.set_quota(root, alice.project.id, Resource.FLOATING_IPS, -1)
    for _ in range(12):
        cloud.operations.addresses.allocate(alice, None)
