#!/usr/bin/env bash
# Measures what README and issues promise, with a release build and the load generator on this machine. Prints a section for
# RESULTS.md.
#
#   deploy/bench/run.sh                    all parts
#   deploy/bench/run.sh kubernetes lists   these
#
#   start        start latency and memory of both deployments
#   lists        lists, logs and downloads
#   redis        the memory of Redis over 100,000 tasks (with the tests' build: it is Redis that is measured)
#   kubernetes   connectors as pods (kubernetes/run.sh: needs root, and is told as not measured without)
#
# Needs python3, psql, wrk and zstd; PostgreSQL and Redis are installed if they are missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

parts=" ${*:-start lists redis kubernetes} "
has() { [[ $parts == *" $1 "* ]]; }

for part in $parts; do
    case $part in
        start | lists | redis | kubernetes) ;;
        *)
            echo "run.sh: there is no part '$part': start, lists, redis, kubernetes" >&2
            exit 2
            ;;
    esac
done
deploy/test/install.sh
exec 3>&1

services=
finish() {
    [ -z "$services" ] || { deploy/test/services.sh down "$services" && rm -rf "$services"; }
}
trap finish EXIT
if has start || has lists || has redis; then
    services=$(mktemp -d "${TMPDIR:-/tmp}/olake-bench.XXXXXX")
    # Durable, as in production: the servers for tests run without fsync.
    started=$(OLAKE_TEST_DURABLE=1 deploy/test/services.sh up "$services")
    eval "$started"
    cargo build --release --workspace
fi
if has start; then python3 deploy/bench/bench.py target/release "$services" >&3; fi
if has lists; then python3 deploy/bench/lists.py target/release "$services" >&3; fi
if has redis; then cargo test --quiet --workspace --test redis -- --ignored --nocapture redis_memory >&3; fi
if has kubernetes; then deploy/bench/kubernetes/run.sh >&3; fi
