#!/bin/sh
# What runs in a brain's container: ports forwarded from this machine's own services, and an environment that nobody but the
# operator of the Docker host has a say in.
set -eu
PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin
given=/run/triptych

# From a port of this container to the same port of the machine, through a socket of the broker.
for forward in "$given"/forwards/*.sock; do
  [ -S "$forward" ] || continue
  port=$(basename "$forward" .sock)
  socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork" "UNIX-CONNECT:$forward" &
  tries=0
  until socat -u /dev/null "TCP:127.0.0.1:$port" 2>/dev/null || [ $((tries += 1)) -gt 100 ]; do sleep 0.1; done
done

# Of the container's own environment, which whoever makes it can add to, only what names the run is believed. A file named
# like a variable is that variable. Each is put before the others, so that the operator's own come last, and count.
for file in "$given"/brain/secrets/* "$given"/brain/settings/*; do
  [ -f "$file" ] && set -- "$(basename "$file")=$(cat "$file")" "$@"
done
exec env -i PATH="$PATH" HOME=/tmp PREFECT_HOME=/tmp/prefect PREFECT__FLOW_RUN_ID="$PREFECT__FLOW_RUN_ID" "$@"
