from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mooring.model.accounts import Grant, Key, Project, Role, User
from mooring.model.faults import NotFound
from mooring.model.ids import KeyId, ProjectId, UserId
from mooring.model.nouns import Resource
from mooring.model.records import Credentials, Duplicate, KeyCredentials, Referenced, Remembered, TokenRow
from tests.store.world import START, Town, World


def test_projects_are_found_by_id_and_name_and_listed_as_they_were_made(world):
    with world.store.write() as tx:
        made = [world.project(tx, name) for name in ("zeta", "alpha", "mid")]
    with world.store.read() as tx:
        assert tx.identities.projects() == made
        assert tx.identities.project(made[0].id) == made[0]
        assert tx.identities.project_by_name("alpha") == made[1]
        assert tx.identities.project_by_name("Alpha") is None
        assert tx.identities.project(ProjectId("nobody")) is None


def test_a_name_is_given_once_and_the_refusal_leaves_the_transaction_usable(world):
    with world.store.write() as tx:
        project, user = world.project(tx, "p"), world.user(tx, "u")
        with pytest.raises(Duplicate, match=r"projects\.name"):
            tx.identities.add_project(Project(ProjectId("other"), "p"))
        with pytest.raises(Duplicate, match=r"projects\.id"):
            tx.identities.add_project(Project(project.id, "other"))
        with pytest.raises(Duplicate, match=r"users\.name"):
            tx.identities.add_user(Credentials(User(UserId("other"), "u"), "hash"))
        world.project(tx, "after")
    with world.store.read() as tx:
        assert [known.name for known in tx.identities.projects()] == ["p", "after"]
        assert tx.identities.user(user.id) == tx.identities.user_by_name("u") == Credentials(user, "hash")


def test_a_password_is_changed_for_a_user_who_is_there(world):
    with world.store.write() as tx:
        user = world.user(tx, "u")
        tx.identities.set_password(user.id, "new")
        assert tx.identities.user_by_name("u").password_hash == "new"
        with pytest.raises(NotFound):
            tx.identities.set_password(UserId("nobody"), "new")


def test_roles_are_given_once_and_only_where_there_is_somebody(world):
    with world.store.write() as tx:
        user, one, two = world.user(tx), world.project(tx), world.project(tx)
        for role in (Role.MEMBER, Role.READER, Role.MEMBER):
            tx.identities.grant(user.id, one.id, role)
        tx.identities.grant(user.id, two.id, Role.ADMIN)
        assert tx.identities.roles(user.id, one.id) == {Role.MEMBER, Role.READER}
        assert tx.identities.roles(user.id, ProjectId("none")) == frozenset()
        assert tx.identities.projects_of(user.id) == [one, two]
        with pytest.raises(Referenced):
            tx.identities.grant(user.id, ProjectId("none"), Role.MEMBER)


def test_a_token_tells_the_roles_of_now_and_only_of_an_enabled_user(world):
    later = START + timedelta(hours=1)
    with world.store.write() as tx:
        user, off, project = world.user(tx), world.user(tx, enabled=False), world.project(tx)
        tx.identities.add_token("in", TokenRow(user, project, frozenset({Role.ADMIN}), START, later))
        tx.identities.add_token("out", TokenRow(user, None, frozenset(), START, later))
        tx.identities.add_token("off", TokenRow(off, project, frozenset({Role.ADMIN}), START, later))
        assert tx.identities.token("in") == TokenRow(user, project, frozenset(), START, later)
        tx.identities.grant(user.id, project.id, Role.MEMBER)
    with world.store.read() as tx:
        assert tx.identities.token("in") == TokenRow(user, project, frozenset({Role.MEMBER}), START, later)
        assert tx.identities.token("out") == TokenRow(user, None, frozenset(), START, later)
        assert tx.identities.token("off") is None
        assert tx.identities.token("never") is None


