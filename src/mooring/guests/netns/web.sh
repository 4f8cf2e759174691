# What the web service answers to GET /: who this is, and who asks.

printf 'Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n\r\n'
printf 'instance   %s\n' "$GUEST_NAME"
printf 'hostname   %s\n' "$("$BUSYBOX" hostname)"
printf 'addresses  %s\n' "$("$BUSYBOX" ip -o -4 address show scope global | "$BUSYBOX" awk '{ printf "%s%s", sep, $4; sep = " " }')"
printf 'you are    %s\n' "$REMOTE_ADDR"
