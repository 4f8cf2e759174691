# The first process of a VM guest: loads drivers, reads the config drive, brings up each eth* device, starts the image's services, says
# READY on the console.  Ends with the power button.
#
# From the kernel's command line: guest.services=http,echo and, to see whether a machine can run VMs at all, guest.proof.

export BUSYBOX=/bin/busybox PATH=/bin
bb() { "$BUSYBOX" "$@"; }

bb mount -t devtmpfs -o nosuid,noexec dev /dev
exec < /dev/console > /dev/console 2>&1
bb mount -t proc -o nosuid,nodev,noexec proc /proc
bb mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
bb mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs /run
bb mkdir -p /run/guest/www/cgi-bin /run/config /etc/acpi/PWRF

ready() { # with how long it took
    read -r uptime _ < /proc/uptime
    echo "READY $uptime"
}

services=
for word in $(bb cat /proc/cmdline); do
    case $word in
        guest.services=*) services=${word#*=} ;;
        guest.proof)
            ready
            bb poweroff -f
            ;;
    esac
done

while read -r module; do
    bb insmod "/lib/modules/$module"
done < /lib/modules/order

program() { # SCRIPT TARGET
    { echo "#!$BUSYBOX sh" && bb cat "/system/$1"; } > "$2" && bb chmod 755 "$2"
}

program dhcp.sh /run/guest/dhcp
program network.sh /run/guest/network
program web.sh /run/guest/www/cgi-bin/index.cgi
printf '#!%s sh\n%s poweroff -f\n' "$BUSYBOX" "$BUSYBOX" > /etc/acpi/PWRF/00000080
bb chmod 755 /etc/acpi/PWRF/00000080
bb acpid -c /etc/acpi -l /dev/null -p /run/guest/acpid.pid

# An ISO 9660 volume has its name 40 bytes into its 17th block of 2048.
for path in /sys/block/vd*; do
    disk=/dev/${path##*/}
    if [ "$(bb dd if="$disk" bs=1 skip=32808 count=8 2> /dev/null)" = config-2 ]; then
        bb mount -t iso9660 -o ro,nosuid,nodev,noexec "$disk" /run/config
    fi
done
for part in meta_data network_data; do # what is not there is empty
    bb awk -f /system/json.awk "/run/config/openstack/latest/$part.json" > "/run/guest/$part" 2> /dev/null
done

told() { # PATH: what the config drive says of the guest itself
    bb awk -F '\t' -v path="$1" '$1 == path { print $2 }' /run/guest/meta_data
}

GUEST_NAME=$(told name)
export GUEST_NAME
name=$(told hostname)
bb hostname "${name:-guest}"
: > /run/guest/resolv.conf
bb ip link set lo up
# Two NICs may be in one network: each answers for its own addresses only.
echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore
echo 2 > /proc/sys/net/ipv4/conf/all/arp_announce

# First who tells of devices that come and go later, then those that are there: each is looked after once.
bb uevent /run/guest/network &
for path in /sys/class/net/eth*; do
    if [ -e "$path" ]; then
        ACTION=add SUBSYSTEM=net INTERFACE=${path##*/} /run/guest/network
    fi
done

keep() { # COMMAND...: runs it again whenever it ends
    while :; do
        "$@"
        bb sleep 1
    done
}

IFS=,
for service in $services; do
    case $service in
        http) keep bb httpd -f -p 0.0.0.0:80 -h /run/guest/www & ;;
        echo) keep bb nc -ll -p 7 -e "$BUSYBOX" cat & ;;
    esac
done
unset IFS
ready

while :; do # `wait` reaps whatever becomes our child
    bb sleep 86400 &
    wait $!
done
