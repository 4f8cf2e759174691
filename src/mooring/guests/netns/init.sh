# The first process of a guest: mounts what the guest has for itself, starts the services of its image, runs a DHCP client for each
# eth* device, reaps orphans.  Killing it ends the guest.
#
# Environment: BUSYBOX, GUEST_NAME (a tenant's text: print it, never more), GUEST_SERVICES, GUEST_SCRIPTS, GUEST_HOSTNAME and, with
# spaces between, GUEST_INJECTED (MAC=ADDRESS/PREFIX,GATEWAY or -,NAME SERVER,...).  Standard output is a pipe to the driver: "up" on it means that devices are looked after from now on.  USR1 means: devices came, look again.

exec 3<&- # the lock, see launch.sh

bb() { "$BUSYBOX" "$@"; }

fail() {
    echo "$*" >&2
    exit 1
}

bb mount -t proc -o nosuid,nodev,noexec proc /proc || fail "/proc can't be mounted"

# Our copies of the mounts that name the host's namespaces would keep those alive for as long as this guest lives.
while bb umount -l /run/netns; do :; done 2> /dev/null
while read -r _ where kind _; do
    [ "$kind" != nsfs ] || bb umount -l "$where"
done < /proc/mounts 2> /dev/null # one that is below another mount can't be reached

bb mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs /run || fail "/run can't be mounted"
bb mkdir -p /run/guest/www/cgi-bin || fail "/run can't be written"

program() { # SCRIPT TARGET: package data is not executable, nor does it know where busybox is
    { echo "#!$BUSYBOX sh" && bb cat "$GUEST_SCRIPTS/$1"; } > "$2" && bb chmod 755 "$2" || fail "$1 can't be copied"
}

program dhcp.sh /run/guest/dhcp
program web.sh /run/guest/www/cgi-bin/index.cgi

# Name servers come by DHCP and are this guest's alone.  Often the host's file is a link to one below its /run.
: > /run/guest/resolv.conf
resolv=$(bb readlink /etc/resolv.conf || echo /etc/resolv.conf)
case $resolv in
    ../run/* | /run/*)
        resolv=/run/${resolv#*run/}
        bb mkdir -p "${resolv%/*}"
        bb ln -s /run/guest/resolv.conf "$resolv"
        ;;
    *)
        [ ! -e /etc/resolv.conf ] || bb mount -o bind /run/guest/resolv.conf /etc/resolv.conf
        ;;
esac

# The host's programs may be used, its files not changed.  A convenience, not a wall: see the package's docstring.
bb mount -o remount,bind,ro / 2> /dev/null || :
# This network's devices, not the host's.
bb mount -t sysfs -o nosuid,nodev,noexec sysfs /sys || fail "/sys can't be mounted"

bb hostname "${GUEST_HOSTNAME:-guest}"
bb ip link set lo up

keep() { # COMMAND...: runs it again whenever it ends
    while :; do
        "$@"
        bb sleep 1
    done
}

inject() { # DEVICE MAC: gives it the address that was injected for it, and stays until somebody ends it, as a DHCP client does
    told=${GUEST_INJECTED#*"$2="}
    (
        IFS=,
        set -- "$1" ${told%% *}
        IFS=' '
        export interface="$1" ip="${2%/*}" mask="${2#*/}" router="${3#-}"
        shift 3
        export dns="$*"
        /run/guest/dhcp deconfig
        /run/guest/dhcp bound
    )
    bb sh -c 'echo $$ > "$0"; exec "$BUSYBOX" sleep 2147483647' "/run/guest/$1.pid"
}

client() { # DEVICE: its address, by injection or DHCP, whenever it is there
    while :; do
        if read -r index < "/sys/class/net/$1/ifindex" && read -r mac < "/sys/class/net/$1/address"; then
            echo "$index" > "/run/guest/$1.index"
            case " $GUEST_INJECTED" in
                *" $mac="*) inject "$1" "$mac" ;;
                # Discover at once, then each second, for ever.
                *) bb udhcpc -f -i "$1" -s /run/guest/dhcp -p "/run/guest/$1.pid" -t 5 -T 1 -A 1 ;;
            esac
        fi 2> /dev/null
        bb sleep 0.2
    done
}

look() { # starts a client for a new device, and ends the one whose device was replaced by another of the same name
    for path in /sys/class/net/eth*; do
        device=${path##*/}
        read -r now < "$path/ifindex" || continue
        if read -r then < "/run/guest/$device.index"; then
            if [ "$now" != "$then" ]; then bb kill "$(bb cat "/run/guest/$device.pid")"; fi
        else
            echo "$now" > "/run/guest/$device.index"
            client "$device" &
        fi
    done 2> /dev/null
}

trap look USR1
echo up
exec >&2 # before there are children, which would keep the pipe open
for service in $GUEST_SERVICES; do
    case $service in
        http)
            keep bb httpd -f -p 0.0.0.0:80 -h /run/guest/www &
            ;;
        echo)
            keep bb nc -ll -p 7 -e "$BUSYBOX" cat &
            ;;
    esac
done
look
while :; do # `wait` reaps whatever becomes our child, and a signal ends it early
    "$BUSYBOX" sleep 86400 &
    nap=$!
    wait "$nap"
    bb kill "$nap"
done 2> /dev/null
