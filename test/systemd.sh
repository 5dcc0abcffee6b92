#!/bin/bash
# Runs the shipped unit under a real systemd, in a root where the package is installed: does
# hatlas do its work in that sandbox, and does the sandbox hold? Called by package.sh with
# namespaces of its own, so that nothing is left: systemd.sh ROOT
set -euo pipefail

fail() {
    echo "systemd: $*" >&2
    exit 1
}

until_true() { # what, command…
    local what=$1 end=$((SECONDS + 30))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || { tail -n 20 /trial/log >&2; fail "$what"; }
        sleep 0.1
    done
}

answers() { # URL text, options of curl…
    local url=$1 text=$2
    shift 2
    curl -s -m 5 "$@" "$url" | grep -q "$text"
}

pid_of() { # the service's main process
    systemctl show -p MainPID --value "$1"
}

restarted_since() { # pid
    [ "$(pid_of hatlas)" -ne "$1" ] && [ "$(systemctl is-active hatlas)" = active ]
}

drop_in() { # name, text of [Service]
    mkdir -p /trial/units/hatlas.service.d
    printf '[Service]\n%s\n' "$2" >"/trial/units/hatlas.service.d/$1.conf"
    systemctl daemon-reload
}

start_hatlas() {
    cat >/etc/hatlas/hatlas.yaml <<'EOF'
sources: [{file: /etc/hatlas/cluster.yaml}]
EOF
    printf 'services:\n  self:\n    hosts: [{host: 127.0.0.1, port: 8126}]\n' \
        >/etc/hatlas/cluster.yaml
    drop_in log 'StandardOutput=append:/trial/log
StandardError=append:/trial/log'
    # A regular expression, which HAProxy compiles to machine code, and Lua.
    mkdir -p /etc/hatlas/templates
    printf 'core.register_service("lua", "http", function(a) a:start_response() end)\n' \
        >/etc/hatlas/own.lua
    { sed 's#^global$#&\n    lua-load /etc/hatlas/own.lua#' /usr/share/hatlas/templates/haproxy.cfg
        printf 'defaults own\n    mode http\n    timeout client 1s\n'
        printf 'frontend own from own\n    bind 127.0.0.1:8999\n'
        printf '    http-request return status 200 content-type text/plain string matched if { path_reg ^/a+b$ }\n'
        printf '    http-request use-service lua.lua\n'
    } >/etc/hatlas/templates/haproxy.cfg
    echo 'templates: [/etc/hatlas/templates]' >>/etc/hatlas/hatlas.yaml
    timeout 20 systemctl start hatlas || { cat /trial/log >&2; fail 'the unit does not start'; }
    until_true 'HAProxy does not serve' answers http://127.0.0.1:8000/health alive \
        -H 'Runscope-Service: self'
    until_true 'no regular expression in HAProxy' answers http://127.0.0.1:8999/aaab matched
    until_true 'no cache' test -s /var/lib/hatlas/catalog.json
}

check_confined() {
    local process
    for process in "$(pid_of hatlas)" "$(pgrep -o -x haproxy)" "$(pgrep -n -x haproxy)"; do
        grep -q '^NoNewPrivs:[[:space:]]*1$' "/proc/$process/status" || fail 'new privileges'
        grep -q '^Seccomp:[[:space:]]*2$' "/proc/$process/status" || fail 'all system calls'
        grep -q '^CapBnd:[[:space:]]*0*$' "/proc/$process/status" || fail 'capabilities'
        [ "$(stat -c %U "/proc/$process")" = hatlas ] || fail 'another user'
    done
    echo outside >/tmp/outside
    confined user '^$' 'touch /run/hatlas/x /var/lib/hatlas/x && rm /run/hatlas/x /var/lib/hatlas/x'
    confined user '^$' '! ls /proc/1/ && ! test -e /tmp/outside && ! test -e /dev/mem'
    # Where it is not the user that keeps a command from it.
    confined root '^User=\|^Group=' '! touch /etc/x && ! touch /usr/x && ! touch /var/lib/x'
    confined root '^User=\|^Group=' '! ls -A /root/ | grep . && ! chown hatlas /run/hatlas/own'
}

# What the unit's settings, but for those that match, allow a command to do.
confined() { # name, settings to leave out, command, lines to add
    install -m 600 /dev/null /run/hatlas/own
    {
        printf '[Service]\nType=oneshot\nStandardError=append:/trial/log\n'
        echo "ExecStart=/bin/sh -c '$3'"
        sed -n '/^# What hatlas and all/,$p' /lib/systemd/system/hatlas.service | grep '^[A-VX-Z].*='
        printf 'User=hatlas\nGroup=hatlas\nRuntimeDirectory=hatlas\nStateDirectory=hatlas\n'
        printf 'RuntimeDirectoryPreserve=yes\n%s\n' "${4-}"
    } | sed "/$2/d" >"/trial/units/confined-$1.service"
    systemctl daemon-reload
    systemctl start "confined-$1" || { tail -n 5 /trial/log >&2; fail "not so in the sandbox: $3"; }
}

kill_and_adopt() {
    local hatlas haproxy
    hatlas=$(pid_of hatlas)
    haproxy=$(pgrep -o -x haproxy)
    systemctl kill --kill-whom=main --signal=KILL hatlas
    until_true 'a killed hatlas does not come back' restarted_since "$hatlas"
    until_true 'a killed hatlas is not followed' answers http://127.0.0.1:8126/ready ready
    [ "$(pgrep -o -x haproxy)" = "$haproxy" ] || fail 'HAProxy was not taken over'
    grep -q 'adopted the HAProxy' /trial/log || fail 'HAProxy was not adopted'
}

