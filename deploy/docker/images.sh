#!/usr/bin/env bash
# Makes the images of the Dockerfile beside it without Docker and without a registry, for the cluster of deploy/cluster.
#
#   deploy/docker/images.sh [--build | --quick | --programs DIR] OUT
#
#   --build          build the static programs first, in target/static (about ten minutes on two cores, then little)
#   --quick          build them for tests instead: from what a debug build has, so of any size
#   --programs DIR   where olake-api, olake-worker and sample-connector are; default: where --build puts them
#   OUT              the folder for olake-api.tar, olake-worker.tar and sample-connector.tar
#
# `deploy/cluster/cluster.sh load OUT/*.tar` brings them to the cluster. The same programs give the same bytes. It fails if
# a program is not static, or an image is larger than 40 MB (except those of --quick).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)

largest=40000000
target=$(uname -m)-unknown-linux-gnu
programs=$repository/target/static/$target/release
build=no
out=

fail() {
    echo "images.sh: $*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
        --build) build=release ;;
        --quick)
            build=quick
            programs=$repository/target/debug
            largest=
            ;;
        --programs)
            programs=${2:?--programs needs a folder}
            shift
            ;;
        -*) fail "unknown option $1" ;;
        *) out=$1 ;;
    esac
    shift
done
[ -n "$out" ] || fail "usage: images.sh [--build] [--programs DIR] OUT"

compile() {
    (cd "$repository" && cargo build --locked --workspace --bin olake-api --bin olake-worker --bin sample-connector "$@")
}
case $build in
    # A target folder of its own: other flags than those of every other build, which would each throw the other's work away.
    release) RUSTFLAGS="-C target-feature=+crt-static" compile --release --target "$target" --target-dir target/static ;;
    quick) RUSTC_WORKSPACE_WRAPPER=$here/static.sh compile --target-dir target ;;
esac

built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
for program in olake-api olake-worker sample-connector; do
    [ -f "$programs/$program" ] || fail "there is no $programs/$program: run it with --build"
    # A program that names an interpreter is linked with libraries that the image does not have.
    if readelf --program-headers --wide "$programs/$program" | grep -q INTERP; then
        fail "$programs/$program is not static"
    fi
    # Without names of functions: they are a fifth of the image.
    strip --strip-all -o "$built/$program" "$programs/$program"
    chmod 0755 "$built/$program"
done
"$here/rootfs.sh" "$built/rootfs"
mkdir -p "$out"

# make TARGET NAME FILE
make() {
    python3 "$here/image.py" --dockerfile "$here/Dockerfile" --target "$1" --built "$built" --context "$repository" \
        --name "$2" "$out/$3"
    [ -z "$largest" ] || [ "$(stat --format=%s "$out/$3")" -le "$largest" ] || fail "$out/$3 is larger than $largest bytes"
}

make api localhost/olake-api:dev olake-api.tar
make worker localhost/olake-worker:dev olake-worker.tar
make sample-connector localhost/olakego/source-files:v0.9.4 sample-connector.tar
