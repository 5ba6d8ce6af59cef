#!/usr/bin/env bash
# Measures connectors as pods (kubernetes.py says what), on a Kubernetes of one node that is made for it. Prints a section
# for RESULTS.md. About twenty minutes when the images are built.
#
#   deploy/bench/kubernetes/run.sh
#
# It needs root, or sudo: where neither is there, it says so in the section and measures nothing.
#
# Variables, all optional:
#   OLAKE_TEST_CLUSTER   the cluster's name (default bench); it must not be up
#   OLAKE_E2E_IMAGES     a folder with olake-api.tar, olake-worker.tar and sample-connector.tar; nothing is built then
#   OLAKE_BENCH_PODS     parts: runs,states,crowd (default: all)
#   OLAKE_BENCH_ROUNDS   how many syncs of the first (default 100)
#   OLAKE_BENCH_CROWD    how many pods of the last (default 1000)
#   OLAKE_BENCH_KEEP=1   leave the cluster up
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
deploy=$here/../..
export OLAKE_TEST_CLUSTER=${OLAKE_TEST_CLUSTER:-bench}
cluster() { "$deploy/cluster/cluster.sh" "$@"; }

if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
    printf '## Kubernetes: not measured\n\nA cluster needs root, or sudo without a password, and this user has neither.\n'
    exit 0
fi
! cluster kubeconfig >/dev/null 2>&1 || {
    echo "run.sh: the cluster '$OLAKE_TEST_CLUSTER' is up: end it (deploy/cluster/cluster.sh down), or name another" >&2
    exit 1
}

images=${OLAKE_E2E_IMAGES:-}
if [ -z "$images" ]; then
    images=$deploy/../target/images
    "$deploy/docker/images.sh" --build "$images" >&2
fi
finish() {
    [ "${OLAKE_BENCH_KEEP:-}" = 1 ] || cluster down
}
trap finish EXIT
cluster up >/dev/null
cluster load "$images"/*.tar
# Durable, as in production, and with times of commits: they say when something was stored.
started=$(OLAKE_TEST_DURABLE=1 OLAKE_TEST_POSTGRES_OPTIONS="-c track_commit_timestamp=on" "$deploy/cluster/services.sh" up olake)
eval "$started"
cluster exec python3 -B "$here/kubernetes.py"
