"""The status over HTTP and in a terminal: what it says is so, and who asks it badly harms
nobody."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

import parts


def services(backend, **more):
    """A file of services: one host up, one that nobody listens on, one disabled."""
    hosts = [{"host": "127.0.0.1", "port": backend.port, "id": "good", "zone": "here"},
             {"host": "127.0.0.1", "port": parts.free_port(), "id": "dead"},
             {"host": "127.0.0.1", "port": backend.port, "id": "off", "enabled": False,
              "weight": 7}]
    hosts[2]["host"] = "127.0.0.2"
    check = {"interval": "200ms", "fall": 1, "rise": 1}
    return json.dumps({"services": {"teams": {"check": check, "hosts": hosts}, **more}})


def ask(hatlas, path, method="GET", headers=None, address=None):
    connection = http.client.HTTPConnection("127.0.0.1", hatlas.status_port, timeout=20)
    if address:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(address))
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return parts.Answer(response.status, response.read().decode(),
                            {key.lower(): value for key, value in response.getheaders()})
    finally:
        connection.close()


def wait_status(hatlas, predicate, what="the status"):
    def asked():
        try:
            status = ask(hatlas, "/status").json()
        except OSError:
            return None
        return status if predicate(status) else None
    return parts.wait_for(asked, what)


def one(status, service):
    return next(item for item in status["services"] if item["name"] == service)


class Events:
    """A watcher: collects what is sent."""

    def __init__(self, hatlas):
        self.socket = socket.create_connection(("127.0.0.1", hatlas.status_port), 30)
        self.socket.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.stream = self.socket.makefile("rb")
        while self.stream.readline() not in (b"\r\n", b""):
            pass
        self.rest = b""

    def next(self):
        """The next update, and how many bytes it took."""
        while b"\n\n" not in self.rest:
            size = int(self.stream.readline(), 16)
            self.rest += self.stream.read(size)
            self.stream.readline()
        event, self.rest = self.rest.split(b"\n\n", 1)
        return (json.loads(event[6:]), len(event)) if event.startswith(b"data: ") \
            else self.next()

    def until(self, predicate):
        while True:
            update, size = self.next()
            if predicate(update):
                return update, size

    def close(self):
        self.stream.close()
        self.socket.close()


@pytest.fixture
def shown(hatlas, backend, cluster):
    """A sidecar whose status is known: HAProxy was asked after its checks."""
    host = backend("good")
    path = cluster(services(host))
    hatlas.configure(sources=[{"file": str(path)}]).run()
    hatlas.cluster, hatlas.backend = path, host
    wait_status(hatlas, lambda s: s["ready"] and one(s, "teams")["down"] == 1, "checks")
    return hatlas


def test_status_says_how_all_stands(shown):
    status = ask(shown, "/status").json()
    assert (status["health"], status["ready"], status["reasons"]) == ("ok", True, [])
    assert status["summary"] == "All in step: 1 services with 3 hosts, 1 up"
    assert status["catalog"] == {"services": 1, "hosts": 3, "stale": False}
    assert status["sources"][0]["state"] == "ready"
    assert status["haproxy"]["running"] and status["haproxy"]["answers"]
    assert [output["exists"] for output in status["outputs"]] == [True, True]
    assert status["changes"][0]["what"] == "first catalog: 1 services with 3 hosts"
    assert status["changes"][0]["way"] == "reload"
    hosts = {host["id"]: host for host in one(status, "teams")["hosts"]}
    assert (hosts["good"]["haproxy"], hosts["good"]["zone"]) == ("up", "here")
    assert hosts["good"]["check"].startswith("L4OK")
    assert (hosts["dead"]["haproxy"], hosts["dead"]["registry"]) == ("down", "enabled")
    assert (hosts["off"]["haproxy"], hosts["off"]["registry"]) == ("maint", "disabled")
    assert not any(host["differs"] for host in hosts.values())


def test_changes_are_told_and_logged_in_one_line(shown):
    registry = json.loads(shown.cluster.read_text())
    registry["services"]["teams"]["hosts"][1]["enabled"] = False
    shown.cluster.write_text(json.dumps(registry))
    status = wait_status(shown, lambda s: len(s["changes"]) == 2, "the change")
    change = status["changes"][1]
    assert change["what"] == "host changed: teams/dead, disabled (was enabled)"
    assert (change["way"], change["result"], change["steps"]) == ("runtime", "done", 1)
    assert change["reason"] is None and change["ms"] > 0
    diff = ask(shown, f"/diff/{change['id']}")
    assert diff.status == 200
    assert re.search(r"^-    server .* weight 1$", diff.body, re.M)
    assert re.search(r"^\+    server .* weight 1 .*disabled", diff.body, re.M)
    line = [line for line in shown.log() if line["msg"] == "applied"][1]
    assert line["what"] == change["what"]
    assert (line["way"], line["steps"], line["changes"]) == ("runtime", "1", "1")
    assert float(line["ms"]) > 0
    assert ask(shown, "/diff/99").status == 404
    assert ask(shown, "/diff/2x").status == 404


def test_a_change_names_its_znode(hatlas, atlas, source, backend):
    first, second = backend("first"), backend("second")
    atlas.put_service("teams", check={"interval": "200ms"})
    atlas.put_host("teams", first.port)
    path = atlas.put_host("teams", second.port)
    hatlas.configure(sources=source()).run()
    wait_status(hatlas, lambda s: s["ready"])
    atlas.put_host("teams", second.port, enabled=False)
    line = hatlas.wait_log("disabled (was enabled)")
    assert f'who="{path} version 1"' in line and "way=runtime steps=1" in line
    atlas.remove_host("teams", second.port)
    assert f"who={path} " in hatlas.wait_log("host removed: teams")


def test_a_change_that_can_not_be_rendered_is_told_too(hatlas, backend, cluster, tmp_path):
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "names.txt").write_text(
        '% assert(not services.by_name("broken"), "no service may be broken")\n')
    host = backend("good")
    path = cluster(services(host))
    settings = hatlas.settings(sources=[{"file": str(path)}])
    hatlas.configure(sources=settings["sources"], templates=[str(templates)],
                     outputs=[*settings["outputs"],
                              {"template": "names.txt", "path": str(hatlas.out / "names")}]
                     ).run()
    wait_status(hatlas, lambda s: s["ready"])
    path.write_text(services(host, broken={}))
    status = wait_status(hatlas, lambda s: len(s["changes"]) == 2, "the failure")
    failed = status["changes"][1]
    assert "service added: broken" in failed["what"]
    assert (failed["result"], failed["diff"]) == ("not_rendered", False)
    assert failed["error"] == "names.txt:1: no service may be broken"
    assert 'hatlas_changes_total{way="files",result="not_rendered"} 1' in ask(
        hatlas, "/metrics").body
    path.write_text(services(host))
    status = wait_status(hatlas, lambda s: s["health"] == "ok", "the end of it")


def test_differences_between_registry_and_haproxy_are_marked(shown):
    name = re.search(r"server (\S+) 127\.0\.0\.1:%d" % shown.backend.port,
                     shown.config.read_text()).group(1)
    watcher = Events(shown)  # while somebody watches, HAProxy is asked often
    parts.ask_unix(shown.socket, f"set server teams/{name} state maint")
    status = wait_status(shown, lambda s: one(s, "teams")["differs"] == 1, "the difference")
    watcher.close()
    host = next(host for host in one(status, "teams")["hosts"] if host["id"] == "good")
    assert (host["differs"], host["haproxy"]) == ("in maintenance in HAProxy", "maint")
    assert "hatlas_hosts_differing 1\n" in ask(shown, "/metrics").body


def test_problems_and_failures_make_it_unwell(shown):
    shown.cluster.write_text(services(shown.backend, **{"bad name": {}}))
    status = wait_status(shown, lambda s: s["problem_count"] == 1, "the problem")
    assert status["health"] == "warning"
    assert "1 problem with the registry's records" in status["summary"]
    assert "bad name" in status["problems"][0]["where"]
    code = shown.command("status")
    assert code.returncode == 1 and code.stdout.startswith("warning Serving, but 1 problem")
    for pid in shown.masters():
        os.kill(pid, signal.SIGSTOP)  # it neither ends nor answers
    for pid in parts.processes_of(shown.folder):
        os.kill(pid, signal.SIGSTOP)
    status = wait_status(shown, lambda s: not s["haproxy"]["answers"], "HAProxy's silence")
    assert "no answer in time" in status["haproxy"]["error"]
    assert ask(shown, "/health").status == 200, "a silent HAProxy does not hold up the loop"
    for pid in parts.processes_of(shown.folder):
        os.kill(pid, signal.SIGCONT)


def test_ready_only_with_a_config_and_haproxy(hatlas, tmp_path):
    missing = tmp_path / "missing.yaml"
    hatlas.configure(sources=[{"file": str(missing)}]).run()
    status = wait_status(hatlas, lambda s: True)
    assert status["health"] == "error" and status["catalog"] is None
    answer = ask(hatlas, "/ready")
    assert (answer.status, answer.body) == (503, "not ready: no config is in place yet\n")
    assert ask(hatlas, "/health").body == "alive\n"
    assert hatlas.command("status").returncode == 2
    missing.write_text('{"services": {}}')
    parts.wait_for(lambda: ask(hatlas, "/ready").status == 200, "ready")


SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)$')


def test_metrics_are_as_prometheus_wants_them(shown):
    answer = ask(shown, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    types, helped, seen, last = {}, set(), set(), None
    for line in answer.body.splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in helped and line.endswith("."), line
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, last, kind = line.split()
            assert last not in types and last in helped
            assert (kind == "counter") == last.endswith("_total"), line
            types[last] = kind
        else:
            found = SAMPLE.match(line)
            assert found, line
            name, labels, value = found.groups()
            base = re.sub(r"_(bucket|sum|count)$", "", name) \
                if types[last] == "histogram" else name
            assert base == last, f"{line} stands under {last}"
            assert (name, labels) not in seen, line
            seen.add((name, labels))
            float(value)
    assert 'hatlas_changes_total{way="reload",result="done"} 1\n' in answer.body
    assert 'hatlas_service_hosts{service="teams"} 3\n' in answer.body
    assert 'hatlas_service_hosts_up{service="teams"} 1\n' in answer.body
    assert 'hatlas_apply_duration_seconds_count{way="reload"} 1\n' in answer.body
    assert "hatlas_health 0\n" in answer.body
    if shutil.which("promtool"):
        checked = subprocess.run(["promtool", "check", "metrics"], input=answer.body,
                                 text=True, capture_output=True, timeout=parts.DEADLINE)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_watchers_are_sent_only_what_changed(hatlas, backend, cluster):
    host = backend("good")
    many = {f"service-{i}": {"hosts": [{"host": "127.0.0.1", "port": host.port}]}
            for i in range(300)}
    path = cluster(services(host, **many))
    hatlas.configure(sources=[{"file": str(path)}]).run()
    wait_status(hatlas, lambda s: s["ready"] and s["haproxy"]["answers"])
    watcher = Events(hatlas)
    first, whole = watcher.next()
    assert first["reset"] and len(first["services"]) == 301
    del many["service-7"]
    many["service-8"]["hosts"][0]["enabled"] = False
    path.write_text(services(host, **many))
    names, sizes, removed = set(), 0, []
    while not removed or "service-8" not in names:
        update, size = watcher.next()
        assert not update["reset"]
        names |= {item["name"] for item in update["services"]}
        removed += update["removed"]
        sizes += size
    watcher.close()
    assert removed == ["service-7"]
    assert names <= {"service-8", "teams"}, "nothing else changed"
    assert sizes < whole / 10


def test_secret_outputs_are_shown_nowhere(hatlas, backend, cluster, tmp_path):
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "secret.txt").write_text("password sesame\n% for _, s in ipairs(services) do\n"
                                          "{{ s.name }} sesame\n% end\n")
    path = cluster(services(backend("good")))
    settings = hatlas.settings(sources=[{"file": str(path)}], templates=[str(templates)])
    settings["outputs"].append({"template": "secret.txt", "path": str(hatlas.out / "secret"),
                                "mode": "0600"})
    hatlas.configure(sources=settings["sources"], templates=settings["templates"],
                     outputs=settings["outputs"]).run()
    wait_status(hatlas, lambda s: s["ready"])
    path.write_text(services(backend("other"), second={}))
    parts.wait_for(lambda: "second sesame" in (hatlas.out / "secret").read_text(), "secret")
    status = wait_status(hatlas, lambda s: len(s["changes"]) > 1)
    texts = [ask(hatlas, page).body for page in
             ["/config", "/status", *(f"/diff/{c['id']}" for c in status["changes"])]]
    assert str(hatlas.out / "secret") in texts[0]
    assert "backend second" in texts[0] and "backend second" in texts[-1]
    assert not any("sesame" in text for text in texts)


def test_refuses_what_is_no_business_of_it(shown):
    assert ask(shown, "/nothing").status == 404
    assert ask(shown, "/status", method="POST").status in (405, 501)
    assert ask(shown, "/status", method="HEAD").body == ""
    assert ask(shown, "/", headers={"X": "x" * 20000}).status == 400
    for name, status in {"evil.example.org": 403, "127.evil.example.org": 403,
                         "localhost:80": 200, "127.0.0.1": 200, "[::1]:1": 200}.items():
        assert ask(shown, "/health", headers={"Host": name}).status == status, name
    page = ask(shown, "/")
    nonce = re.search(r"script-src 'nonce-(\w+)'", page.headers["content-security-policy"])
    assert page.body.count(f'nonce="{nonce.group(1)}"') == 2
    assert nonce.group(1) not in ask(shown, "/").body
    assert page.headers["x-content-type-options"] == "nosniff"


def test_slow_and_many_clients_hold_nobody_up(shown):
    slow = []
    for i in range(31):
        slow.append(socket.create_connection(("127.0.0.1", shown.status_port), 10))
        slow[-1].sendall(b"GET /sta" if i % 2 else b"GET /status HTTP/1.1\r\nHost: localh")
    assert ask(shown, "/health").status == 200, "one place is left"
    shown.wait_answer("teams", "good")
    for _ in range(10):  # more than there are places: they wait in line
        slow.append(socket.create_connection(("127.0.0.1", shown.status_port), 10))
    shown.cluster.write_text(services(shown.backend, second={}))
    parts.wait_for(lambda: "backend second" in shown.config.read_text(), "the change")
    parts.wait_for(lambda: ask(shown, "/health").status == 200, "a place after the silence")
    for connection in slow:
        connection.close()
    watchers = [Events(shown) for _ in range(8)]
    assert all(watcher.next()[0]["reset"] for watcher in watchers)
    assert ask(shown, "/events").status == 503
    for watcher in watchers:
        watcher.close()
    parts.wait_for(lambda: ask(shown, "/health").status == 200, "places")
    descriptors = f"/proc/{shown.process.pid}/fd"
    parts.wait_for(lambda: len(os.listdir(descriptors)) < 40, "closed connections")


def test_listens_on_a_socket_and_waits_for_a_taken_address(hatlas, backend, cluster):
    path = cluster(services(backend("good")))
    address = hatlas.folder / "s.sock"
    hatlas.configure(sources=[{"file": str(path)}], status={"listen": str(address)}).run()
    parts.wait_for(address.exists, "the socket")
    assert address.stat().st_mode & 0o777 == 0o660
    assert ask(hatlas, "/health", address=address).status == 200
    hatlas.kill()
    taken = socket.create_server(("127.0.0.1", hatlas.status_port))
    hatlas.configure(sources=[{"file": str(path)}]).run()
    hatlas.wait_answer("teams", "good")
    line = hatlas.wait_log("the status can't be shown yet")
    assert "Address already in use" in line
    taken.close()
    wait_status(hatlas, lambda s: s["ready"])


def test_hatlas_status_shows_one_screen(shown):
    done = shown.command("status")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok All in step: 1 services with 3 hosts, 1 up\n")
    assert re.search(r"^teams +1 of 3 ", done.stdout, re.M)
    assert "\033" not in done.stdout, "no colour where no terminal is"
    assert json.loads(shown.command("status", "--json").stdout)["health"] == "ok"
    pty = subprocess.run(["script", "-qec", f"stty rows 12 cols 60; {shown.binary} status "
                          f"--config {shown.file}", "/dev/null"], text=True,
                         capture_output=True, timeout=parts.DEADLINE,
                         stdin=subprocess.DEVNULL)
    assert "\033[32;1mok\033[0m All in step" in pty.stdout
    assert max(len(re.sub(r"\033\[[\d;]*m", "", line))
               for line in pty.stdout.splitlines()) <= 60
    shown.stop()
    done = shown.command("status")
    assert done.returncode == 2 and "can't ask the sidecar: Connection refused" in done.stderr


def test_hatlas_status_watches(shown):
    """Until it is ended; without a terminal one screen follows the other."""
    with subprocess.Popen([shown.binary, "status", "--watch", "--config", shown.file],
                          text=True, stdout=subprocess.PIPE) as watcher:
        def wait_line(text):
            for line in watcher.stdout:
                if text in line:
                    return
            raise AssertionError(f"no more lines, and none with {text!r}")
        wait_line("All in step: 1 services with 3 hosts")
        shown.cluster.write_text(services(shown.backend, second={}))
        wait_line("2 services with 3 hosts")
        watcher.terminate()
    assert watcher.returncode == -15
