# The same process, in its new root: runs the job, hands back what it printed and its exit code by two ports of the VM, and ends.

bb() { /run/vm/busybox "$@"; }

for port in /sys/class/virtio-ports/*; do
    read -r name < "$port/name"
    bb ln -s "/dev/${port##*/}" "/run/vm/$name"
done
bb ip link set lo up
bb hostname vm
# No device asks for this one: it lets rules see what a bridge forwards.
/run/vm/modprobe br_netfilter
/bin/sh /run/vm/job < /dev/null > /run/vm/output 2>&1
echo "$?" > /run/vm/code
bb poweroff -f
