#!/bin/bash
# Makes the Debian package by the steps of examples/deploy/Dockerfile, looks at it, installs
# it in a throwaway root, uses it there, replaces it and takes it off again. Needs root, and
# leaves nothing on this machine: mounts, processes and ports are in namespaces of their own.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "package: $*" >&2
    exit 1
}

inside() { # command… in the root that the Dockerfile made
    chroot "$work/last" "$@"
}

make_image() {
    command -v ccache >/dev/null && export CMAKE_C_COMPILER_LAUNCHER=ccache
    mount -t tmpfs tmpfs "$work"
    /usr/bin/python3 test/dockerfile.py examples/deploy/Dockerfile "$work" >"$work/log" 2>&1 ||
        { tail -n 30 "$work/log" >&2; fail 'a step of the Dockerfile failed'; }
    deb=$(echo "$work"/0/root/build/hatlas_*.deb)
    [ -f "$deb" ] || fail 'no package was made'
    cp "$deb" "$work/last/root/hatlas.deb"
}

check_package() {
    local file
    lintian --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$deb" ||
        fail 'lintian has faults'
    dpkg-deb -f "$deb" Recommends | grep -q 'haproxy (>= 2.4)' || fail 'recommends no haproxy'
    dpkg-deb -f "$deb" Depends | grep -q libzookeeper-st2 || fail 'its libraries are not named'
    dpkg-deb -c "$deb" >"$work/contents"
    for file in etc/hatlas/hatlas.yaml lib/systemd/system/hatlas.service usr/bin/hatlas \
        usr/share/man/man1/hatlas.1.gz usr/share/man/man5/hatlas.yaml.5.gz \
        usr/share/hatlas/templates/haproxy.cfg \
        usr/share/bash-completion/completions/hatlas \
        usr/share/zsh/vendor-completions/_hatlas \
        usr/share/doc/hatlas/examples/deploy/README.md; do
        grep -q " ./$file$" "$work/contents" || fail "lacks $file"
    done
    ! grep -E ' \./(tmp|home|usr/local|usr/include)/.' "$work/contents" || fail 'has strays'
}

check_installed() {
    inside getent passwd hatlas | grep -q ':/var/lib/hatlas:/usr/sbin/nologin$' ||
        fail 'no user hatlas'
    systemd-analyze verify --man=no --root="$work/last" hatlas.service ||
        fail 'the unit is not valid'
    # The conffile as it is, and with every setting that it names.
    mkdir "$work/last/tmp/conf"
    sed -E 's/^#(  |[a-z]+:)/\1/' "$work/last/etc/hatlas/hatlas.yaml" \
        >"$work/last/tmp/conf/all.yaml"
    echo 'user:password' >"$work/last/etc/hatlas/zk.secret"
    mkdir "$work/last/etc/hatlas/templates"
    for file in /etc/hatlas/hatlas.yaml /tmp/conf/all.yaml; do
        inside hatlas check --config "$file" \
            --source file:/usr/share/doc/hatlas/examples/cluster.yaml >/dev/null ||
            fail "$file is not valid"
    done
    ! diff -q "$work/last/etc/hatlas/hatlas.yaml" "$work/last/tmp/conf/all.yaml" >/dev/null ||
        fail 'no setting in the conffile'
    cp "$work/last/etc/hatlas/hatlas.yaml" "$work/hatlas.yaml"
    rm -r "$work/last/etc/hatlas/zk.secret" "$work/last/etc/hatlas/templates"
}

until_answer() { # URL text, options of curl…
    local url=$1 text=$2 end=$((SECONDS + 30))
    shift 2
    until curl -fs "$@" "$url" 2>/dev/null | grep "$text" >/dev/null; do
        [ "$SECONDS" -lt "$end" ] || { cat "$work/run.log" >&2; fail "$url: no '$text'"; }
        sleep 0.2
    done
}

use_image() { # what its entry point does, as its user, with ports of its own
    local user command pid
    # shellcheck disable=SC1091
    . "$work/image"
    # shellcheck disable=SC2086
    HATLAS_SOURCE=file:/usr/share/doc/hatlas/examples/cluster.yaml \
        chroot --userspec="$user:$user" "$work/last" $command >"$work/run.log" 2>&1 &
    pid=$!
    until_answer http://127.0.0.1:8126/ready ready
    curl -s -H 'Runscope-Service: nobody' http://127.0.0.1:8000/ |
        grep -q '"unknown service"' || fail 'HAProxy does not answer for an unknown service'
    # An open page has HAProxy asked more often, and all metrics are there after that.
    curl -sN -m 60 http://127.0.0.1:8126/events >/dev/null &
    until_answer http://127.0.0.1:8126/metrics '^hatlas_service_hosts_up{'
    kill "$!"
    curl -s http://127.0.0.1:8126/metrics >"$work/metrics"
    end_of "$pid"
}

end_of() { # pid
    kill -TERM "$1"
    wait "$1" || fail "ended with $?"
}

