#!/usr/bin/env bash
# Makes the images that the cluster itself needs: localhost/pause:1 and localhost/busybox:1 (pause.tar, busybox.tar).
#
#   deploy/cluster/images.sh OUT
#
# It takes less than a second, so they are made anew for each cluster.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$1

built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
mkdir -p "$out" "$built/busybox/bin"
gcc -Os -static -s -o "$built/pause" "$here/pause.c"
"$here/../docker/rootfs.sh" "$built/busybox"
install -m 0755 /bin/busybox "$built/busybox/bin/busybox"
for applet in $(/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$built/busybox/bin/$applet"
done
for image in pause busybox; do
    python3 "$here/../docker/image.py" --dockerfile "$here/images.dockerfile" --target "$image" --built "$built" \
        --context "$here" --name "localhost/$image:1" "$out/$image.tar" >/dev/null
done
