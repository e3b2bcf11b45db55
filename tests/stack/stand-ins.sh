#!/bin/bash
# Makes the images of docker-compose.yml without a registry: `nats` is the server of the tests and
# `takt` the binary of the tests, each with as little around it as it needs to start.
#
#     stand-ins.sh WORK NATS_SERVER BUSYBOX TAKT NATS_IMAGE TAKT_IMAGE
set -euo pipefail
work=$1 nats_server=$2 busybox=$3 takt=$4 nats_image=$5 takt_image=$6
here=$(cd "$(dirname "$0")/../.." && pwd)
path='PATH=/usr/local/bin:/usr/bin:/bin'

root() {
    rm -rf "$work/$1"
    mkdir -p "$work/$1/bin" "$work/$1/usr/local/bin" "$work/$1/tmp" "$work/$1/etc"
    install -m 0755 "$busybox" "$work/$1/bin/busybox"
    for name in sh wget mkdir chown cat; do ln -s busybox "$work/$1/bin/$name"; done
}

# The base of deploy/nats/Dockerfile, and that on it: its configuration is what is tested.
root nats
install -m 0755 "$nats_server" "$work/nats/usr/local/bin/nats-server"
tar -C "$work/nats" -c . | docker import -c "ENV $path" - "$nats_image-base" >/dev/null
DOCKER_BUILDKIT=0 docker build --quiet --pull=false --build-arg "BASE=$nats_image-base" \
    --tag "$nats_image" "$here/deploy/nats" >/dev/null

# Without the symbols of a debugger the binary is a tenth of its size.
root takt
strip -o "$work/takt/usr/local/bin/takt" "$takt"
for library in $(ldd "$takt" | grep -o '/[^ ]*'); do
    install -D -m 0755 "$(readlink -f "$library")" "$work/takt$library"
done
mkdir "$work/takt/data"
chown 10001:10001 "$work/takt/data"
tar -C "$work/takt" -c . |
    docker import -c "ENV $path" -c 'USER 10001:10001' -c 'VOLUME /data' -c 'ENTRYPOINT ["takt"]' \
        - "$takt_image" >/dev/null
