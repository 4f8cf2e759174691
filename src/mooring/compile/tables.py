"""The tables of facts that mooring knows.

Host tables describe the namespace of the bridges, router tables the namespace of one router.  A table of stage ELEMENT names a set or
map of the router's static ruleset (backends/linux/router.nft): adding one there and here is all that a new kind of rule asks of the
data plane.
"""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network

from mooring.compile.facts import Span, Stage, Table
from mooring.model.nouns import AddressRange
from mooring.model.subjects import MAX_GROUPS

BRIDGE = Table(Stage.BRIDGE, "bridge", (str,), (int,))
"""name = mtu"""

PORT = Table(Stage.PORT, "port", (str,), (str, str, str))
"""device = bridge, peer, mac: an up port of that bridge whose other end waits for a guest driver, so that a port has no carrier before
everything else about it is in place.  With a mac it is filtered: in the group of guests' ports, on a bridge whose packets the rules see, and the
bridge knows the mac there instead of learning, and floods no unicast to it.  What it is made of is the host's own business: a veth pair, whose peer waits, down, in the host's
namespace until a driver takes it into a guest; or a tap, which has no peer but a process of a driver's"""

TRUNK = Table(Stage.LINK, "trunk", (str,), (str,))
"""interface of the host = bridge: the operator's interface is a port of our bridge; nothing else of it is ours"""

VLAN = Table(Stage.LINK, "vlan", (str,), (str, int, str, int))
"""device = interface of the host, 802.1Q tag, bridge, mtu: a tagged device that is an up port of the bridge"""

VXLAN = Table(Stage.LINK, "vxlan", (str,), (int, IPv4Address, str, int))
"""device = VNI, own endpoint, bridge, mtu: a tunnel device, an up port of the bridge, that learns nothing and answers ARP for neighbours"""

FDB = Table(Stage.ENTRY, "fdb", (str, str), (IPv4Address,))
"""tunnel device, mac = endpoint: where frames to that mac go; 00:00:00:00:00:00 is where those go that have no entry"""

NEIGHBOUR = Table(Stage.ENTRY, "neighbour", (str, IPv4Address), (str,))
"""tunnel device, address = mac: ARP for the address is answered here and does not cross the tunnel"""

NAMESPACE = Table(Stage.NAMESPACE, "namespace", ())
"""the router's network namespace exists, with its loopback device up"""

INNER = Table(Stage.LINK, "inner", (str,), (str, str, str, int))
"""device = peer on the host, bridge, mac, mtu: a veth pair from the router to a bridge"""

UPLINK = Table(Stage.LINK, "uplink", (str,), (str, str))
"""device = interface on the host, mac: a macvlan device in the group of uplinks"""

SYSCTL = Table(Stage.SYSCTL, "sysctl", (str,), (str,))
"""path below /proc/sys/net = value"""

RULESET = Table(Stage.RULESET, "ruleset", (str,), shared=True)
"""name: the static ruleset of that name is loaded, every rule of it and no other"""

ADDRESS = Table(Stage.ADDRESS, "address", (str, IPv4Interface))
"""device, address"""

ROUTE = Table(Stage.ROUTE, "route", (IPv4Network,), (str, str))
"""prefix = device, next hop or an empty text"""

RULE = Table(Stage.ROUTE, "rule", (int, str, IPv4Network), (int,))
"""priority, device, prefix = number of a table of routes: what comes in by the device and goes to the prefix looks there first"""

ROUTE_IN = Table(Stage.ROUTE, "route_in", (int, IPv4Network), (str, str))
"""number of a table of routes, prefix = device, next hop or an empty text"""

MARKED = Table(Stage.ROUTE, "marked", (int, int, int), (int,))
"""priority, mark, mask = number of a table of routes: packets that have the mark, under the mask, look there first"""

OWNED = Table(Stage.ELEMENT, "owned", (str, IPv4Address), shared=True)
"""uplink device, address: ARP for the address is answered on that device; each guest says so that has ports of the address"""

PUBLIC = Table(Stage.ELEMENT, "public", (str, IPv4Network))
"""uplink device, prefix: sources that may leave there"""

FIP_IN = Table(Stage.ELEMENT, "fip_in", (IPv4Address,), (IPv4Address,))
"""public = private: where packets to a floating IP go"""

