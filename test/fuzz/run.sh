#!/bin/bash
# Fuzzes for some seconds a target, two targets at a time:
#     test/fuzz/run.sh SECONDS [TARGET...]
# Prints a line a target; exits with 1 after a finding, whose input it names. What it learns
# stays in build/fuzz/corpus for the next time; FUZZ_BUILD names another build folder,
# FUZZ_JOBS how many run at a time, FUZZ_SEED what they begin with, else another each time.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${FUZZ_BUILD:-build/fuzz}
[[ ${1:-} =~ ^[1-9][0-9]*$ ]] || {
    sed -n '3s/^#  *//p' "$0" >&2
    exit 2
}
seconds=$1
shift

compile() {
    cmake --preset fuzz -G Ninja -B "$build" &&
        cmake --build "$build" --target fuzz --parallel "$(nproc)"
}

# A finding ends the target: libFuzzer leaves the input beside its corpus.
fuzz() {
    local target=$1 known=test/fuzz/corpus/$1 learnt=$build/corpus/$1 log=$build/$1.log
    local findings options=()
    [ ! -f "test/fuzz/$target.dict" ] || options+=("-dict=test/fuzz/$target.dict")
    mkdir -p "$learnt"
    nice -n 19 "$build/test/fuzz/fuzz_$target" -max_total_time="$seconds" -seed="${FUZZ_SEED:-0}" -timeout=120 \
        -report_slow_units=120 \
        -rss_limit_mb=1500 -artifact_prefix="$build/$target." -print_final_stats=1 \
        "${options[@]}" "$learnt" "$known" >"$log" 2>&1 || true
    findings=$(grep -aoE "Test unit written to .*" "$log" | sed 's/.* //' || true)
    # The last line with figures, wherever the target ended.
    awk -v target="$target" -v findings="${findings:-none}" '
        /^#[0-9]+/ { count = substr($1, 2)
            for (i = 2; i < NF; i++) if ($i == "cov:") covered = $(i + 1) }
        /^stat::number_of_executed_units:/ { count = $2 }
        /^stat::average_exec_per_sec:/ { rate = $2 }
        END { printf "%-10s %10d executions %7d/s %6d edges  findings: %s\n", target,
              count, rate, covered, findings }' "$log"
    if [ -n "$findings" ] || ! grep -aq '^stat::number_of_executed' "$log"; then
        grep -aE "^claim failed|ERROR: |SUMMARY: |runtime error: " "$log" || tail -n 5 "$log"
        # For a machine whose files are gone afterwards: base64 -d | gunzip.
        [ -z "$findings" ] || gzip -9 <"$findings" | base64
        return 1
    fi
}

mkdir -p "$build"
compile >"$build/compile.log" 2>&1 || {
    tail -n 30 "$build/compile.log" >&2
    exit 1
}
[ $# -gt 0 ] || mapfile -t targets < <(
    sed -n 's/^hatlas_fuzz(\([a-z]*\).*/\1/p' test/fuzz/CMakeLists.txt)
[ $# -eq 0 ] || targets=("$@")
export ASAN_OPTIONS=quarantine_size_mb=16:${ASAN_OPTIONS:-}
export build seconds
export -f fuzz
# shellcheck disable=SC2016 # the inner shell expands it
printf '%s\n' "${targets[@]}" | xargs -n 1 -P "${FUZZ_JOBS:-2}" bash -c 'fuzz "$1"' fuzz || exit 1
