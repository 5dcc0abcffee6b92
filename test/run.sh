#!/bin/sh
# Installs what is missing, builds with the sanitizers and runs all tests. Arguments go to
# ctest: test/run.sh -R unit
set -eu
cd "$(dirname "$0")/.."
test/install.sh build run test
if [ ! -f build/dev/CMakeCache.txt ] && command -v ninja >/dev/null; then
    cmake --preset dev -G Ninja
else
    cmake --preset dev
fi
cmake --build --preset dev --parallel "$(nproc)"
exec ctest --preset dev --output-on-failure "$@"
