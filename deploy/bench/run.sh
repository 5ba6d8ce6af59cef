#!/usr/bin/env bash
# Measures start latency and memory of both deployments, with a release build and the load generator on this machine, and
# the memory of Redis over 100,000 tasks (with the tests' build: it is Redis that is measured). Prints a section for
# RESULTS.md. Needs python3, psql, wrk and zstd; PostgreSQL and Redis are installed if they are
# missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo build --release --workspace
deploy/test/install.sh
services=$(mktemp -d "${TMPDIR:-/tmp}/olake-bench.XXXXXX")
trap 'deploy/test/services.sh down "$services"; rm -rf "$services"' EXIT
# Durable, as in production: the servers for tests run without fsync.
started=$(OLAKE_TEST_DURABLE=1 deploy/test/services.sh up "$services")
eval "$started"
exec 3>&1
python3 deploy/bench/bench.py target/release "$services" >&3
python3 deploy/bench/lists.py target/release "$services" >&3
cargo test --quiet --workspace --test redis -- --ignored --nocapture redis_memory >&3