PORTS = Table(Stage.ELEMENT, "ports", (IPv4Address,), shared=True)
"""public: ports of it are forwarded"""

PF_IN = Table(Stage.ELEMENT, "pf_in", (IPv4Address, int, int), (IPv4Address, int))
"""public, protocol, port = private, port: where packets to a forwarded port go"""

PF_IN_BLOCKS = tuple(
    Table(Stage.ELEMENT, f"pf_in_{size}", (IPv4Address, int, int), (IPv4Address,)) for size in (16, 256)
)
"""public, protocol, first port = private: where packets to any of so many ports from this one go, to the same port there"""

PF_PAIR = Table(Stage.ELEMENT, "pf_pair", (IPv4Address, int, int, IPv4Address, int))
"""public, protocol, port, private, port: forwardings whose flows may pass; forwarding fails closed without it"""

PF_PAIR_BLOCKS = tuple(
    Table(Stage.ELEMENT, f"pf_pair_{size}", (IPv4Address, int, int, IPv4Address)) for size in (16, 256)
)
"""public, protocol, first port, private: the same for so many ports from this one, each to its like"""

FIP_OUT = Table(Stage.ELEMENT, "fip_out", (IPv4Address, str), (IPv4Address,))
"""private, uplink device = public: as what packets leave"""

HAIR = Table(Stage.ELEMENT, "hair", (IPv4Address,), (IPv4Address,))
"""private = public: as whom a guest appears at another floating IP of the same router"""

PAIR = Table(Stage.ELEMENT, "pair", (IPv4Address, IPv4Address))
"""public, private: translations whose flows may pass; forwarding fails closed without it"""

MAY_OUT = Table(Stage.ELEMENT, "may_out", (IPv4Address, str))
"""private, uplink device: who may open flows there"""

JOINED = Table(Stage.ELEMENT, "joined", (str,))
"""device towards a network: its guests and those behind the router's other such devices reach each other as they are"""

WAYS = Table(Stage.ELEMENT, "ways", (str,), (int,))
"""uplink device = number: flows that came or left by the device keep to it"""

PREFERS = Table(Stage.ELEMENT, "prefers", (IPv4Address,), (int,))
"""private = set of prefixes: by which the guest's destinations are told apart"""

CLASSES = Table(Stage.ELEMENT, "classes", (int, AddressRange), (int,), shared=True)
"""set of prefixes, destinations = class: the longest prefix of the set that holds them; no two ranges of a set overlap"""

CHOICES = Table(Stage.ELEMENT, "choices", (IPv4Address, int), (int,))
"""private, class = mark: by which uplink flows towards such destinations leave, or else by which"""

CHOSEN = Table(Stage.ELEMENT, "chosen", (IPv4Address, str, int), (IPv4Address,))
"""private, uplink device, mark = public: as what flows leave there for which an uplink was chosen"""

RENEWED = Table(Stage.ELEMENT, "renewed", (IPv4Address,), (int,))
"""private = how often the flows that it opened were ended on purpose: when that changes, they end"""

PROBED = Table(Stage.ELEMENT, "probed", (str, IPv4Address), (int,))
"""uplink device, next hop = misses: nothing is routed there any more after so many questions in a row that it did not answer"""

AWAY = Table(Stage.ROUTE, "away", (str,), (str,), observed=True)
"""uplink device = why nothing that begins leaves there at the moment, where there is another way"""

ZONE = Table(Stage.ELEMENT, "zone", (str,), (int,))
"""bridge = conntrack zone: its flows are no other network's"""

FILTERED = Table(Stage.ELEMENT, "filtered", (str,))
"""bridge: what comes through is judged"""

BRIDGE_FILTER = Table(Stage.FILTER, "bridge_filter", (str,))
"""bridge: the rules see its IP packets"""

OWN4 = Table(Stage.ELEMENT, "own4", (str, str, IPv4Address))
"""port, mac, address: as whom the port's guest may send, and what it is sent"""

OWN6 = Table(Stage.ELEMENT, "own6", (str, str, IPv6Address))
"""the same for IPv6"""

TARGET6 = Table(Stage.ELEMENT, "target6", (str, str, IPv6Address))
"""port, mac, address: for whom the port's guest may speak in neighbour discovery"""

ASKS = Table(Stage.ELEMENT, "asks", (str, str))
"""port, mac: for whom a guest may ask by DHCP"""

