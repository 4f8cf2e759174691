# Starts init.sh as the first process of a new process namespace, and is gone: nothing of a guest stays outside of it.
#
# Runs already in the guest's network, mount, host name and IPC namespaces; only what it starts now is in the new process namespace,
# so nothing else may be started before.  Arguments: the guest's mark and its driver's directory, for whoever looks for the process
# later.  Standard input is the guest's lock.  init.sh gets it as 3, because `&` takes 0 away, and lets go of it when it runs: during
# exec the kernel shows a process without arguments, and whoever looked then would start the guest a second time.
exec 3<&0
"$BUSYBOX" sh "$GUEST_SCRIPTS/init.sh" "$@" &
echo "$!" > "$GUEST_DIR/pid"
