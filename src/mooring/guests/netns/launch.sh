# Starts init.sh as the first process of a new process namespace, and is gone: nothing of a guest stays outside of it.
#
# Runs already in the guest's network, mount, host name and IPC namespaces; only what it starts now is in the new process namespace,
# so there must be no other command before.  Arguments: the guest's mark and its driver's directory, for whoever looks for the
# process later.  Standard input is the guest's lock, which `&` keeps from init.sh.
"$BUSYBOX" sh "$GUEST_SCRIPTS/init.sh" "$@" &
echo "$!" > "$GUEST_DIR/pid"