reload() {
    printf '  more:\n    hosts: [{host: 127.0.0.1, port: 8126}]\n' >>/etc/hatlas/cluster.yaml
    systemctl reload hatlas || fail 'reload fails'
    until_true 'a change is not applied' answers http://127.0.0.1:8000/health alive \
        -H 'Runscope-Service: more'
}

# The drop-ins of examples/deploy/README.md.
widen() {
    local readme=/usr/share/doc/hatlas/examples/deploy/README.md name
    for name in CAP_NET_BIND_SERVICE ReadWritePaths; do
        grep -q "$name" "$readme" || fail "README.md does not name $name"
    done
    sleep 60 &
    # As a haproxy.command may: to a process of root.
    confined signal '^$' "! kill -0 $!"
    confined signal '^$' "kill $!" \
        "$(sed -n '/CAP_KILL/s/.*another user | *//p' "$readme" | tr -d '\140|' | sed 's/, /\n/g')"
    drop_in ports "$(sed -n '/^AmbientCapabilities=/p;/^CapabilityBoundingSet=/p' "$readme")"
    drop_in paths 'ReadWritePaths=/etc/hosts.d'
    install -d -o hatlas /etc/hosts.d
    cat >>/etc/hatlas/hatlas.yaml <<'EOF'
routing: {bind: "127.0.0.1:80"}
outputs:
  - {template: haproxy.cfg, path: /run/hatlas/haproxy.cfg, check: haproxy}
  - {template: services.map, path: /run/hatlas/services.map}
  - {template: hosts, path: /etc/hosts.d/atlas}
EOF
    timeout 20 systemctl restart hatlas || fail 'restart fails'
    until_true 'no port below 1024' answers http://127.0.0.1:80/health alive \
        -H 'Runscope-Service: self'
    test -e /etc/hosts.d/atlas || fail 'no output where ReadWritePaths allows one'
    systemctl stop hatlas
    ! pgrep -x haproxy >/dev/null || fail 'HAProxy outlives a stop'
}

# In the root, as a service of that systemd.
trial() {
    ip link set lo up
    rm -rf /var/lib/hatlas
    start_hatlas
    check_confined
    kill_and_adopt
    reload
    widen
}

prepare() { # units: the shipped one, and of the machine's own none at all
    local units=$root/trial/units unit
    mkdir -p "$units"
    cp "$root/etc/hatlas/hatlas.yaml" "$root/root/hatlas.yaml"
    cp "$0" "$root/trial/run"
    cp "$root/lib/systemd/system/hatlas.service" "$units"
    for unit in sysinit basic shutdown network-online multi-user; do
        printf '[Unit]\nDefaultDependencies=no\n' >"$units/$unit.target"
    done
    cat >"$units/trial.service" <<'EOF'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/trial/run trial
ExecStopPost=/bin/sh -c 'echo $EXIT_STATUS >/trial/end'
StandardOutput=append:/trial/out
StandardError=append:/trial/out
EOF
}

# The first process of its namespace becomes systemd, which must not touch the machine's own
# settings and groups of processes.
boot() {
    if ! { mount -t proc proc "$root/proc" && mount -o bind,ro "$root/proc/sys" "$root/proc/sys" &&
        mount -t sysfs -o ro sysfs "$root/sys" && mount -t tmpfs tmpfs "$root/sys/fs/cgroup" &&
        mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" && mount -t tmpfs tmpfs "$root/run" &&
        mount -t tmpfs tmpfs "$root/tmp" && : >"$root/trial/systemd.log" &&
        mount -o bind "$root/trial/systemd.log" "$root/dev/console"; }; then
        echo none >"$root/trial/end"
        exit
    fi
    container=lxc SYSTEMD_UNIT_PATH=/trial/units exec chroot "$root" /lib/systemd/systemd \
        --system --unit=trial.service --show-status=0 --log-target=console --log-level=info
}

clean() {
    rm -rf "$root/trial" "$root/security" "$root/etc/hosts.d" "$root/var/lib/hatlas/"* \
        "$root/etc/hatlas/own.lua" "$root/etc/hatlas/templates" "$root/etc/hatlas/cluster.yaml"
    mv "$root/root/hatlas.yaml" "$root/etc/hatlas/hatlas.yaml"
}

case "${1-}" in
    trial) trial ;;
    boot)
        root=$2
        boot
        ;;
    *)
        root=$1
        systemd-analyze security --offline=true --threshold=16 --no-pager --root="$root" \
            hatlas.service >"$root/security" || { cat "$root/security"; fail 'exposed too much'; }
        prepare
        unshare --net --pid --mount --cgroup --ipc --uts --fork --kill-child "$0" boot "$root" &
        end=$((SECONDS + 60))
        until [ -e "$root/trial/end" ] || [ "$SECONDS" -ge "$end" ]; do
            sleep 0.2
        done
        kill -KILL "$!"
        wait "$!" 2>/dev/null || true
        result=$(cat "$root/trial/end" 2>/dev/null || echo 'no end')
        case "$result" in
            0) clean ;;
            none) echo 'systemd: NOT TRIED: this machine runs no systemd in namespaces' >&2 ;;
            *)
                cat "$root/trial/systemd.log" "$root/trial/out" >&2
                fail "the trial of the unit ended with '$result'"
                ;;
        esac
        ;;
esac
