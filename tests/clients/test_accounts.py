"""Accounts through openstacksdk and the `openstack` command, unmodified; and Keystone v2.0 through keystoneauth."""

from typing import Any

import openstack
import pytest
from keystoneauth1 import exceptions
from keystoneauth1.identity import v2
from keystoneauth1.session import Session
from novaclient.client import Client
from openstack.exceptions import ConflictException, ForbiddenException, NotFoundException, SDKException

from tests.clients.openstack_command import OpenStackCommand
from tests.cloud import PASSWORDS

# It warns of its own code.
pytestmark = [
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK50Warning"),
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK60Warning"),
]


def _connection(url: str, user: str, password: str, project: str) -> Any:
    return openstack.connect(
        auth_url=f"{url}/identity/v3",
        username=user,
        password=password,
        project_name=project,
        user_domain_name="Default",
        project_domain_name="Default",
        load_envvars=False,
        load_yaml_config=False,
    )


@pytest.fixture
def root(url: str) -> Any:
    return _connection(url, "root", PASSWORDS["root"], "harbour").identity


def test_a_life_of_an_account(url: str, root: Any) -> None:
    fleet = root.create_project(name="fleet", description="all of it", is_enabled=True, domain_id="default")
    nell = root.create_user(name="nell", password="secret", email="n@example.org", default_project_id=fleet.id)
    assert [user.name for user in root.users(name="nell")] == ["nell"]
    assert root.find_project("fleet").description == "all of it"
    assert root.find_role("member").id == "member"
    assert sorted(role.name for role in root.roles()) == ["admin", "member", "reader"]

    root.assign_project_role_to_user(fleet, nell, "member")
    assert root.validate_user_has_project_role(fleet, nell, "member")
    assert not root.validate_user_has_project_role(fleet, nell, "admin")
    (found,) = root.role_assignments(scope_project_id=fleet.id, include_names=True)
    assert (found.role["name"], found.user["name"], found.scope["project"]["name"]) == ("member", "nell", "fleet")

    own = _connection(url, "nell", "secret", "fleet")
    with pytest.raises(ForbiddenException):
        own.identity.create_project(name="mine")
    assert [project.name for project in own.identity.user_projects(nell)] == ["fleet"]

    assert root.update_user(nell, is_enabled=False).is_enabled is False
    with pytest.raises(SDKException, match="401"):
        _connection(url, "nell", "secret", "fleet").authorize()
    root.update_user(nell, is_enabled=True, password="better")
    assert _connection(url, "nell", "better", "fleet").authorize()

    root.unassign_project_role_from_user(fleet, nell, "member")
    root.update_project(fleet, is_enabled=False)
    root.delete_user(nell)
    root.delete_project(fleet)
    with pytest.raises(NotFoundException):
        root.get_project(fleet.id)
    with pytest.raises(ConflictException, match="boats already exists"):
        root.create_project(name="boats")


def test_an_application_credential(url: str) -> None:
    alice = _connection(url, "alice", PASSWORDS["alice"], "boats")
    user = alice.current_user_id
    made = alice.identity.create_application_credential(
        user, "ci", description="for the tests", roles=[{"name": "reader"}], expires_at="2099-01-01T00:00:00"
    )
    assert (made.name, made.roles[0]["name"], made.unrestricted) == ("ci", "reader", False)
    program: Any = openstack.connect(
        auth_type="v3applicationcredential",
        auth_url=f"{url}/identity/v3",
        application_credential_id=made.id,
        application_credential_secret=made.secret,
        load_envvars=False,
        load_yaml_config=False,
    )
    assert list(program.compute.servers()) == []
    with pytest.raises(ForbiddenException):
        program.identity.create_application_credential(user, "more")
    assert [each.name for each in alice.identity.application_credentials(user)] == ["ci"]
    assert alice.identity.find_application_credential(user, "ci").id == made.id
    alice.identity.delete_application_credential(user, made.id)
    with pytest.raises(exceptions.Unauthorized):
        list(program.compute.servers())


