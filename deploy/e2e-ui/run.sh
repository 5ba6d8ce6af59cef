#!/usr/bin/env bash
# The browser test: installs Chromium (Debian's package) and playwright-core (npm), builds the programs, runs `main.js`.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || missing+=(chromium)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
deploy/test/packages.sh "The browser tests" "${missing[@]}"
if ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 18 ? 0 : 1)'; then
    echo "The browser test needs Node 18 or later; this is $(node --version)." >&2
    exit 1
fi

# The debug build, which the tests have made already.
cargo build --quiet --workspace --bin olake --bin sample-connector
cd deploy/e2e-ui
npm ci --no-audit --no-fund --loglevel=error
node main.js
