#!/bin/bash
# Leads lib/agent/apply.c through all that can happen to it, then shows that this can fail: with
# each of these mistakes in it something must be found. run.sh [STATES-OF-A-SCENE, 0: all]
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
states=${1:-40000}

build() { # name, options…
    local name=$1
    shift
    cc -std=c17 -D_GNU_SOURCE -O2 -I../../lib "$@" apply.c -o "$work/$name"
}

mistake() { # name, what to replace in apply.c, by what
    sed "s/$2/$3/" ../../lib/agent/apply.c >"$work/$1.c"
    ! cmp -s "$work/$1.c" ../../lib/agent/apply.c || {
        echo "run.sh: apply.c has no '$2'" >&2
        exit 1
    }
    build "$1" "-DAPPLY=\"$work/$1.c\"" -w
    ! "$work/$1" "$states" >"$work/out" || {
        echo "run.sh: nobody notices: $1" >&2
        exit 1
    }
    echo "found: $1: $(grep -m 1 -E '^(supervise|socket): [a-z ]+: ' "$work/out")"
}

build model
"$work/model" "$states"
mistake no-marker-for-commands \
    '^    place_owe(apply->place, true);$' ''
mistake no-marker-for-a-reload \
    '^        place_owe(apply->place, true);$' ';'
mistake marker-gone-too-early \
    '^    apply->last_command = clock_usec();$' '&place_owe(apply->place, false);'
mistake no-check \
    'haproxy_check_start(apply->haproxy, config, on_checked, apply)' 'on_checked(apply, NULL)'
mistake no-roll-back \
    '^        roll_back(apply, \&failure);$' ';'
mistake no-look-at-the-process \
    'bool same = .*' 'bool same = true;'
mistake up-is-in-step \
    '!apply->torn' 'true'
mistake never-again \
    'rest_until(apply, apply->retry_at);' ''
mistake unclear-is-refused \
    'haproxy_may_follow(apply->haproxy)' 'false'
mistake a-change-is-forgotten \
    '^    replace(&apply->wanted, outputs);$' 'if (apply->state == RESTING) &'
