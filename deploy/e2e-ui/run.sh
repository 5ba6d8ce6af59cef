#!/usr/bin/env bash
# The browser test: installs Chromium (Debian's package) and playwright-core (npm), builds the programs, runs `main.js`.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || missing+=(chromium)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
if [ ${#missing[@]} -gt 0 ]; then
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
    if ! command -v apt-get >/dev/null || { [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; }; then
        echo "The browser test needs these packages, and this user can install none: ${missing[*]}" >&2
        echo "Please run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    echo "Installing from Debian's packages: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >/dev/null
fi
if ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 18 ? 0 : 1)'; then
    echo "The browser test needs Node 18 or later; this is $(node --version)." >&2
    exit 1
fi

# The debug build, which the tests have made already.
cargo build --quiet --workspace --bin olake --bin sample-connector
cd deploy/e2e-ui
npm ci --no-audit --no-fund --loglevel=error
node main.js
