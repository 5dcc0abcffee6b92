#!/bin/sh
# Chaos, or with --soak first the soak: see README.md. Builds the release first, unless HATLAS
# names a binary. The other arguments go to chaos.py, or to soak.py.
set -eu
cd "$(dirname "$0")/../.."
if [ -z "${HATLAS:-}" ]; then
    build=build/chaos
    mkdir -p build
    cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release >"$build.log" 2>&1 ||
        { cat "$build.log"; exit 1; }
    cmake --build "$build" --parallel "$(nproc)" --target hatlas >"$build.log" 2>&1 ||
        { cat "$build.log"; exit 1; }
    HATLAS=$PWD/$build/hatlas
    export HATLAS
fi
program=chaos.py
if [ "${1:-}" = --soak ]; then
    program=soak.py
    shift
fi
export PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 "test/chaos/$program" "$@"
