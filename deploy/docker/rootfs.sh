#!/usr/bin/env bash
# Makes what every image holds beside its program: the roots of certificates, the user, where names are looked up, /tmp.
#
#   deploy/docker/rootfs.sh DIR
#
# The Dockerfile runs it in its stage "build", and images.sh here: both make the same files.
set -euo pipefail
root=$1

install -d -m 0755 "$root/etc/ssl/certs"
install -d -m 1777 "$root/tmp"
install -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
cat >"$root/etc/passwd" <<'END'
root:x:0:0:root:/:/sbin/nologin
olake:x:65532:65532:olake:/tmp:/sbin/nologin
END
cat >"$root/etc/group" <<'END'
root:x:0:
olake:x:65532:
END
# Without it, glibc asks the name server first, also for what stands in /etc/hosts.
echo "hosts: files dns" >"$root/etc/nsswitch.conf"
chmod 0644 "$root/etc/passwd" "$root/etc/group" "$root/etc/nsswitch.conf"
