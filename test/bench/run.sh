#!/bin/sh
# Measures the release build and prints one table. Not a test: figures are for people.
set -eu
cd "$(dirname "$0")/../.."
test/install.sh build run test bench
if [ ! -f build/release/CMakeCache.txt ]; then
    cmake --preset release -G Ninja >/dev/null
fi
cmake --build --preset release --parallel "$(nproc)" >/dev/null
HATLAS=$PWD/build/release/hatlas PYTHONDONTWRITEBYTECODE=1 \
    exec /usr/bin/python3 test/bench/bench.py "$@"
