# Looks after a network device that came or went, as the environment says: ACTION, SUBSYSTEM and INTERFACE.  What the config drive says
# of a device with this hardware address is made true; a device of which it says nothing, or that it should ask, asks by DHCP for ever.

bb() { "$BUSYBOX" "$@"; }

case $SUBSYSTEM/$INTERFACE in
    net/eth*) ;;
    *) exit ;;
esac

pid=/run/guest/$INTERFACE.pid
if [ "$ACTION" = remove ]; then
    bb kill "$(bb cat "$pid")" 2> /dev/null
    exit
fi
[ "$ACTION" = add ] && read -r index < "/sys/class/net/$INTERFACE/ifindex" || exit
bb mkdir "/run/guest/device-$index" 2> /dev/null || exit # somebody else has it in hand

read -r mac < "/sys/class/net/$INTERFACE/address"
# One line: address/netmask, gateway or -, name servers with spaces between; nothing where there is no address to be had here.
injected=$(bb awk -F '\t' -v mac="$mac" '
    { value[$1] = $2 }
    END {
        for (l = 0; ("links." l ".id") in value; l++)
            if (value["links." l ".ethernet_mac_address"] == mac) link = value["links." l ".id"]
        for (n = 0; link != "" && ("networks." n ".type") in value; n++) {
            at = "networks." n "."
            if (value[at "link"] != link || value[at "type"] != "ipv4") continue
            gateway = "-"
            for (r = 0; (at "routes." r ".gateway") in value; r++)
                if (value[at "routes." r ".network"] == "0.0.0.0") gateway = value[at "routes." r ".gateway"]
            printf "%s/%s %s", value[at "ip_address"], value[at "netmask"], gateway
            for (s = 0; (at "services." s ".address") in value; s++) printf " %s", value[at "services." s ".address"]
            exit
        }
    }' /run/guest/network_data)

if [ -z "$injected" ]; then
    # Discover at once, then each second, for ever.
    bb udhcpc -f -i "$INTERFACE" -s /run/guest/dhcp -p "$pid" -t 5 -T 1 -A 1 > /dev/null 2>&1 &
    exit
fi

set -- $injected
export interface="$INTERFACE" ip="${1%/*}" mask="${1#*/}" router="${2#-}"
shift 2
export dns="$*"
/run/guest/dhcp deconfig
/run/guest/dhcp bound
