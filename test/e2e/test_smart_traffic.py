"""What travels with a request and how: ids and logs, TLS, HTTP/2, the PROXY protocol, tcp
services, the cache, error files; and that no field of a service can break it."""
import json
import os
import pathlib
import re
import socket
import subprocess
import threading

import pytest

import parts
import smart

FAST = {"interval": "100ms", "rise": 1, "fall": 1}
MYSQL_HELLO = (b"\x4a\0\0\0\x0a8.0.0\0" + b"\x01\0\0\0saltsalt\0" + b"\xff\xf7\x21\x02\0"
               + b"\xff\x81\x15" + b"\0" * 10 + b"saltsaltsalt\0mysql_native_password\0")
PROTOCOLS = {  # a greeting, and answers by how the question begins
    "redis": (b"", [(b"*1\r\n$4\r\nPING", b"+PONG\r\n"), (b"PING", b"+PONG\r\n")]),
    "pgsql": (b"", [(b"\0\0", b"R\0\0\0\x08\0\0\0\0")]),
    "mysql": (MYSQL_HELLO, [(b"", b"\x07\0\0\x02\0\0\0\x02\0\0\0")]),
    "smtp": (b"220 hello\r\n", [(b"EHLO", b"250 fine\r\n"), (b"QUIT", b"221 bye\r\n")]),
}


