#!/usr/bin/env bash
# Cargo's RUSTC_WORKSPACE_WRAPPER for `images.sh --quick`: links our programs statically, and leaves everything else as it
# is, so that all that other crates of a debug build hold serves both.
set -euo pipefail
is_program=no name=
for ((i = 1; i < $#; i++)); do
    next=$((i + 1))
    case ${!i} in
        --crate-name) name=${!next} ;;
        --crate-type) [ "${!next}" != bin ] || is_program=yes ;;
    esac
done
# "___" is cargo's question about the target, not a program.
case $name in ___ | build_script_*) is_program=no ;; esac
[ $is_program = no ] || set -- "$@" -C target-feature=+crt-static
exec "$@"
