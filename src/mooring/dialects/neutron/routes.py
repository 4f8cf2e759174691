"""Every route of the dialect, in one table.  A test walks it: each needs a line there and in docs/openstack.md."""

from mooring.dialects.neutron import (
    extensions,
    floating_ips,
    networks,
    port_forwardings,
    ports,
    quotas,
    routers,
    security_groups,
    subnet_pools,
    subnets,
    tags,
)
from mooring.dialects.openstack.routing import Access, Route
from mooring.model.marks import Tagged

_N = "/network/v2.0"
_PF = f"{_N}/floatingips/{{floatingip}}/port_forwardings"

ROUTES: tuple[Route, ...] = (
    Route("GET", "/network", extensions.versions, "network-versions", Access.PUBLIC),
    Route("GET", _N, extensions.resources, "network-resources"),
    Route("GET", f"{_N}/extensions", extensions.list_extensions, "network-extensions"),
    Route("GET", f"{_N}/extensions/{{alias}}", extensions.show_extension, "network-extension"),
    # Networks, subnets, ports and routers
    Route("GET", f"{_N}/networks", networks.list_networks, "network-networks"),
    Route("GET", f"{_N}/networks/{{network}}", networks.show_network, "network-network"),
    Route("POST", f"{_N}/networks", networks.create_network, "network-network-create"),
    Route("PUT", f"{_N}/networks/{{network}}", networks.update_network, "network-network-update"),
    Route("DELETE", f"{_N}/networks/{{network}}", networks.delete_network, "network-network-delete"),
    Route("POST", f"{_N}/subnets", subnets.create_subnet, "network-subnet-create"),
    Route("PUT", f"{_N}/subnets/{{subnet}}", subnets.update_subnet, "network-subnet-update"),
    Route("DELETE", f"{_N}/subnets/{{subnet}}", subnets.delete_subnet, "network-subnet-delete"),
    Route("GET", f"{_N}/subnetpools", subnet_pools.list_pools, "network-subnet-pools"),
    Route("POST", f"{_N}/subnetpools", subnet_pools.create_pool, "network-subnet-pool-create"),
    Route("GET", f"{_N}/subnetpools/{{subnetpool}}", subnet_pools.show_pool, "network-subnet-pool"),
    Route("PUT", f"{_N}/subnetpools/{{subnetpool}}", subnet_pools.update_pool, "network-subnet-pool-update"),
    Route("DELETE", f"{_N}/subnetpools/{{subnetpool}}", subnet_pools.delete_pool, "network-subnet-pool-delete"),
    Route("POST", f"{_N}/routers", routers.create_router, "network-router-create"),
    Route("PUT", f"{_N}/routers/{{router}}", routers.update_router, "network-router-update"),
    Route("DELETE", f"{_N}/routers/{{router}}", routers.delete_router, "network-router-delete"),
    Route(
        "PUT", f"{_N}/routers/{{router}}/add_router_interface", routers.add_interface, "network-router-interface-add"
    ),
    Route(
        "PUT",
        f"{_N}/routers/{{router}}/remove_router_interface",
        routers.remove_interface,
        "network-router-interface-remove",
    ),
    Route("GET", f"{_N}/subnets", subnets.list_subnets, "network-subnets"),
    Route("GET", f"{_N}/subnets/{{subnet}}", subnets.show_subnet, "network-subnet"),
    Route("GET", f"{_N}/ports", ports.list_ports, "network-ports"),
    Route("POST", f"{_N}/ports", ports.create_port, "network-port-create"),
    Route("GET", f"{_N}/ports/{{port}}", ports.show_port, "network-port"),
    Route("PUT", f"{_N}/ports/{{port}}", ports.update_port, "network-port-update"),
    Route("DELETE", f"{_N}/ports/{{port}}", ports.delete_port, "network-port-delete"),
    Route("GET", f"{_N}/routers", routers.list_routers, "network-routers"),
    Route("GET", f"{_N}/routers/{{router}}", routers.show_router, "network-router"),
    # Floating IPs
    Route("GET", f"{_N}/floatingips", floating_ips.list_floating_ips, "network-floating-ips"),
    Route("POST", f"{_N}/floatingips", floating_ips.create_floating_ip, "network-floating-ip-create"),
    Route("GET", f"{_N}/floatingips/{{floatingip}}", floating_ips.show_floating_ip, "network-floating-ip"),
    Route("PUT", f"{_N}/floatingips/{{floatingip}}", floating_ips.update_floating_ip, "network-floating-ip-update"),
    Route("DELETE", f"{_N}/floatingips/{{floatingip}}", floating_ips.delete_floating_ip, "network-floating-ip-delete"),
    # Port forwardings
    Route("GET", _PF, port_forwardings.list_port_forwardings, "network-port-forwardings"),
    Route("POST", _PF, port_forwardings.create_port_forwarding, "network-port-forwarding-create"),
    Route("GET", f"{_PF}/{{forwarding}}", port_forwardings.show_port_forwarding, "network-port-forwarding"),
    Route("PUT", f"{_PF}/{{forwarding}}", port_forwardings.update_port_forwarding, "network-port-forwarding-update"),
    Route("DELETE", f"{_PF}/{{forwarding}}", port_forwardings.delete_port_forwarding, "network-port-forwarding-delete"),
    # Security groups
    Route("GET", f"{_N}/security-groups", security_groups.list_groups, "network-security-groups"),
    Route("POST", f"{_N}/security-groups", security_groups.create_group, "network-security-group-create"),
    Route("GET", f"{_N}/security-groups/{{group}}", security_groups.show_group, "network-security-group"),
    Route("PUT", f"{_N}/security-groups/{{group}}", security_groups.update_group, "network-security-group-update"),
    Route("DELETE", f"{_N}/security-groups/{{group}}", security_groups.delete_group, "network-security-group-delete"),
    Route("GET", f"{_N}/security-group-rules", security_groups.list_rules, "network-security-group-rules"),
    Route("POST", f"{_N}/security-group-rules", security_groups.create_rule, "network-security-group-rule-create"),
    Route("GET", f"{_N}/security-group-rules/{{rule}}", security_groups.show_rule, "network-security-group-rule"),
    Route(
        "DELETE",
        f"{_N}/security-group-rules/{{rule}}",
        security_groups.delete_rule,
        "network-security-group-rule-delete",
    ),
    # Quotas
    Route("GET", f"{_N}/quotas/{{project}}", quotas.show_quota, "network-quota"),
    Route("PUT", f"{_N}/quotas/{{project}}", quotas.update_quota, "network-quota-update"),
    Route("DELETE", f"{_N}/quotas/{{project}}", quotas.reset_quota, "network-quota-reset"),
    Route("GET", f"{_N}/quotas/{{project}}/default", quotas.show_default, "network-quota-default"),
    Route("GET", f"{_N}/quotas/{{project}}/details", quotas.show_usage, "network-quota-usage"),
    # Tags
    *(
        route
        for kind, plural, param in (
            (Tagged.NETWORK, "networks", "network"),
            (Tagged.SUBNET, "subnets", "subnet"),
            (Tagged.NIC, "ports", "port"),
            (Tagged.ROUTER, "routers", "router"),
            (Tagged.FLOATING_IP, "floatingips", "floatingip"),
            (Tagged.SECURITY_GROUP, "security-groups", "group"),
            (Tagged.SUBNET_POOL, "subnetpools", "subnetpool"),
        )
        for route in tags.routes(_N, kind, plural, param)
    ),
)
