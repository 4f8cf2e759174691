# The first process of a machine of the laboratory: gives it a /proc, a /run and a host name of its own, and reaps what becomes its child.
#
# Environment: BUSYBOX.  Arguments: the machine's name, and the directory that is to be its /run.  Says "up" when that is done.  The names
# of network namespaces made on the machine (its guests, its routers) are its own, as `ip netns` keeps them.
fail() {
    echo "$*"
    exit 1
}

mount -t proc -o nosuid,nodev,noexec proc /proc || fail "/proc can't be mounted"
# Our copies of the mounts that name the laboratory's namespaces would keep those alive.
while read -r _ where kind _; do
    [ "$kind" != nsfs ] || umount -l "$where"
done < /proc/mounts 2> /dev/null # in a user namespace some may not be taken away: then they stay
mount -o bind "$2" /run || fail "/run can't be mounted"
mkdir -p /run/netns
mount -o bind /run/netns /run/netns && mount --make-shared /run/netns || fail "/run/netns can't be mounted"
# What a machine that was off left there names nothing any longer.
rm -f /run/netns/*
"$BUSYBOX" hostname "$1" # not by /proc: that is the whole machine's root's
ip link set lo up
echo up
exec > /dev/null
while :; do # `wait` reaps whatever becomes our child
    sleep 86400 &
    wait $!
done
