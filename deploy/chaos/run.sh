#!/usr/bin/env bash
# The proof (chaos.py says what it does): builds the programs, installs PostgreSQL and Redis if they are missing, and runs.
#
#   deploy/chaos/run.sh                       300 syncs and three faults of each kind at least: what CI runs
#   deploy/chaos/run.sh --seconds 3600        an hour at least
#   deploy/chaos/run.sh --syncs 5000          so many syncs at least
#   deploy/chaos/run.sh --seed 7              the faults in the order of that seed
#   deploy/chaos/run.sh --results deploy/chaos/RESULTS.md
#   deploy/chaos/run.sh --help                all that can be said
set -euo pipefail
cd "$(dirname "$0")/../.."
# runuser is in /usr/sbin, which not every PATH has.
export PATH="$PATH:/usr/sbin:/sbin"

# The same build as that of the tests: after them nothing is compiled anew.
cargo build --quiet --workspace --bin olake-api --bin olake-worker --bin sample-connector
deploy/test/install.sh python3
exec env PYTHONPATH=deploy/test python3 -B deploy/chaos/chaos.py "$@"
