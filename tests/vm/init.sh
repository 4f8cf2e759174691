# The first process of the VM that tests run in: makes the machine's own files its root, read-only below a layer in memory.
#
# /vm/job says what to run, /vm/modules which modules that takes, /vm/tree where all others are.

bb() { /bin/busybox "$@"; }

bb mkdir -p /dev /proc /sys /lower /layer /new
bb mount -t devtmpfs dev /dev
bb mount -t proc proc /proc
bb mount -t sysfs sys /sys
while read -r module; do
    bb insmod "/vm/$module"
done < /vm/modules

bb mount -t virtiofs -o ro root /lower &&
    bb mount -t tmpfs -o mode=0755 layer /layer &&
    bb mkdir /layer/upper /layer/work &&
    bb mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work root /new || bb poweroff -f

for place in dev proc sys; do
    bb mount -o move "/$place" "/new/$place"
done
bb mount -t tmpfs -o nosuid,nodev,mode=0755 run /new/run
bb mount -t tmpfs -o nosuid,nodev,mode=1777 tmp /new/tmp
bb mkdir -p /new/dev/pts /new/dev/shm /new/run/vm /new/run/netns
bb mount -t devpts -o mode=0620,ptmxmode=0666 pts /new/dev/pts
bb mount -t tmpfs -o nosuid,nodev,mode=1777 shm /new/dev/shm

# Modules that tests make the kernel ask for.
release=$(bb uname -r)
bb mkdir -p /new/usr/lib/modules
bb ln -sfn "$(bb cat /vm/tree)" "/new/usr/lib/modules/$release"
bb cp /bin/busybox /vm/job /vm/start /new/run/vm/
printf '#!/bin/sh\nexec /run/vm/busybox modprobe "$@"\n' > /new/run/vm/modprobe
bb chmod 755 /new/run/vm/modprobe
echo /run/vm/modprobe > /new/proc/sys/kernel/modprobe

exec /bin/busybox switch_root /new /bin/sh /run/vm/start
