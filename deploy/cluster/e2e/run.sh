#!/usr/bin/env bash
# The proof on a real cluster (e2e.py says what it does): builds the images, brings the cluster up with PostgreSQL and Redis
# beside it, and runs the scenarios in the cluster's network. Needs root, or sudo.
#
#   deploy/cluster/e2e/run.sh                         what CI runs
#   deploy/cluster/e2e/run.sh --nightly               all scenarios
#   deploy/cluster/e2e/run.sh --only "is adopted"     those with these words
#   deploy/cluster/e2e/run.sh --list                  which there are
#   deploy/cluster/e2e/run.sh --results deploy/cluster/RESULTS.md
#
# Variables, all optional:
#   OLAKE_TEST_CLUSTER   the cluster's name (default e2e). One that is up already is used, and left up.
#   OLAKE_E2E_IMAGES     a folder with olake-api.tar, olake-worker.tar and sample-connector.tar; nothing is built then.
#                        Otherwise all scenarios run with release programs, and a part of them with debug programs.
#   OLAKE_E2E_KEEP=1     leave the cluster up
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
deploy=$here/../..
export OLAKE_TEST_CLUSTER=${OLAKE_TEST_CLUSTER:-e2e}
export PYTHONPATH=$deploy/test
cluster() { "$here/../cluster.sh" "$@"; }

case " $* " in
    *" --list "* | *" --help "* | *" -h "*) exec python3 -B "$here/e2e.py" "$@" ;;
esac

images=${OLAKE_E2E_IMAGES:-}
if [ -z "$images" ]; then
    case " $* " in
        *" --nightly "*) build=--build images=$deploy/../target/images ;;
        *) build=--quick images=$deploy/../target/images-debug ;;
    esac
    "$deploy/docker/images.sh" "$build" "$images"
fi
was_up=yes
cluster kubeconfig >/dev/null 2>&1 || was_up=no
finish() {
    [ "$was_up" = yes ] || [ "${OLAKE_E2E_KEEP:-}" = 1 ] || cluster down
}
trap finish EXIT
cluster up >/dev/null
cluster load "$images"/*.tar
if [ "$was_up" = yes ]; then
    # Each run begins with nothing: what an earlier one knows of (specs, tasks) would not be asked for again.
    cluster exec helm uninstall olake --namespace olake --ignore-not-found --wait --timeout 8m >/dev/null
    "$here/../services.sh" down
fi
"$here/../services.sh" up olake >/dev/null
cluster exec python3 -B "$here/e2e.py" "$@"
