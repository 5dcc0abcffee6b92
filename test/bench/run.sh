#!/bin/sh
# Measures the release build and prints one table; exits 1 if a limit is missed. Without
# arguments everything, some 15 minutes; else the benches named. HATLAS names another build.
set -eu
cd "$(dirname "$0")/../.."
test/install.sh build run test bench
if [ -z "${HATLAS-}" ]; then
    [ -f build/release/CMakeCache.txt ] || cmake --preset release -G Ninja >/dev/null
    cmake --build --preset release --parallel "$(nproc)" >/dev/null
    HATLAS=$PWD/build/release/hatlas
fi
export HATLAS PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 test/bench/bench.py "$@"