def test_tokens_go_when_revoked_or_expired(world):
    with world.store.write() as tx:
        user = world.user(tx)
        for digest, seconds in (("a", 1), ("b", 2), ("c", 3)):
            tx.identities.add_token(
                digest, TokenRow(user, None, frozenset(), START, START + timedelta(seconds=seconds))
            )
        tx.identities.prune_tokens(START + timedelta(seconds=2))
        assert [digest for digest in "abc" if tx.identities.token(digest)] == ["b", "c"]
        tx.identities.revoke_token("b")
        tx.identities.revoke_token("b")
        assert [digest for digest in "abc" if tx.identities.token(digest)] == ["c"]


def test_a_time_without_a_zone_is_refused(world):
    with world.store.write() as tx:
        user = world.user(tx)
        naive = START.replace(tzinfo=None)
        with pytest.raises(Exception, match="no time zone"):
            tx.identities.add_token("a", TokenRow(user, None, frozenset(), naive, naive))


def _key(world: World, user: User, project: Project, **changed: Any) -> Key:
    made = Key(KeyId(world.id()), f"key-{world.id()}", user.id, project.id, frozenset({Role.READER}), START)
    return replace(made, **changed)


def test_projects_and_users_are_saved_and_keep_their_ids(world):
    with world.store.write() as tx:
        one, two = world.project(tx, "one"), world.project(tx, "two")
        user, other = world.user(tx, "user"), world.user(tx, "other")
        changed = Project(one.id, "first", "the first of all", enabled=False)
        tx.identities.save_project(changed)
        told = User(user.id, "captain", False, "of a boat", "captain@example.org", two.id)
        tx.identities.save_user(told)
        with pytest.raises(Duplicate, match=r"projects\.name"):
            tx.identities.save_project(replace(two, name="first"))
        with pytest.raises(Duplicate, match=r"users\.name"):
            tx.identities.save_user(replace(other, name="captain"))
    with world.store.read() as tx:
        assert tx.identities.projects() == [changed, two]
        assert tx.identities.users() == [told, other]
        assert tx.identities.user(user.id) == Credentials(told, "hash")


def test_roles_are_taken_and_listed(world):
    with world.store.write() as tx:
        one, two = world.project(tx), world.project(tx)
        user, other = world.user(tx), world.user(tx)
        given = [Grant(user, one, Role.ADMIN), Grant(user, one, Role.READER), Grant(other, one, Role.MEMBER)]
        given.append(Grant(other, two, Role.MEMBER))
        for grant in reversed(given):
            tx.identities.grant(grant.user.id, grant.project.id, grant.role)
        assert tx.identities.grants() == given
        assert tx.identities.grants(other.id) == given[2:]
        assert tx.identities.grants(project=one.id) == given[:3]
        assert tx.identities.grants(user.id, two.id) == []
        assert tx.identities.revoke(user.id, one.id, Role.ADMIN)
        assert not tx.identities.revoke(user.id, one.id, Role.ADMIN)
        assert tx.identities.roles(user.id, one.id) == {Role.READER}


def test_keys_have_a_name_among_those_of_their_user(world):
    with world.store.write() as tx:
        user, other, project = world.user(tx), world.user(tx), world.project(tx)
        key = _key(
            world, user, project, name="ci", roles=frozenset({Role.MEMBER, Role.READER}), expires=START, description="d"
        )
        second, foreign = _key(world, user, project, restricted=False), _key(world, other, project, name="ci")
        for each in (key, second, foreign):
            tx.identities.add_key(KeyCredentials(each, "hash"))
        with pytest.raises(Duplicate, match=r"keys\.user_id, keys\.name"):
            tx.identities.add_key(KeyCredentials(_key(world, user, project, name="ci"), "hash"))
        with pytest.raises(Referenced):
            tx.identities.add_key(KeyCredentials(_key(world, user, Project(ProjectId("none"), "n")), "hash"))
    with world.store.write() as tx:
        assert tx.identities.key(key.id) == tx.identities.key_by_name(user.id, "ci") == KeyCredentials(key, "hash")
        assert tx.identities.keys(user.id) == [key, second]
        assert tx.identities.keys() == [key, second, foreign]
        tx.identities.set_secret(key.id, "other")
        assert tx.identities.key(key.id) == KeyCredentials(key, "other")
        assert tx.identities.delete_key(second.id)
        assert not tx.identities.delete_key(second.id)
        assert tx.identities.keys(user.id) == [key]


