#!/usr/bin/env bash
# Format, lints, and the rules for dependencies.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- -D warnings
if ! command -v cargo-deny >/dev/null; then
    echo "Installing cargo-deny; this takes some minutes, once"
    cargo install cargo-deny --locked --quiet
fi
cargo deny --workspace check bans licenses sources
