#!/bin/sh
# Installs what is missing of the Debian packages that test/packages.txt lists for the uses
# given: test/install.sh build test
set -eu
list=$(dirname "$0")/packages.txt

wanted() {
    for use in "$@"; do
        awk -v use="$use" '!/^#/ && NF && index("," $2 ",", "," use ",") {print $1}' "$list"
    done | sort -u
}

installed() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q '^install ok installed$'
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "this needs root or sudo: $*" >&2
        exit 1
    fi
}

missing=
for package in $(wanted "$@"); do
    installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
as_root apt-get update -q
# Word splitting is meant: each is a package.
# shellcheck disable=SC2086
as_root apt-get install -q -y --no-install-recommends $missing
