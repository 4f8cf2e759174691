"""The static rules of a router and of a host as data.

ROUTER says the same as backends/linux/router.nft and HOST the same as host.nft, rule by rule in nft's own words; `group_rules` says what
the chains of a security group are.  Tests hold them equal.
"""

from collections.abc import Mapping
from itertools import chain

from mooring.model.subjects import MAX_GROUPS

ROUTER: Mapping[str, tuple[str, ...]] = {
    "arp asked": (
        "type filter hook input priority 0; policy accept;",
        "iifgroup 100 arp operation request iifname . arp daddr ip != @owned arp daddr ether set arp saddr ether "
        "arp operation set reply",
    ),
    "ip arriving": (
        "type nat hook prerouting priority dstnat; policy accept;",
        "dnat to ip daddr map @fip_in",
        "ip daddr @ports goto forwarding",
    ),
    "ip forwarding": (
        "dnat to ip daddr . ip protocol . th dport map @pf_in",
        "dnat to ip daddr . ip protocol . (th dport & 0xfff0) map @pf_in_16",
        "dnat to ip daddr . ip protocol . (th dport & 0xff00) map @pf_in_256",
    ),
    "ip steering": (
        "type filter hook prerouting priority dstnat + 10; policy accept;",
        "ct status ! confirmed goto choosing",
        "iifgroup != 100 meta mark set ct mark",
    ),
    "ip choosing": (
        "iifgroup 100 ct mark set iifname map @ways",
        "iifgroup 100 return",
        "meta mark set ip saddr map @prefers meta mark set meta mark . ip daddr map @classes "
        "meta mark set ip saddr . meta mark map @choices return",
        "meta mark set 0",
    ),
    "ip answering": (
        "type route hook output priority filter; policy accept;",
        "ct mark != 0 meta mark set ct mark",
    ),
    "ip leaving": (
        "type nat hook postrouting priority srcnat; policy accept;",
        "oifgroup 100 meta mark 0 snat to ip saddr . oifname map @fip_out",
        "oifgroup 100 meta mark != 0 snat to ip saddr . oifname . meta mark map @chosen",
        "oifgroup != 100 ct status dnat snat to ip saddr map @hair",
    ),
    "ip checked": (
        "type filter hook postrouting priority srcnat + 10; policy accept;",
        "oifgroup 100 oifname . ip saddr != @public drop",
        "oifgroup 100 ct status ! confirmed ct mark set oifname map @ways",
        "oifgroup != 100 ct direction original ct status snat ip saddr . ct original ip saddr != @pair drop",
    ),
    "ip passing": (
        "type filter hook forward priority 0; policy drop;",
        "iifgroup 100 goto passing_in",
        "oifgroup 100 goto passing_out",
        "ct direction original ct original ip daddr . ip daddr @pair accept",
        "ct direction reply ct original ip daddr . ip saddr @pair accept",
        "iifname @joined oifname @joined ct status ! dnat accept",
        "ct original ip daddr @ports goto forwarded",
    ),
    "ip passing_in": (
        "ct direction original ct original ip daddr . ip daddr @pair accept",
        "ct direction reply ct reply ip daddr . ip daddr @pair accept",
        "ct direction original ct original ip daddr @ports goto forwarded",
        "drop",
    ),
    "ip forwarded": (
        "ct protocol { 6, 17 } ct original ip daddr . ct protocol . ct original proto-dst . ct reply ip saddr . "
        "ct reply proto-src @pf_pair accept",
        "ct protocol { 6, 17 } ct original ip daddr . ct protocol . (ct original proto-dst & 0xfff0) . ct reply "
        "ip saddr @pf_pair_16 accept",
        "ct protocol { 6, 17 } ct original ip daddr . ct protocol . (ct original proto-dst & 0xff00) . ct reply "
        "ip saddr @pf_pair_256 accept",
        "drop",
    ),
    "ip passing_out": (
        "ct direction reply ct original ip daddr . ip saddr @pair accept",
        "ct direction reply ct original ip daddr @ports goto forwarded",
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


def _ask(way: str, slots: str) -> tuple[str, ...]:
    """Ask the groups of a port, one slot after the other; `slots` says how a port is looked up, up to the slot's number."""
    asked = (f"meta mark vmap @groups_{way}", "meta mark 0xffffffff return")
    others = (
        ("meta mark set 0", f"meta mark set {slots}{slot}", "meta mark 0 drop", *asked)
        for slot in range(2, MAX_GROUPS + 1)
    )
    return (*asked, *chain.from_iterable(others), "drop")


def _many_flows(family: int, address: str) -> str:
    about = f"iifname . ether saddr . th sport & 7 . {address}"
    return f"ct state new add @flows{family} {{ {about} ct count over 256 }} drop"


HOST: Mapping[str, tuple[str, ...]] = {
    "bridge arriving": (
        "type filter hook prerouting priority -300; policy accept;",
        "iifgroup 200 goto from_guest",
    ),
    "bridge from_guest": (
        "ether type ip iifname . ether saddr . ip saddr @own4 goto from_guest4",
        "ether type ip6 iifname . ether saddr . ip6 saddr @own6 goto from_guest6",
        "ether type arp iifname . ether saddr . arp saddr ip @own4 goto from_guest_arp",
        "drop",
    ),
    "bridge from_guest4": (
        "ip saddr 0.0.0.0 goto asking4",
        "udp sport 67 drop",
        "udp dport 67 goto asking",
    ),
    "bridge asking4": (
        "ip daddr 255.255.255.255 udp sport 68 udp dport 67 goto asking",
        "drop",
    ),
    "bridge asking": (
        "iifname . @th,288,48 @asks accept",
        "drop",
    ),
    "bridge from_guest_arp": (
        "arp htype != 1 drop",
        "arp ptype != ip drop",
        "arp hlen != 6 drop",
        "arp plen != 4 drop",
        "iifname . arp saddr ether . arp saddr ip != @own4 drop",
        "arp saddr ip != 0.0.0.0 arp operation { request, reply } accept",
        "arp daddr ip != 0.0.0.0 arp operation request iifname . arp saddr ether . arp daddr ip @own4 accept",
        "drop",
    ),
    "bridge from_guest6": (
        "ip6 saddr { ::, fe80::/10 } exthdr frag exists drop",
        "ip6 daddr { fe80::/10, ff00::/8 } exthdr frag exists drop",
        "ip6 saddr :: goto asking6",
        "icmpv6 type { 130, 134, 137, 138, 151, 153 } drop",
        "icmpv6 type nd-neighbor-advert iifname . ether saddr . @th,64,128 != @target6 drop",
        "udp sport 547 drop",
    ),
    "bridge asking6": (
        "icmpv6 type nd-neighbor-solicit iifname . ether saddr . @th,64,128 @target6 accept",
        "icmpv6 type { 131, 132, 133, 143 } accept",
        "drop",
    ),
    "bridge to_host": (
        "type filter hook input priority -300; policy accept;",
        "iifgroup 200 drop",
    ),
    "bridge from_host": (
        "type filter hook output priority -300; policy accept;",
        "oifgroup 200 drop",
    ),
    "bridge forwarded": (
        "type filter hook forward priority -200; policy accept;",
        "oifgroup 200 goto to_guest",
    ),
    "bridge to_guest": (
        "ether type arp accept",
        "udp dport { 67, 547 } drop",
        "meta pkttype { broadcast, multicast } ether type { ip, ip6 } goto to_many",
        "ether type ip oifname . ether daddr . ip daddr @own4 accept",
        "ether type ip6 oifname . ether daddr . ip6 daddr @own6 accept",
        "drop",
    ),
    "bridge to_many": (
        "meta mark set 0xfffffffd",
        "meta priority set 0:1",
        "meta priority set oifname map @number",
    ),
    "inet zoned": (
        "type filter hook prerouting priority -450; policy accept;",
        "ct zone set iifname map @zone",
    ),
    "inet passing": (
        "type filter hook forward priority filter; policy accept;",
        "meta pkttype host ct mark @current accept",
        "iifname @filtered goto judged",
    ),
    "inet judged": (
        "icmpv6 type { 130-137, 143 } accept",
        "udp sport . udp dport { 67 . 68, 68 . 67, 546 . 547, 547 . 546 } accept",
        "ct state { invalid, untracked } drop",
        "meta pkttype { broadcast, multicast } goto judged_many",
        "meta mark set 0",
        "meta nfproto vmap { ipv4 : goto judged4, ipv6 : goto judged6 }",
    ),
    "inet judged4": (
        "meta mark set iifname . ct original ip saddr map @slot4_1",
        "meta mark != 0 jump sent4",
        "meta mark set 0",
        "meta mark set oifname . ct original ip daddr map @slot4_1",
        "meta mark != 0 jump received4",
        "goto admitted",
    ),
    "inet judged6": (
        "meta mark set iifname . ct original ip6 saddr map @slot6_1",
        "meta mark != 0 jump sent6",
        "meta mark set 0",
        "meta mark set oifname . ct original ip6 daddr map @slot6_1",
        "meta mark != 0 jump received6",
        "goto admitted",
    ),
    "inet admitted": (
        "meta mark set 0",
        "ct mark set meta nfproto map @epoch",
        "accept",
    ),
    "inet judged_many": (
        "meta mark != 0xfffffffd meta priority set none",
        "meta mark set 0",
        "meta mark set iifname . ct original ip saddr map @slot4_1",
        "meta nfproto ipv4 meta mark != 0 jump sent4",
        "meta mark set iifname . ct original ip6 saddr map @slot6_1",
        "meta nfproto ipv6 meta mark != 0 jump sent6",
        "meta mark set 0",
        "meta priority none accept",
        "meta mark set oifname . meta priority map @many_1",
        "meta mark 0 drop",
        "jump received_many",
        "meta priority set none",
        "meta mark set 0",
        "accept",
    ),
    "inet sent4": (_many_flows(4, "ip daddr & 0.0.0.7"), *_ask("out", "iifname . ct original ip saddr map @slot4_")),
    "inet sent6": (_many_flows(6, "ip6 daddr & ::7"), *_ask("out", "iifname . ct original ip6 saddr map @slot6_")),
    "inet received4": _ask("in", "oifname . ct original ip daddr map @slot4_"),
    "inet received6": _ask("in", "oifname . ct original ip6 daddr map @slot6_"),
    "inet received_many": _ask("in", "oifname . meta priority map @many_"),
}


def group_rules(group: int, way: str, remotes: str) -> tuple[str, ...]:
    """Return the rules of a security group's chain for one way, `in` or `out`.

    `remotes` are the numbers of the groups that its rules speak of, with commas between.
    """
    other = {"in": "saddr", "out": "daddr"}[way]
    families = (("4", f"ct original ip {other}"), ("6", f"ct original ip6 {other}"))
    flow, admit = "ct protocol . ct original proto-dst", "meta mark set 0xffffffff return"
    own = (f"{flow} . {address} @g_{group}_{way}{family} {admit}" for family, address in families)
    members = [
        f"meta mark . {address} @members{family} meta mark . meta nfproto . {flow} @g_{group}_{way}_peers {admit}"
        for family, address in families
    ]
    asked = ((f"meta mark set {int(remote):#010x}", *members) for remote in remotes.split(",") if remote)
    return (*own, *chain.from_iterable(asked))
