# What udhcpc runs: makes what the DHCP server said true on $interface.  $1 is deconfig, bound, renew, leasefail or nak.
# The values are in the environment, checked and formatted by udhcpc: ip, mask (prefix length), router, dns, domain, hostname.
# The first device decides about what a guest has one of: default route, name servers, host name.

bb() { "$BUSYBOX" "$@"; }

case $1 in
    deconfig)
        bb ip -4 address flush dev "$interface"
        bb ip link set "$interface" up
        ;;
    bound | renew)
        held=$(bb ip -o -4 address show dev "$interface" | bb awk '{ print $4 }')
        if [ "$held" != "$ip/$mask" ]; then # never take away what stays: connections hang on it
            bb ip -4 address flush dev "$interface"
        fi
        if [ "$interface" = eth0 ]; then
            # Before the address, which says that all is there; so the router can't be known to be near yet.
            for gateway in ${router-}; do
                bb ip route replace default via "$gateway" dev eth0 onlink
                break
            done
        fi
        if [ "$held" != "$ip/$mask" ]; then
            bb ip address add "$ip/$mask" broadcast + dev "$interface"
        fi
        if [ "$interface" = eth0 ]; then
            # In place, not by renaming: the file is bind-mounted over /etc/resolv.conf.
            {
                if [ -n "${domain-}" ]; then echo "search $domain"; fi
                for server in ${dns-}; do echo "nameserver $server"; done
            } > /run/guest/resolv.conf
            if [ -n "${hostname-}" ]; then bb hostname "$hostname"; fi
        fi
        ;;
esac
