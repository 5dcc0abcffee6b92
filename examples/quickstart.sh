#!/bin/bash
# All of hatlas on one machine: ZooKeeper, three services, hatlas with HAProxy, and traffic
# that moves. Everything lives in a temporary folder and on free ports of loopback. On a
# terminal it runs until Ctrl-C, else it ends by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

# Variables of hatlas would win over the settings made here.
for name in "${!HATLAS_@}"; do unset "$name"; done

readonly WAIT=60 # seconds until something that did not happen is a failure
interactive=false
[ -t 0 ] && [ -t 1 ] && interactive=true
bold='' dim='' green='' plain=''
if [ -t 1 ]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' plain=$'\e[0m'
fi
step_number=0
pids=()
work=$(mktemp -d "${TMPDIR:-/tmp}/hatlas.XXXXXX")

step() {
    step_number=$((step_number + 1))
    printf '\n%s%2d. %s%s\n' "$bold" "$step_number" "$1" "$plain"
}

command_line() { # what somebody would type
    printf '    %s$ %s%s\n' "$dim" "$1" "$plain"
}

quietly() { # runs a command; shows what it said only if it fails
    "$@" >"$work/said" 2>&1 && return
    cat "$work/said" >&2
    return 1
}

finish() {
    local code=$? pid
    trap - EXIT INT TERM
    [ "$code" -eq 0 ] || ! [ -f "$work/hatlas.log" ] || tail -n 20 "$work/hatlas.log" >&2
    for pid in ${pids[@]+"${pids[@]}"}; do # the last started first: hatlas ends HAProxy
        kill "$pid" 2>/dev/null || continue
        wait "$pid" 2>/dev/null || : # its exit code is that of the signal
    done
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT
trap 'exit 0' INT TERM

background() { # log, command…
    local log=$1
    shift
    "$@" >"$log" 2>&1 &
    pids=("$!" ${pids[@]+"${pids[@]}"})
}

until_true() { # what, command…
    local what=$1 end=$((SECONDS + WAIT))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$end" ]; then
            echo "$what: not within $WAIT s" >&2
            return 1
        fi
        sleep 0.05
    done
}

call() { # one request for a service, as a client on this machine would make it
    curl -sS --max-time 5 -H "Runscope-Service: $1" "http://127.0.0.1:$port/"
}

answers() { # service host…: whether 12 calls are answered by exactly these hosts
    local service=$1 wanted found
    shift
    wanted=$(printf '%s\n' "$@" | sort)
    found=$(for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do call "$service"; done | sort -u)
    [ "$found" = "$wanted" ]
}

show_calls() { # service times
    command_line "curl -H 'Runscope-Service: $1' http://127.0.0.1:$port/"
    for _ in $(seq "$2"); do
        printf '      %s%s%s\n' "$green" "$(call "$1")" "$plain"
    done
}

znode() { # path data: creates or replaces one znode
    command_line "zkCli.sh -server $zookeeper set $1 '$2'"
    /usr/bin/python3 "$work/znode.py" "$zookeeper" "$1" "$2"
}

step 'Install what is missing'
command_line 'test/install.sh build run'
test/install.sh build run

step 'Build'
command_line 'cmake --preset release && cmake --build --preset release'
# What is built here needs no tests, and so not what these are built with.
quietly cmake --preset release -DHATLAS_TESTS=OFF
quietly cmake --build --preset release --parallel "$(nproc)"
hatlas=$PWD/build/release/hatlas

cat >"$work/ports.py" <<'EOF'
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(7)]
print(*(s.getsockname()[1] for s in sockets))
EOF
read -r zookeeper_port port stats_port teams_1 teams_2 buckets_1 radar_1 \
    <<<"$(/usr/bin/python3 "$work/ports.py")"
zookeeper=127.0.0.1:$zookeeper_port

cat >"$work/znode.py" <<'EOF'
import sys
from kazoo.client import KazooClient
servers, path, data = sys.argv[1:]
client = KazooClient(servers)
client.start(timeout=60)
client.ensure_path(path)
client.set(path, data.encode())
client.stop()
EOF

cat >"$work/hosts.py" <<'EOF'
import http.server, sys, threading

def serve(name, port):
    class Host(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(name.encode() + b"\n")
        def log_message(self, *_):
            pass
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Host).serve_forever()

for word in sys.argv[1:]:
    name, port = word.split("=")
    threading.Thread(target=serve, args=(name, int(port))).start()
EOF

step "ZooKeeper on port $zookeeper_port"
mkdir "$work/zookeeper"
cat >"$work/zoo.cfg" <<EOF
tickTime=500
dataDir=$work/zookeeper
clientPort=$zookeeper_port
clientPortAddress=127.0.0.1
admin.enableServer=false
EOF
command_line "zkServer.sh start-foreground $work/zoo.cfg"
background "$work/zookeeper.log" java -Xmx128m \
    -cp /etc/zookeeper/conf:/usr/share/java/zookeeper.jar \
    org.apache.zookeeper.server.quorum.QuorumPeerMain "$work/zoo.cfg"
until_true ZooKeeper /usr/bin/python3 "$work/znode.py" "$zookeeper" /atlas ''

step 'Three tiny services: teams (two hosts), buckets and radar (one each)'
background "$work/hosts.log" /usr/bin/python3 "$work/hosts.py" "teams-1=$teams_1" \
    "teams-2=$teams_2" "buckets-1=$buckets_1" "radar-1=$radar_1"
for host in "$teams_1" "$teams_2" "$buckets_1" "$radar_1"; do
    until_true 'a service' curl -fsS "http://127.0.0.1:$host/"
    command_line "curl http://127.0.0.1:$host/"
    printf '      %s\n' "$(curl -fsS "http://127.0.0.1:$host/")"
done

step 'Fill the Atlas: one znode a host'
hosts=/atlas/local/services
znode $hosts/teams/hosts/teams-1 "{\"host\":\"127.0.0.1\",\"port\":$teams_1}"
znode $hosts/teams/hosts/teams-2 "{\"host\":\"127.0.0.1\",\"port\":$teams_2}"
znode $hosts/buckets/hosts/buckets-1 "{\"host\":\"127.0.0.1\",\"port\":$buckets_1}"

step "hatlas, which starts HAProxy on port $port"
cat >"$work/hatlas.yaml" <<EOF
sources: [{zookeeper: "$zookeeper"}]
routing: {bind: "127.0.0.1:$port"}
outputs:
  - {template: haproxy.cfg, path: $work/haproxy.cfg}
  - {template: services.map, path: $work/services.map}
haproxy:
  socket: $work/haproxy.sock
  master_socket: $work/master.sock
  stats: "127.0.0.1:$stats_port"
EOF
command_line "hatlas run --config $work/hatlas.yaml"
background "$work/hatlas.log" "$hatlas" run --config "$work/hatlas.yaml"
until_true 'hatlas and HAProxy' answers teams teams-1 teams-2

step 'Call services by name: the header says which'
show_calls teams 4
show_calls buckets 1
show_calls radar 1

step 'Disable a host: its traffic moves'
znode $hosts/teams/hosts/teams-2 \
    "{\"host\":\"127.0.0.1\",\"port\":$teams_2,\"enabled\":false}"
until_true 'traffic to move' answers teams teams-1
show_calls teams 4

step 'Add a service: it is there for everybody, with no change anywhere else'
znode $hosts/radar/hosts/radar-1 "{\"host\":\"127.0.0.1\",\"port\":$radar_1}"
until_true 'the service' answers radar radar-1
show_calls radar 2

step 'What hatlas said'
sed 's/^/    /' "$work/hatlas.log" | cut -c 1-150

if ! $interactive; then
    step 'Done'
    exit 0
fi
step 'Everything runs until Ctrl-C'
cat <<EOF
    services   curl -H 'Runscope-Service: teams' http://127.0.0.1:$port/
    registry   /usr/share/zookeeper/bin/zkCli.sh -server $zookeeper
    statistics http://127.0.0.1:$stats_port/
    config     $work/haproxy.cfg
    log        tail -f $work/hatlas.log
EOF
wait
