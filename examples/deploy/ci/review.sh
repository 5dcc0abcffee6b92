#!/bin/sh
# What a pull request does to HAProxy, as Markdown. Fails if the new state is not valid. For
# a repository that keeps cluster.yaml, hatlas.yaml and templates. Usage: review.sh BASE
#
# It writes to the paths of `outputs` in hatlas.yaml, so it runs on machines of CI only.
set -eu
base=${1:?usage: review.sh BASE}
config=${CONFIG:-hatlas.yaml}
source=file:${SOURCE:-cluster.yaml}
: "${CI:?set to run, since the outputs of $config will be written to their paths}"
work=$(mktemp -d)
trap 'rm -rf "$work"; git worktree prune' EXIT
git worktree add --quiet --detach "$work/base" "$base"

# The new state must be valid, and HAProxy must take it.
hatlas check --config "$config" --source "$source" >&2
hatlas render --config "$config" --source "$source" --check --strict --output-dir "$work" >&2

# A base that is not valid itself is compared as far as it goes.
(cd "$work/base" && hatlas render --config "$config" --source "$source" --order name --write) >&2 ||
    echo 'The state before is not valid.' >&2

code=0
hatlas diff --config "$config" --source "$source" --order name >"$work/diff" || code=$?
case $code in
    0) echo 'No host will see a change.' ;;
    1) printf '### What changes on every host\n\n```diff\n' && cat "$work/diff" && echo '```' ;;
    *) exit "$code" ;;
esac
