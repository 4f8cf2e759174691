"""What a role may do: one table, and what is not in it is denied."""

from enum import StrEnum

from mooring.model.accounts import Role


class Verb(StrEnum):
    """Everything that a caller can ask for, as far as rights are concerned."""

    READ = "read"
    ADDRESS_ALLOCATE = "address:allocate"
    ADDRESS_CHOOSE = "address:choose"
    ADDRESS_RELEASE = "address:release"
    ADDRESS_ASSOCIATE = "address:associate"
    INSTANCE_CREATE = "instance:create"
    INSTANCE_CHANGE = "instance:change"
    INSTANCE_DELETE = "instance:delete"
    GROUP_CHANGE = "group:change"
    NETWORK_CHANGE = "network:change"
    NETWORK_ADMIN = "network:admin"
    POOL_ADMIN = "pool:admin"
    DOMAIN_ADMIN = "domain:admin"
    HOST_ADMIN = "host:admin"
    IDENTITY_ADMIN = "identity:admin"
    QUOTA_ADMIN = "quota:admin"


_MEMBER = frozenset(
    {
        Verb.READ,
        Verb.ADDRESS_ALLOCATE,
        Verb.ADDRESS_RELEASE,
        Verb.ADDRESS_ASSOCIATE,
        Verb.INSTANCE_CREATE,
        Verb.INSTANCE_CHANGE,
        Verb.INSTANCE_DELETE,
        Verb.GROUP_CHANGE,
        Verb.NETWORK_CHANGE,
    }
)

_RIGHTS = {
    Role.READER: frozenset({Verb.READ}),
    Role.MEMBER: _MEMBER,
    Role.ADMIN: _MEMBER
    | {
        Verb.ADDRESS_CHOOSE,
        Verb.NETWORK_ADMIN,
        Verb.POOL_ADMIN,
        Verb.DOMAIN_ADMIN,
        Verb.HOST_ADMIN,
        Verb.IDENTITY_ADMIN,
        Verb.QUOTA_ADMIN,
    },
}


def may(roles: frozenset[Role], verb: Verb) -> bool:
    """Say whether any of the roles grants the verb."""
    return any(verb in _RIGHTS.get(role, frozenset()) for role in roles)


def with_implied(roles: frozenset[Role]) -> frozenset[Role]:
    """Return some roles and all that come with them: whoever may administer may do a member's work, and who may change may read."""
    return frozenset(role for role, rights in _RIGHTS.items() if any(rights <= _RIGHTS[owned] for owned in roles))
