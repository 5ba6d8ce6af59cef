#!/usr/bin/env bash
# Measures connectors as pods (kubernetes.py says what), on a Kubernetes of one node that is made for it. Prints a section
# for RESULTS.md. About half an hour when the images are built.
#
#   deploy/bench/kubernetes/run.sh
#
# It needs root: otherwise it says so in the section, and measures nothing.
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

if [ "$(id -u)" -ne 0 ]; then
    printf '## Kubernetes: not measured\n\nThis part needs root, for the cluster and to go before what else runs.\n'
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
# What is measured goes before everything else on this machine: as processes, and pods as a group of them.
first=(nice -n -15)
"${first[@]}" "$deploy/cluster/cluster.sh" up >/dev/null
for file in "/sys/fs/cgroup/cpu/olake-cluster-$OLAKE_TEST_CLUSTER/cpu.shares=262144" \
    "/sys/fs/cgroup/olake-cluster-$OLAKE_TEST_CLUSTER/cpu.weight=10000"; do
    [ ! -e "${file%=*}" ] || echo "${file#*=}" >"${file%=*}"
done
cluster load "$images"/*.tar
# Durable, as in production, and with times of commits: they say when something was stored.
started=$(OLAKE_TEST_DURABLE=1 OLAKE_TEST_POSTGRES_OPTIONS="-c track_commit_timestamp=on" \
    "${first[@]}" "$deploy/cluster/services.sh" up olake)
eval "$started"
"${first[@]}" "$deploy/cluster/cluster.sh" exec python3 -B "$here/kubernetes.py"