def test_the_log_ins_of_a_key_go_with_it_and_with_its_secret(world):
    with world.store.write() as tx:
        user, project = world.user(tx), world.project(tx)
        key, other = _key(world, user, project), _key(world, user, project)
        row = TokenRow(user, project, frozenset(), START, START)
        for each in (key, other):
            tx.identities.add_key(KeyCredentials(each, "hash"))
            tx.identities.add_token(each.id, replace(row, key=each))
        tx.identities.add_token("password", row)
        assert tx.identities.token(key.id) == replace(row, key=key)
        tx.identities.delete_key(key.id)
        tx.identities.set_secret(other.id, "new")
        assert [digest for digest in (key.id, other.id, "password") if tx.identities.token(digest)] == ["password"]
        with pytest.raises(Referenced):
            tx.identities.add_token("late", replace(row, key=key))


def test_log_ins_end_by_user_and_by_project(world):
    with world.store.write() as tx:
        one, two, user, other = world.project(tx), world.project(tx), world.user(tx), world.user(tx)
        for who, where in ((user, one), (user, None), (other, one), (other, two)):
            digest = f"{who.name}/{where.name if where else None}"
            tx.identities.add_token(digest, TokenRow(who, where, frozenset(), START, START))
        tx.identities.revoke_tokens(user.id)
        assert tx.identities.token(f"{user.name}/None") is None
        tx.identities.revoke_tokens(project=one.id)
        assert tx.identities.token(f"{other.name}/{one.name}") is None
        assert tx.identities.token(f"{other.name}/{two.name}") is not None
        # Nobody is let into a disabled project, whatever tokens say.
        tx.identities.save_project(replace(two, enabled=False))
        assert tx.identities.token(f"{other.name}/{two.name}") is None


def test_a_project_goes_with_all_that_is_said_of_it_and_not_with_what_it_owns(world):
    town = Town.build(world)
    with world.store.write() as tx:
        project, user = world.project(tx), world.user(tx)
        key = _key(world, user, project)
        tx.identities.grant(user.id, project.id, Role.MEMBER)
        tx.identities.add_key(KeyCredentials(key, "hash"))
        tx.identities.add_token("digest", TokenRow(user, project, frozenset(), START, START, key))
        tx.quotas.set(project.id, Resource.INSTANCES, 3)
        tx.memory.remember(project.id, "key", Remembered("fingerprint", "object"))
        for refused in (town.project.id, town.project.id):
            with pytest.raises(Referenced):
                tx.identities.delete_project(refused)
        tx.identities.delete_project(project.id)
    with world.store.read() as tx:
        assert tx.identities.project(project.id) is None
        assert tx.identities.project(town.project.id) == town.project
        assert tx.identities.keys(user.id) == tx.identities.grants(user.id) == []
        assert tx.identities.token("digest") is None
        assert tx.memory.recall(project.id, "key") is None


def test_a_user_goes_with_roles_keys_and_log_ins_unless_an_instance_names_them(world):
    town = Town.build(world)
    with world.store.write() as tx:
        user = world.user(tx)
        key = _key(world, user, town.project)
        tx.identities.grant(user.id, town.project.id, Role.MEMBER)
        tx.identities.add_key(KeyCredentials(key, "hash"))
        tx.identities.add_token("digest", TokenRow(user, town.project, frozenset(), START, START, key))
        tx.identities.grant(town.user.id, town.project.id, Role.MEMBER)
        with pytest.raises(Referenced):
            tx.identities.delete_user(town.user.id)
        tx.identities.delete_user(user.id)
    with world.store.read() as tx:
        assert tx.identities.user(user.id) is None
        assert tx.identities.key(key.id) is None
        assert tx.identities.token("digest") is None
        assert tx.identities.grants() == [Grant(town.user, town.project, Role.MEMBER)]
