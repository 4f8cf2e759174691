"""Every route of the dialect, in one table.  A test walks it: each needs a line there and in docs/openstack.md."""

from mooring.dialects.http import Lane
from mooring.dialects.openstack import (
    accounts,
    actions,
    application_credentials,
    bulk,
    catalogue,
    extensions,
    fixed_ips,
    floating_ips,
    identity,
    identity_v2,
    interfaces,
    limits,
    networks,
    quota_sets,
    roles,
    security_groups,
    servers,
    versions,
    zones,
)
from mooring.dialects.openstack.routing import Access, Route

_C = "/compute/v2.1"
_K = "/identity/v3"
_ROLES = f"{_K}/projects/{{project}}/users/{{user}}/roles"

ROUTES: tuple[Route, ...] = (
    # Version documents
    Route("GET", "/identity", versions.identity_versions, "identity-versions", Access.PUBLIC),
    Route("GET", "/identity/v3", versions.identity_version, "identity-version", Access.PUBLIC),
    Route("GET", "/compute", versions.compute_versions, "compute-versions", Access.PUBLIC),
    Route("GET", "/compute/v2.1", versions.compute_version, "compute-version", Access.PUBLIC),
    Route("GET", "/image", versions.image_versions, "image-versions", Access.PUBLIC),
    # Identity
    Route("POST", f"{_K}/auth/tokens", identity.log_in, "log-in", Access.PUBLIC, Lane.LOG_IN),
    Route("GET", f"{_K}/auth/tokens", identity.show_token, "token", Access.TOKEN),
    Route("HEAD", f"{_K}/auth/tokens", identity.show_token, "token-check", Access.TOKEN),
    Route("DELETE", f"{_K}/auth/tokens", identity.revoke_token, "log-out", Access.TOKEN),
    Route("GET", f"{_K}/auth/catalog", identity.show_catalogue, "catalogue", Access.TOKEN),
    Route("GET", f"{_K}/auth/projects", accounts.list_own_projects, "own-projects", Access.TOKEN),
    Route("GET", f"{_K}/projects", accounts.list_projects, "projects", Access.TOKEN),
    Route("POST", f"{_K}/projects", accounts.create_project, "project-create"),
    Route("GET", f"{_K}/projects/{{project}}", accounts.show_project, "project", Access.TOKEN),
    Route("PATCH", f"{_K}/projects/{{project}}", accounts.update_project, "project-update"),
    Route("DELETE", f"{_K}/projects/{{project}}", accounts.delete_project, "project-delete"),
    Route("GET", f"{_K}/users", accounts.list_users, "users", Access.TOKEN),
    Route("POST", f"{_K}/users", accounts.create_user, "user-create", lane=Lane.LOG_IN),
    Route("GET", f"{_K}/users/{{user}}", accounts.show_user, "user", Access.TOKEN),
    Route("PATCH", f"{_K}/users/{{user}}", accounts.update_user, "user-update", lane=Lane.LOG_IN),
    Route("DELETE", f"{_K}/users/{{user}}", accounts.delete_user, "user-delete"),
    Route(
        "POST", f"{_K}/users/{{user}}/password", accounts.change_password, "password-change", Access.TOKEN, Lane.LOG_IN
    ),
    Route("GET", f"{_K}/users/{{user}}/projects", accounts.list_projects_of_user, "user-projects", Access.TOKEN),
    Route("GET", f"{_K}/users/{{user}}/application_credentials", application_credentials.list_credentials, "keys"),
    Route(
        "POST",
        f"{_K}/users/{{user}}/application_credentials",
        application_credentials.create_credential,
        "key-create",
        lane=Lane.LOG_IN,
    ),
    Route(
        "GET", f"{_K}/users/{{user}}/application_credentials/{{key}}", application_credentials.show_credential, "key"
    ),
    Route(
        "DELETE",
        f"{_K}/users/{{user}}/application_credentials/{{key}}",
        application_credentials.delete_credential,
        "key-delete",
    ),
    Route("GET", f"{_K}/roles", roles.list_roles, "roles", Access.TOKEN),
    Route("GET", f"{_K}/roles/{{role}}", roles.show_role, "role", Access.TOKEN),
    Route("GET", f"{_K}/role_assignments", roles.list_assignments, "role-assignments"),
    Route("GET", _ROLES, roles.list_roles_of_user, "roles-of-user"),
    Route("GET", f"{_ROLES}/{{role}}", roles.has_role, "role-of-user"),
    Route("HEAD", f"{_ROLES}/{{role}}", roles.has_role, "role-of-user-check"),
    Route("PUT", f"{_ROLES}/{{role}}", roles.grant, "role-grant"),
    Route("DELETE", f"{_ROLES}/{{role}}", roles.revoke, "role-revoke"),
    Route("GET", f"{_K}/domains", accounts.list_domains, "domains", Access.TOKEN),
    Route("GET", f"{_K}/domains/{{domain}}", accounts.show_domain, "domain", Access.TOKEN),
    # Identity as it was before
    Route("GET", "/identity/v2.0", versions.old_identity_version, "old-identity-version", Access.PUBLIC),
    Route("POST", "/identity/v2.0/tokens", identity_v2.log_in, "old-log-in", Access.PUBLIC, Lane.LOG_IN),
    Route("GET", "/identity/v2.0/tenants", identity_v2.list_tenants, "tenants", Access.TOKEN),
    # Extensions
    Route("GET", f"{_C}/extensions", extensions.list_extensions, "extensions"),
    Route("GET", f"{_C}/extensions/{{alias}}", extensions.show_extension, "extension"),
    # Servers
    Route("GET", f"{_C}/servers", servers.list_servers, "servers"),
    Route("POST", f"{_C}/servers", servers.create_server, "server-create"),
    Route("GET", f"{_C}/servers/detail", servers.list_servers_detail, "servers-detail"),
    Route("GET", f"{_C}/servers/{{server}}", servers.show_server, "server"),
    Route("PUT", f"{_C}/servers/{{server}}", servers.update_server, "server-update"),
    Route("DELETE", f"{_C}/servers/{{server}}", servers.delete_server, "server-delete"),
    Route("POST", f"{_C}/servers/{{server}}/action", actions.act, "server-action"),
    Route("GET", f"{_C}/servers/{{server}}/ips", servers.list_addresses, "server-addresses"),
    Route("GET", f"{_C}/servers/{{server}}/ips/{{label}}", servers.show_addresses, "server-address"),
    Route("GET", f"{_C}/servers/{{server}}/os-virtual-interfaces", interfaces.list_virtual_interfaces, "server-cards"),
    Route("GET", f"{_C}/servers/{{server}}/os-interface", interfaces.list_attachments, "server-interfaces"),
    Route("GET", f"{_C}/servers/{{server}}/os-interface/{{port}}", interfaces.show_attachment, "server-interface"),
    # Floating IPs
    Route("GET", f"{_C}/os-floating-ips", floating_ips.list_floating_ips, "floating-ips"),
    Route("POST", f"{_C}/os-floating-ips", floating_ips.allocate, "floating-ip-allocate"),
    Route("GET", f"{_C}/os-floating-ips/{{address}}", floating_ips.show_floating_ip, "floating-ip"),
    Route("DELETE", f"{_C}/os-floating-ips/{{address}}", floating_ips.release, "floating-ip"),
    Route(
        "POST",
        f"{_C}/os-floating-ips/{{address}}/addFloatingIp",
        floating_ips.associate_address,
        "floating-ip-associate",
    ),
    Route(
        "POST", f"{_C}/os-floating-ips/{{address}}/removeFloatingIp", floating_ips.disassociate_address, "floating-ip"
    ),
    Route("GET", f"{_C}/os-floating-ip-pools", floating_ips.list_pools, "floating-ip-pools"),
    Route("GET", f"{_C}/os-floating-ips-bulk", bulk.list_addresses, "bulk"),
    Route("POST", f"{_C}/os-floating-ips-bulk", bulk.create_addresses, "bulk-create"),
    Route("GET", f"{_C}/os-floating-ips-bulk/{{host}}", bulk.list_addresses_of_host, "bulk-host"),
    Route("PUT", f"{_C}/os-floating-ips-bulk/delete", bulk.delete_addresses, "bulk-delete"),
    # Security groups
    Route("GET", f"{_C}/os-security-groups", security_groups.list_groups, "security-groups"),
    Route("POST", f"{_C}/os-security-groups", security_groups.create_group, "security-group-create"),
    Route("GET", f"{_C}/os-security-groups/{{group}}", security_groups.show_group, "security-group"),
    Route("PUT", f"{_C}/os-security-groups/{{group}}", security_groups.update_group, "security-group-update"),
    Route("DELETE", f"{_C}/os-security-groups/{{group}}", security_groups.delete_group, "security-group-delete"),
    Route("POST", f"{_C}/os-security-group-rules", security_groups.create_rule, "security-group-rule-create"),
    Route("DELETE", f"{_C}/os-security-group-rules/{{rule}}", security_groups.delete_rule, "security-group-rule"),
    Route("GET", f"{_C}/servers/{{server}}/os-security-groups", security_groups.list_groups_of_server, "server-groups"),
    # Networks
    Route("GET", f"{_C}/os-networks", networks.list_networks, "networks"),
    Route("GET", f"{_C}/os-networks/{{network}}", networks.show_network, "network"),
    Route("GET", f"{_C}/os-tenant-networks", networks.list_tenant_networks, "tenant-networks"),
    Route("GET", f"{_C}/os-tenant-networks/{{network}}", networks.show_tenant_network, "tenant-network"),
    Route("GET", f"{_C}/os-fixed-ips/{{fixed}}", fixed_ips.show_fixed_ip, "fixed-ip"),
    # What can be booted, and how much of it
    Route("GET", f"{_C}/flavors", catalogue.list_flavors, "flavors"),
    Route("GET", f"{_C}/flavors/detail", catalogue.list_flavors_detail, "flavors-detail"),
    Route("GET", f"{_C}/flavors/{{flavor}}", catalogue.show_flavor, "flavor"),
    Route("GET", f"{_C}/flavors/{{flavor}}/os-extra_specs", catalogue.show_extra_specs, "flavor-extra-specs"),
    Route("GET", f"{_C}/images", catalogue.list_images, "images"),
    Route("GET", f"{_C}/images/detail", catalogue.list_images_detail, "images-detail"),
    Route("GET", f"{_C}/images/{{image}}", catalogue.show_image, "image"),
    Route("GET", f"{_C}/limits", limits.show_limits, "limits"),
    Route("GET", f"{_C}/os-availability-zone", zones.list_zones, "zones"),
    Route("GET", f"{_C}/os-quota-sets/{{project}}", quota_sets.show_quotas, "quotas"),
    Route("PUT", f"{_C}/os-quota-sets/{{project}}", quota_sets.change_quotas, "quotas-change"),
    Route("DELETE", f"{_C}/os-quota-sets/{{project}}", quota_sets.reset_quotas, "quotas-reset"),
    Route("GET", f"{_C}/os-quota-sets/{{project}}/defaults", quota_sets.show_defaults, "quota-defaults"),
    Route("GET", f"{_C}/os-quota-sets/{{project}}/detail", quota_sets.show_details, "quota-details"),
    Route("GET", "/image/v2/images", catalogue.glance_images, "glance-images"),
    Route("GET", "/image/v2/images/{image}", catalogue.glance_image, "glance-image"),
)