class Log:
    """A syslog server: the lines that it was sent."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port, self.lines = self.socket.getsockname()[1], []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            line = self.socket.recv(65536).decode(errors="replace")
            if "{" in line:
                self.lines.append(line[line.index("{"):])

    def find(self, **fields):
        """Waits for a line with these fields."""
        def found():
            for line in map(json.loads, list(self.lines)):
                if fields.items() <= line.items():
                    return line
            return None
        return parts.wait_for(found, f"{fields} in the log")


def secure_hosts(side):
    """An HAProxy with hosts that speak TLS, HTTP/2 and the PROXY protocol. They answer
    with what they were spoken to in."""
    folder = side.folder / "hosts"
    folder.mkdir()
    pem = smart.certificate(folder, "tls.example")
    binds = {"tls": f"ssl crt {pem}", "tls-h2": f"ssl crt {pem} alpn h2", "h2": "proto h2",
             "proxy": "accept-proxy"}
    ports = {name: parts.free_port() for name in binds}
    text = ("global\n    maxconn 1000\n    nbthread 1\n    log stderr format raw local0\n"
            "defaults\n    mode http\n    timeout client 1m\n    timeout server 1m\n"
            "    timeout connect 5s\n")
    for name, options in binds.items():
        text += (f"frontend {name}\n    bind 127.0.0.1:{ports[name]} {options}\n"
                 "    http-request return status 200 content-type text/plain lf-string "
                 "'%[fe_name] HTTP/%[fc_http_major] %[ssl_fc_sni]'\n")
    (folder / "hosts.cfg").write_text(text)
    side.tls_hosts = subprocess.Popen(["haproxy", "-db", "-f", str(folder / "hosts.cfg")],
                                      stderr=subprocess.DEVNULL)
    record = {name: {"host": "127.0.0.1", "port": port} for name, port in ports.items()}
    inside = {"name": "tls.example", "ca": "inside"}
    check = {"path": "/health", **FAST}
    return str(folder / "tls.example.crt"), {
        "secure": {"tls": inside, "check": check, "hosts": [record["tls"]]},
        "tls.example": {"tls": {"ca": "inside"}, "check": FAST, "hosts": [record["tls"]]},
        "no-verify": {"tls": {"verify": "none"}, "check": FAST, "hosts": [record["tls"]]},
        "wrong-name": {"tls": {**inside, "name": "else.example"}, "check": FAST,
                       "hosts": [record["tls"]]},
        "untrusted": {"tls": {"name": "tls.example"}, "check": FAST,
                      "hosts": [record["tls"]]},
        "unknown-ca": {"tls": {"name": "tls.example", "ca": "nobody"}, "check": FAST,
                       "hosts": [record["tls"]]},
        "tls-h2": {"tls": inside, "protocol": "h2", "check": check,
                   "hosts": [record["tls-h2"]]},
        "h2": {"protocol": "h2", "check": check, "hosts": [record["h2"]]},
        "proxy-v1": {"proxy_protocol": "v1", "check": check, "hosts": [record["proxy"]]},
        "proxy-v2": {"proxy_protocol": "v2", "check": check, "hosts": [record["proxy"]]},
        "no-proxy": {"hosts": [record["proxy"]]},
    }


def tcp_services(side):
    services, side.ports, side.scripts = {}, {}, {}
    for kind, (greeting, answers) in PROTOCOLS.items():
        good, mute = side.scripts[kind] = side.script(greeting, answers), side.script()
        side.ports[kind] = parts.free_port()
        services[kind] = {"mode": "tcp", "port": side.ports[kind],
                          "check": {"type": kind, **FAST},
                          "hosts": [good.record(), mute.record()]}
    web = side.host("web").record()
    failing = {"type": "redis", **FAST}
    side.ports |= {name: parts.free_port() for name in ("tcp-fail", "tcp-panic")}
    for name, panic in (("tcp-fail", "fail"), ("tcp-panic", "panic")):
        services[name] = {"mode": "tcp", "port": side.ports[name], "check": failing,
                          "on_all_down": panic, "hosts": [web]}
    return services | {
        "redis-too": {"mode": "tcp", "port": side.ports["redis"], "hosts": [web]},
        "a-thief": {"mode": "tcp", "port": side.port, "hosts": [web]},
        "low": {"mode": "tcp", "port": 22, "hosts": [web]},
    }


HOSTILE = {
    "mode": "udp", "port": 0, "balance": "'; #", "eject_after": -1, "slow_start": "soon",
    "maxconn": "many", "retries": 11, "retry_on": ["503\n"], "idempotent": "yes",
    "zones": 7, "on_all_down": "burn", "protocol": "h3", "proxy_protocol": "v3",
    "labels": [], "aliases": ["a b"],
    "check": {"type": "ping", "path": "no slash", "method": "DELETE", "host": "a b",
              "status": "2xx", "user": "me 'n you", "port": 65536, "interval": "1ms",
              "rise": 0, "fall": "3"},
    "agent": {"port": "x", "interval": 5}, "timeouts": {"server": "never"},
    "limit": {"rate": 0, "period": "0", "requests": [], "queue": 1.5},
    "sticky": {"cookie": "a;b", "header": "a,b)"},
    "tls": {"enabled": "perhaps", "verify": "maybe", "name": "$HOME", "ca": "/etc/passwd"},
    "cache": {"max_age": "1d"},
}


@pytest.fixture(scope="module")
def side(tmp_path_factory):
    side = smart.Sidecar(tmp_path_factory.mktemp("traffic"))
    side.log_server = Log()
    side.good, side.bad = side.host("good"), side.host("bad", status=503)
    side.cached = [side.host(f"cached-{i}") for i in range(5)]
    side.cached[4].headers["Cache-Control"] = "public, max-age=1"
    side.cached[2].headers["Cache-Control"] = "no-store"
    authority, secure = secure_hosts(side)
    error = side.folder / "404.http"
    error.write_bytes(b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n"
                      b"Cache-Control: no-cache\r\n\r\nour own 404\n")
    side.services = secure | tcp_services(side) | {
        "logged": {"hosts": [side.good.record()]},
        "retried": {"hosts": [side.bad.record(), side.good.record()]},
        "unnamed": {"hosts": [{"host": "no-such-host.invalid", "port": 80},
                              side.good.record()]},
        "hostile": {**HOSTILE, "hosts": [side.good.record()]},
        "cached-0": {"cache": {"max_age": "1h"}, "hosts": [side.cached[0].record()]},
        "cached-1": {"cache": {"max_age": "1h"}, "hosts": [side.cached[1].record()]},
        "not-stored": {"cache": {"max_age": "1h"}, "hosts": [side.cached[2].record()]},
        "own-time": {"cache": {"max_age": "1h"}, "hosts": [side.cached[4].record()]},
        "short": {"cache": {"max_age": "1s"}, "hosts": [side.cached[3].record()]},
    }
    haproxy = {"log": f"127.0.0.1:{side.log_server.port}", "ca_files": {"inside": authority},
               "error_files": {"404": str(error)}, "threads": 2, "maxconn": 500}
    if os.getuid() == 0:
        haproxy |= {"user": "nobody", "group": "nogroup"}
    side.serve(haproxy=haproxy)
    yield side
    side.close()
    side.tls_hosts.kill()
    side.tls_hosts.wait()


# --- ids and logs


def test_request_id_is_made_and_passed_on(side):
    side.get("logged")
    first = side.good.requests[-1][2]["x-request-id"]
    side.get("logged")
    second = side.good.requests[-1][2]["x-request-id"]
    assert re.fullmatch(r"[0-9a-f-]{18}-\d+", first) and first[:18] == second[:18]
    assert first != second
    side.get("logged", headers={"X-Request-ID": "mine"})
    assert side.good.requests[-1][2]["x-request-id"] == "mine"


def test_line_of_the_log(side):
    side.get("Logged", '/a?b="c\\', headers={"Runscope-Caller": 'a "caller"',
                                            "X-Request-ID": "id-1"})
    line = side.log_server.find(id="id-1")
    assert line["caller"] == 'a "caller"' and line["service"] == "logged"
    assert line["path"] == '/a?b="c\\' and line["method"] == "GET"
    assert line["status"] == 200 and line["retries"] == "0"
    assert line["host"] == line["address"] == f"127.0.0.1:{side.good.port}"
    for name in ("queue_ms", "connect_ms", "answer_ms", "total_ms"):
        assert line[name] >= 0
    side.get("nobody", headers={"X-Request-ID": "id-2"})
    assert side.log_server.find(id="id-2", service="hatlas:unknown")["status"] == 404


def test_retries_in_the_log(side):
    for i in range(4):
        side.get("retried", headers={"X-Request-ID": f"retried-{i}"})
    lines = [side.log_server.find(id=f"retried-{i}") for i in range(4)]
    assert "+1" in {line["retries"] for line in lines}
    assert all(line["address"] == f"127.0.0.1:{side.good.port}" for line in lines)


def test_tcp_in_the_log(side):
    side.wait_state("tcp-panic", next(iter(side.state("tcp-panic"))), "DOWN")
    side.ask(side.ports["tcp-panic"])
    assert side.log_server.find(service="tcp-panic:panic")["bytes"] > 0


# --- TLS, HTTP/2, PROXY protocol


@pytest.mark.parametrize("service, body", [
    ("secure", "tls HTTP/1 tls.example"), ("tls.example", "tls HTTP/1 tls.example"),
    ("no-verify", "tls HTTP/1 no-verify"), ("tls-h2", "tls-h2 HTTP/2 tls.example"),
    ("h2", "h2 HTTP/2 "), ("proxy-v1", "proxy HTTP/1 "), ("proxy-v2", "proxy HTTP/1 ")])
def test_hosts_are_spoken_to_as_they_ask(side, service, body):
    side.wait_answer(service, body)
    server = next(iter(side.state(service)))
    side.wait_state(service, server, "UP")
    assert side.get(service).body == body


@pytest.mark.parametrize("service", ["wrong-name", "untrusted", "unknown-ca"])
def test_host_that_is_another_gets_nothing(side, service):
    side.wait_state(service, next(iter(side.state(service))), "DOWN")
    assert side.get(service).status == 503


def test_host_that_expects_the_proxy_protocol(side):
    assert side.get("no-proxy").status != 200


# --- tcp


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_protocol_checks(side, kind):
    good, mute = (f"127.0.0.1:{script.port}" for script in side.scripts[kind])
    side.wait_state(kind, mute, "DOWN")
    side.wait_state(kind, good, "UP")


def test_tcp_service(side):
    side.wait_state("redis", f"127.0.0.1:{side.scripts['redis'][1].port}", "DOWN")
    with socket.create_connection(("127.0.0.1", side.ports["redis"]), 5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"


def test_panic_of_a_tcp_service(side):
    for name in ("tcp-fail", "tcp-panic"):
        side.wait_state(name, next(iter(side.state(name))), "DOWN")
    assert side.ask(side.ports["tcp-fail"]) == b""
    assert side.ask(side.ports["tcp-panic"]).endswith(b"web")


def test_a_port_is_taken_once(side):
    text = side.config.read_text()
    assert f"# redis-too can't have port {side.ports['redis']}, which redis has." in text
    assert f"# a-thief can't have port {side.port}, which hatlas has." in text
    assert "# low can't have port 22: it is not from 1024 to 65535." in text
    for name in ("redis-too", "a-thief", "low"):
        assert f"listen {name}" not in text


# --- the cache


def test_answers_are_kept(side):
    """By service, though clients ask for the same host and path."""
    for i in (0, 1, 0, 1, 0):
        answer = side.get(f"cached-{i}", "/x?y")
        assert answer.body == f"cached-{i}"
    assert [side.cached[i].asked("/x?y") for i in (0, 1)] == [1, 1]
    assert side.cached[0].requests[-1][2]["host"] == f"127.0.0.1:{side.port}"
    assert side.get("cached-0", "/x").body == "cached-0"
    assert side.cached[0].asked("/x") == 1
    for method in ("POST", "DELETE"):
        side.get("cached-0", "/x", method=method)
    assert side.cached[0].asked("/x") == 3


def test_answers_that_must_not_be_kept(side):
    for _ in range(3):
        side.get("not-stored")
    assert side.cached[2].asked("/") == 3


@pytest.mark.parametrize("service, number", [("short", 3), ("own-time", 4)])
def test_answers_are_kept_for_their_time(side, service, number):
    assert {side.get(service).body for _ in range(9)} == {f"cached-{number}"}
    assert side.cached[number].asked("/") < 9
    parts.wait_for(lambda: side.get(service) and side.cached[number].asked("/") > 4, "ends")


# --- HAProxy itself


def test_own_error_file(side):
    assert side.get("nobody").body == "our own 404\n"


def test_name_that_does_not_resolve(side):
    assert side.state("unnamed")["no-such-host.invalid:80"]["status"].startswith("MAINT")
    assert side.who("unnamed") == {"good"}


def test_hosts_template(side):
    side.services["logged"]["hosts"][0]["id"] = "Host-1"
    side.write()
    out = side.command("render", "--template", "hosts").stdout
    assert "\n127.0.0.1 host-1\n" in out


def test_statistics(side):
    page = side.curl(f"http://127.0.0.1:{side.stats_port}/")
    metrics = side.curl(f"http://127.0.0.1:{side.stats_port}/metrics")
    assert "Statistics Report" in page and "logged" in page
    assert "haproxy_backend_http_responses_total" in metrics


def test_process(side):
    info = dict(line.split(": ", 1) for line in parts.ask_unix(
        side.socket, "show info").splitlines() if ": " in line)
    assert info["Nbthread"] == "2" and info["Maxconn"] == "500"
    if os.getuid() == 0:
        status = pathlib.Path(f"/proc/{info['Pid']}/status").read_text()
        assert "\nUid:\t65534\t65534" in status


def test_bad_fields_are_named_and_do_nothing(side):
    log = side.log_text()

    def names(fields, prefix=""):
        for name, value in fields.items():
            if isinstance(value, dict):
                yield from names(value, f"{name}.")
            else:
                yield prefix + name
    missing = [name for name in names(HOSTILE) if f"{name}: " not in log
               and f"{name}[0]: " not in log]
    assert missing == []
    assert "its default is used" in log
    assert side.get("hostile").body == "good"
