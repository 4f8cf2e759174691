"""The static rules of a router as data.

ROUTER says the same as backends/linux/router.nft, rule by rule in nft's own words; a test holds the two equal.
"""

from collections.abc import Mapping

ROUTER: Mapping[str, tuple[str, ...]] = {
    "arp asked": (
        "type filter hook input priority 0; policy accept;",
        "iifgroup 100 arp operation request iifname . arp daddr ip != @owned arp daddr ether set arp saddr ether "
        "arp operation set reply",
    ),
    "ip arriving": (
        "type nat hook prerouting priority dstnat; policy accept;",
        "dnat to ip daddr map @fip_in",
    ),
    "ip leaving": (
        "type nat hook postrouting priority srcnat; policy accept;",
        "oifgroup 100 snat to ip saddr . oifname map @fip_out",
        "oifgroup != 100 ct status dnat snat to ip saddr map @hair",
    ),
    "ip checked": (
        "type filter hook postrouting priority srcnat + 10; policy accept;",
        "oifgroup 100 oifname . ip saddr != @public drop",
        "oifgroup != 100 ct direction original ct status snat ip saddr . ct original ip saddr != @pair drop",
    ),
    "ip passing": (
        "type filter hook forward priority 0; policy drop;",
        "iifgroup 100 goto passing_in",
        "oifgroup 100 goto passing_out",
        "ct direction original ct original ip daddr . ip daddr @pair accept",
        "ct direction reply ct original ip daddr . ip saddr @pair accept",
    ),
    "ip passing_in": (
        "ct direction original ct original ip daddr . ip daddr @pair accept",
        "ct direction reply ct reply ip daddr . ip daddr @pair accept",
        "drop",
    ),
    "ip passing_out": (
        "ct direction reply ct original ip daddr . ip saddr @pair accept",
        "ct status ! confirmed ip saddr . oifname @may_out accept",
        "ct reply ip daddr . ip saddr @pair accept",
        "drop",
    ),
    "ip own": (
        "type filter hook input priority 0; policy drop;",
        'iifname "lo" accept',
        "ct state established,related accept",
        "icmp type echo-request accept",
        "iifgroup != 100 udp dport { 53, 67 } accept",
        "iifgroup != 100 tcp dport 53 accept",
    ),
}
