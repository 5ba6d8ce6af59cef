#!/usr/bin/env bash
# Installs what the cluster needs from Debian's packages: the container runtime, its network plugins, the tools of the
# network, a static busybox for test pods, and what compiles the pause program. Go (1.26 or later) is looked for by build.sh,
# and only when there is something to build.
set -euo pipefail

missing=()
# need PACKAGE TEST…: the package is missing when the test fails.
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
has() { command -v "$1" || [ -x "/usr/sbin/$1" ]; }
is_static() { [ -x "$1" ] && ! ldd "$1"; }

need containerd has containerd
need runc has runc
need containernetworking-plugins test -x /usr/lib/cni/bridge
need iptables has iptables
need conntrack has conntrack
need iproute2 has ip
need util-linux has unshare
need openssl has openssl
need python3 has python3
need gcc has gcc
need libc6-dev test -e /usr/lib/x86_64-linux-gnu/libc.a
need busybox-static is_static /bin/busybox
need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
exec "$(dirname "$0")/../test/packages.sh" "Clusters" "${missing[@]}"
