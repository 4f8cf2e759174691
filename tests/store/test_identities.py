from datetime import timedelta

import pytest

from mooring.model.faults import NotFound
from mooring.model.ids import ProjectId, UserId
from mooring.model.nouns import Project, Role, User
from mooring.model.records import Credentials, Duplicate, Referenced, TokenRow
from tests.store.world import START


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
            tx.identities.add_user(Credentials(User(UserId("other"), "u"), "hash", enabled=True))
        world.project(tx, "after")
    with world.store.read() as tx:
        assert [known.name for known in tx.identities.projects()] == ["p", "after"]
        assert tx.identities.user(user.id) == tx.identities.user_by_name("u") == Credentials(user, "hash", enabled=True)


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
