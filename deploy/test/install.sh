#!/usr/bin/env bash
# Installs what the tests need from Debian's packages: PostgreSQL and Redis servers, and the packages whose programs are
# named (python3).
set -euo pipefail

missing=()
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing+=(postgresql)
command -v redis-server >/dev/null || missing+=(redis-server)
for program in "$@"; do
    command -v "$program" >/dev/null || missing+=("$program")
done
exec "$(dirname "$0")/packages.sh" "The tests" "${missing[@]}"