NUMBER = Table(Stage.ELEMENT, "number", (str,), (int,))
"""port = its number on its bridge"""

SLOTS4 = tuple(
    Table(Stage.ELEMENT, f"slot4_{slot + 1}", (str, IPv4Address), (int,), shared=True) for slot in range(MAX_GROUPS)
)
"""bridge, address = security group: of the filtered ports that may use the address, all in the same groups; one group in each slot"""

SLOTS6 = tuple(
    Table(Stage.ELEMENT, f"slot6_{slot + 1}", (str, IPv6Address), (int,), shared=True) for slot in range(MAX_GROUPS)
)
"""the same for IPv6"""

SLOTS_MANY = tuple(Table(Stage.ELEMENT, f"many_{slot + 1}", (str, int), (int,)) for slot in range(MAX_GROUPS))
"""bridge, number of a port = security group: of the port, for copies of broadcasts"""

MEMBERS4 = Table(Stage.ELEMENT, "members4", (int, IPv4Address), shared=True)
"""security group, address: a member of a group that rules speak of, wherever it is"""

MEMBERS6 = Table(Stage.ELEMENT, "members6", (int, IPv6Address), shared=True)
"""the same for IPv6"""

GROUP = Table(Stage.CHAIN, "group", (int,), (str, str))
"""security group = groups that its ingress and its egress rules speak of, with commas between: its chains and sets are there"""

IN4 = Table(Stage.ELEMENT, "in4", (int, Span, Span, IPv4Network))
"""security group, protocols, ports, remote prefix: flows that its members may receive; no two of a group overlap"""

OUT4 = Table(Stage.ELEMENT, "out4", (int, Span, Span, IPv4Network))
"""the same for flows that its members may open"""

IN6 = Table(Stage.ELEMENT, "in6", (int, Span, Span, IPv6Network))
"""IN4 for IPv6"""

OUT6 = Table(Stage.ELEMENT, "out6", (int, Span, Span, IPv6Network))
"""OUT4 for IPv6"""

PEERS_IN = Table(Stage.ELEMENT, "in_peers", (int, int, str, Span, Span))
"""security group, remote group, ipv4 or ipv6, protocols, ports: flows that its members may receive from members of the remote group"""

PEERS_OUT = Table(Stage.ELEMENT, "out_peers", (int, int, str, Span, Span))
"""the same for flows that its members may open to them"""

OF_GROUPS = (IN4, IN6, OUT4, OUT6, PEERS_IN, PEERS_OUT)
"""Tables whose sets each security group has of its own; the first column says whose"""

DHCP_SERVER = Table(Stage.SERVICE, "dhcp_server", (str,), (str, IPv4Interface, str, int, int))
"""network = device, own address, DNS servers with commas between or an empty text, mtu, lease in seconds"""

DHCP_HOST = Table(Stage.ENTRY, "dhcp_host", (str, str), (IPv4Address, str))
"""network, mac = address, host name"""

OBSERVED = (AWAY,)
"""Tables of what hosts find: nobody asks for it"""

TABLES = (
    NAMESPACE,
    BRIDGE,
    TRUNK,
    VLAN,
    VXLAN,
    INNER,
    UPLINK,
    SYSCTL,
    RULESET,
    ADDRESS,
    ROUTE,
    RULE,
    ROUTE_IN,
    MARKED,
    OWNED,
    PUBLIC,
    FIP_IN,
    PORTS,
    PF_IN,
    *PF_IN_BLOCKS,
    PF_PAIR,
    *PF_PAIR_BLOCKS,
    FIP_OUT,
    HAIR,
    PAIR,
    MAY_OUT,
    JOINED,
    WAYS,
    PREFERS,
    CLASSES,
    CHOICES,
    CHOSEN,
    RENEWED,
    PROBED,
    ZONE,
    FILTERED,
    OWN4,
    OWN6,
    TARGET6,
    ASKS,
    NUMBER,
    *SLOTS4,
    *SLOTS6,
    *SLOTS_MANY,
    MEMBERS4,
    MEMBERS6,
    GROUP,
    *OF_GROUPS,
    DHCP_SERVER,
    DHCP_HOST,
    FDB,
    NEIGHBOUR,
    BRIDGE_FILTER,
    PORT,
)
