#!/usr/bin/env bash
# Installs packages of Debian: as root, or by sudo; otherwise it says what is missing.
#
#   deploy/test/packages.sh WHO PACKAGE…     WHO: who needs them, as "The tests". Without a package it does nothing.
set -euo pipefail
who=$1
shift
[ $# -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "$who need what these packages of Debian hold; please install it: $*" >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "$who need these packages, and this user can install none: $*" >&2
        echo "Please run as root: apt-get install --no-install-recommends $*" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "Installing from Debian's packages: $*" >&2
"${as_root[@]}" apt-get update -qq >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends \
    "$@" >/dev/null