use_beside_haproxy() { # what systemd does with the files of examples/deploy/systemd
    local deploy=$work/last/usr/share/doc/hatlas/examples/deploy/systemd
    local as_hatlas=(chroot --userspec=hatlas:hatlas "$work/last")
    local unit=$deploy/haproxy.service.d/hatlas.conf name first haproxy hatlas
    cp "$deploy/hatlas.yaml" "$work/last/etc/hatlas/hatlas.yaml"
    cp "$deploy/../../cluster.yaml" "$work/last/var/lib/hatlas/cluster.yaml"
    export HATLAS_SOURCE=file:/var/lib/hatlas/cluster.yaml CONFIG PIDFILE EXTRAOPTS
    for name in CONFIG PIDFILE EXTRAOPTS; do
        printf -v "$name" %s "$(sed -n "s/^Environment=.*\"$name=\([^\"]*\)\".*/\1/p" "$unit")"
    done
    first=$(sed -n "s/^ExecStartPre=.*-c '\(.*\)'$/\1/p" "$unit")
    "${as_hatlas[@]}" sh -c "$first" || fail 'the first config is not written'
    # shellcheck disable=SC2086
    "${as_hatlas[@]}" haproxy -Ws -f "$CONFIG" -p "$PIDFILE" $EXTRAOPTS >"$work/haproxy.log" 2>&1 &
    haproxy=$!
    "${as_hatlas[@]}" hatlas run >"$work/run.log" 2>&1 &
    hatlas=$!
    until_answer http://127.0.0.1:8126/ready ready
    printf '  added:\n    hosts: [{host: 127.0.0.1, port: 8126}]\n' \
        >>"$work/last/var/lib/hatlas/cluster.yaml"
    until_answer http://127.0.0.1:8000/health alive -H 'Runscope-Service: added'
    end_of "$hatlas"
    kill -0 "$haproxy" || fail 'HAProxy ended with hatlas'
    kill -USR1 "$haproxy"
    cp "$work/hatlas.yaml" "$work/last/etc/hatlas/hatlas.yaml"
    rm -r "$work/last/run/hatlas" "$work/last/var/lib/hatlas/"*
}

review() { # examples/deploy/ci in a repository of its own
    local script='cd /tmp/repository && CI=1 HATLAS_NODE_NAME=ci \
        /usr/share/doc/hatlas/examples/deploy/ci/review.sh HEAD'
    mkdir "$work/last/tmp/repository"
    cp examples/cluster.yaml "$work/last/tmp/repository"
    cp examples/deploy/systemd/hatlas.yaml "$work/last/tmp/repository"
    inside sh -c "cd /tmp/repository && git init -q && git add . &&
        git -c user.name=ci -c user.email=ci@ci commit -q -m first"
    inside sh -c "$script" 2>/dev/null | grep -q 'No host' || fail 'review sees a change'
    sed -i 's/host: 10.0.0.12,/host: 10.0.0.99,/' "$work/last/tmp/repository/cluster.yaml"
    inside sh -c "$script" >"$work/review.md" 2>/dev/null || fail 'review fails'
    grep -q '^+ *server .*10.0.0.99:8080' "$work/review.md" || fail 'review shows no difference'
    grep -q '^ *add server buckets/10.0.0.99' "$work/review.md" || fail 'review shows no plan'
    sed -i 's/port: 8080/port: none/' "$work/last/tmp/repository/cluster.yaml"
    ! inside sh -c "$script" >/dev/null 2>&1 || fail 'review takes a bad registry'
    rm -r "$work/last/tmp/repository" "$work/last/var/lib/hatlas/"*
}

check_upgrade() {
    # A systemctl that only notes what it is asked.
    mkdir -p "$work/last/run/systemd/system"
    # shellcheck disable=SC2016
    printf '#!/bin/sh\necho "$@" >>/run/asked\n' >"$work/last/usr/local/bin/systemctl"
    chmod 755 "$work/last/usr/local/bin/systemctl"
    echo '# edited' >>"$work/last/etc/hatlas/hatlas.yaml"
    inside dpkg -i /root/hatlas.deb >/dev/null
    grep -q '# edited' "$work/last/etc/hatlas/hatlas.yaml" || fail 'an edit is lost by upgrade'
    grep -q 'kill .*--signal=KILL hatlas' "$work/last/run/asked" ||
        fail 'upgrade does not replace the running hatlas'
    ! grep -E '(^| )(stop|restart|disable)( |$)' "$work/last/run/asked" ||
        fail 'upgrade ends HAProxy'
}

check_removal() {
    rm -f "$work/last/run/asked"
    touch "$work/last/var/lib/hatlas/catalog.json"
    inside dpkg -r hatlas >/dev/null
    grep -q 'disable --now hatlas' "$work/last/run/asked" || fail 'removal leaves it running'
    [ -f "$work/last/etc/hatlas/hatlas.yaml" ] || fail 'removal takes the settings'
    inside dpkg -P hatlas >/dev/null
    for file in etc/hatlas var/lib/hatlas run/hatlas usr/share/hatlas usr/bin/hatlas; do
        [ ! -e "$work/last/$file" ] || fail "purge leaves $file"
    done
}

case "${1-}" in
    '')
        [ "$(id -u)" -eq 0 ] || fail 'needs root, for a throwaway root to install in'
        if ! unshare --mount --pid --net --fork --kill-child mount -t tmpfs tmpfs /mnt; then
            echo 'package: NOT TRIED: this machine gives no namespaces to install in' >&2
            exit 0
        fi
        work=$(mktemp -d)
        trap 'rmdir "$work"' EXIT
        unshare --mount --pid --fork --kill-child "$0" all "$work"
        ;;
    all)
        work=$2
        make_image
        check_package
        check_installed
        unshare --net "$0" use "$work"
        /usr/bin/python3 test/deploy.py "$work/metrics" chroot "$work/last" hatlas ||
            fail 'examples/deploy does not fit hatlas'
        test/systemd.sh "$work/last"
        review
        check_upgrade
        check_removal
        echo 'package: made, installed, used, replaced, removed'
        ;;
    use)
        work=$2
        ip link set lo up
        use_image
        use_beside_haproxy
        ;;
    *) fail "unknown argument '$1'" ;;
esac