def test_keystone_v2(url: str) -> None:
    auth = v2.Password(f"{url}/identity/v2.0", username="alice", password=PASSWORDS["alice"], tenant_name="boats")
    session = Session(auth)
    assert session.get_endpoint(service_type="compute", interface="public") == f"{url}/compute/v2.1"
    servers = session.get("/servers", endpoint_filter={"service_type": "compute"}, microversion=None)
    assert servers.json() == {"servers": []}
    tenants = session.get(f"{url}/identity/v2.0/tenants").json()["tenants"]
    assert [tenant["name"] for tenant in tenants] == ["boats"]
    second = Session(v2.Token(f"{url}/identity/v2.0", session.get_token() or "", tenant_name="boats"))
    assert second.get_token() != session.get_token()
    wrong = v2.Password(f"{url}/identity/v2.0", username="alice", password="guess", tenant_name="boats")
    with pytest.raises(exceptions.Unauthorized):
        Session(wrong).get_token()


def _variables(url: str, user: str, password: str, project: str) -> dict[str, str]:
    return {
        "OS_AUTH_URL": f"{url}/identity",
        "OS_USERNAME": user,
        "OS_PASSWORD": password,
        "OS_PROJECT_NAME": project,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_IDENTITY_API_VERSION": "3",
        "OS_REGION_NAME": "RegionOne",
    }


def test_the_openstack_command(url: str) -> None:
    with OpenStackCommand(_variables(url, "root", PASSWORDS["root"], "harbour")) as root:
        fleet = root.data("project", "create", "fleet", "--description", "all of it", "--domain", "default")
        assert (fleet["name"], fleet["description"], fleet["enabled"]) == ("fleet", "all of it", True)
        nell = root.data(
            "user", "create", "nell", "--password", "secret", "--email", "n@example.org", "--project", "fleet"
        )
        assert nell["default_project_id"] == fleet["id"]
        root("role", "add", "--user", "nell", "--project", "fleet", "member")
        (given,) = root.data("role", "assignment", "list", "--project", "fleet", "--names")
        assert (given["Role"], given["User"], given["Project"]) == ("member", "nell@Default", "fleet@Default")
        assert {each["Name"] for each in root.data("project", "list")} == {"barges", "boats", "fleet", "harbour"}
        assert "nell" in {each["Name"] for each in root.data("user", "list", "--project", "fleet")}
        assert {each["Name"] for each in root.data("role", "list")} == {"admin", "member", "reader"}
        root("project", "set", "--description", "some of it", "fleet")
        assert root.data("project", "show", "fleet")["description"] == "some of it"
        root("user", "set", "--description", "a captain", "nell")
        assert root.data("user", "show", "nell")["description"] == "a captain"
        with OpenStackCommand(_variables(url, "nell", "secret", "fleet")) as own:
            assert own.data("token", "issue")["project_id"] == fleet["id"]
            key = own.data(
                "application", "credential", "create", "ci", "--role", "member", "--expiration", "2099-01-01T00:00:00"
            )
            assert [each["Name"] for each in own.data("application", "credential", "list")] == ["ci"]
            assert len({name.lower(): value for name, value in key.items()}["secret"]) > 40
            refused = own.run("project", "create", "mine")
            assert refused.status != 0
            assert "403" in refused.errors
            own("application", "credential", "delete", "ci")
            own("user", "password", "set", "--original-password", "secret", "--password", "better")
        root("user", "set", "--disable", "nell")
        root("role", "remove", "--user", "nell", "--project", "fleet", "member")
        root("user", "delete", "nell")
        root("project", "delete", "fleet")
        assert "fleet" not in {each["Name"] for each in root.data("project", "list")}


@pytest.mark.filterwarnings("ignore:.*novaclient.*deprecated:DeprecationWarning:novaclient")
def test_an_old_nova_client(url: str) -> None:
    auth = v2.Password(f"{url}/identity/v2.0", username="alice", password=PASSWORDS["alice"], tenant_name="boats")
    nova: Any = Client("2", session=Session(auth))
    address = nova.floating_ips.create(pool="public")
    assert [each.ip for each in nova.floating_ips.list()] == [address.ip]
    nova.floating_ips.delete(address)
    assert nova.floating_ips.list() == []
