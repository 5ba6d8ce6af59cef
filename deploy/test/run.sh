#!/usr/bin/env bash
# All tests: installs the servers that they need, starts them on free ports of the loopback, and stops them at the end.
# Arguments go to `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/../.."

deploy/test/install.sh
services=$(mktemp -d "${TMPDIR:-/tmp}/olake-test.XXXXXX")
trap 'deploy/test/services.sh down "$services"; rm -rf "$services"' EXIT
started=$(deploy/test/services.sh up "$services")
eval "$started"
cargo test --workspace --no-fail-fast "$@"
