"""A change is put in place without harm, or not at all."""
import http.client
import http.server
import os
import random
import re
import signal
import subprocess
import threading

import pytest

import haproxy_config
import parts


def override(tmp_path, text, name="haproxy.cfg"):
    """A folder with a template that wins over the shipped one."""
    folder = tmp_path / "templates"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return str(folder)


SHIPPED = (parts.SOURCE / "templates" / "haproxy.cfg")

# What HAProxy refuses as soon as a service called "poison" is there.
POISONED = ("\n% for _, service in ipairs(services) do\n"
            "% if service.name == 'poison' then\n"
            "global\n    bnid 127.0.0.1:1\n"
            "% end\n% end\n")


def test_refused_config(hatlas, atlas, source, backend, tmp_path):
    """The old config keeps serving; the refused one is kept beside it, with HAProxy's
    words; it is tried again only when something changes."""
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source(), templates=[
        override(tmp_path, SHIPPED.read_text() + POISONED)]).run()
    hatlas.wait_answer("teams", "one")
    good = hatlas.config.read_text()
    atlas.put_service("poison")
    line = hatlas.wait_log("bnid")
    assert "level=error" in line
    rejected = hatlas.config.with_name("haproxy.cfg.rejected")
    parts.wait_for(rejected.exists, "the refused config")
    assert "bnid" in rejected.read_text()
    assert hatlas.config.read_text() == good
    assert hatlas.get("teams").body == "one"
    refusals = hatlas.log_text().count("bnid")
    atlas.put_host("teams", one.port)  # the same bytes: nothing changed
    hatlas.send(signal.SIGUSR1)
    hatlas.wait_log("msg=state")
    assert hatlas.log_text().count("bnid") == refusals
    atlas.remove_service("poison")
    atlas.put_host("teams", two.port)
    hatlas.wait_who("teams", {"one", "two"})
    parts.wait_for(lambda: not rejected.exists(), "the refused config to go")


def test_refused_config_at_the_first_start(hatlas, atlas, source, backend, tmp_path):
    atlas.put_host("teams", backend("one").port)
    atlas.put_service("poison")
    hatlas.configure(sources=source(), templates=[
        override(tmp_path, SHIPPED.read_text() + POISONED)]).run()
    hatlas.wait_log("bnid")
    assert not hatlas.config.exists()
    atlas.remove_service("poison")
    hatlas.wait_answer("teams", "one")


def test_template_error_keeps_the_old_config(hatlas, atlas, source, backend, tmp_path):
    atlas.put_host("teams", backend("one").port)
    text = SHIPPED.read_text()
    folder = override(tmp_path, text)
    hatlas.configure(sources=source(), templates=[folder]).run()
    hatlas.wait_answer("teams", "one")
    override(tmp_path, text + "{{ no_such_name }}\n")
    hatlas.send(signal.SIGHUP)
    line_number = text.count("\n") + 1
    hatlas.wait_log(f"haproxy.cfg:{line_number}")
    assert hatlas.get("teams").body == "one"
    override(tmp_path, text + "# mended\n")
    hatlas.send(signal.SIGHUP)
    parts.wait_for(lambda: "# mended" in hatlas.config.read_text(), "the mended template")
    assert hatlas.get("teams").body == "one"


def test_on_change_runs_when_its_file_changed(hatlas, atlas, source, backend, tmp_path):
    marker = tmp_path / "marker"
    folder = override(tmp_path, "% for _, s in ipairs(services) do\n{{ s.name }}\n% end\n",
                      name="names")
    settings = hatlas.settings(sources=source(), templates=[folder])
    settings["outputs"].append(
        {"template": "names", "path": str(hatlas.out / "names"),
         "on_change": ["sh", "-c", f"echo x >>{marker}"]})
    hatlas.configure(sources=source(), templates=[folder], outputs=settings["outputs"])
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    hatlas.run()
    parts.wait_for(lambda: marker.exists() and marker.read_text() == "x\n", "first run")
    atlas.put_host("teams", two.port)
    hatlas.wait_who("teams", {"one", "two"})
    assert marker.read_text() == "x\n", "no host changes the list of names"
    atlas.put_service("buckets")
    parts.wait_for(lambda: marker.read_text() == "x\nx\n", "second run")
    assert (hatlas.out / "names").read_text() == "buckets\nteams\n"


def test_two_instances_on_one_output(make_hatlas, atlas, source, backend):
    first, second = make_hatlas("first"), make_hatlas("second")
    atlas.put_host("teams", backend("one").port)
    first.configure(sources=source()).run()
    first.wait_answer("teams", "one")
    second.configure(sources=source(), outputs=first.settings()["outputs"])
    text = first.config.read_text()
    done = second.command("run")
    assert done.returncode == 2
    assert str(first.process.pid) in done.stderr
    assert str(first.config) in done.stderr
    assert first.get("teams").body == "one"
    assert first.config.read_text() == text
    assert first.stop() == 0
    second.run()
    parts.wait_for(lambda: parts.processes_of(second.folder) or
                   parts.processes_of(first.folder), "the second one's HAProxy")


def test_lock_of_a_killed_hatlas_is_free(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    hatlas.kill()
    hatlas.run()
    hatlas.wait_log("hatlas runs")
    hatlas.wait_answer("teams", "one")


def test_silent_haproxy_of_a_killed_hatlas_gets_no_rival(hatlas, atlas, source, backend):
    """A master may be silent for a moment, as in a reload: two would share the port."""
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_log("msg=applied")
    master, = hatlas.masters()
    hatlas.kill()
    os.kill(master, signal.SIGSTOP)
    hatlas.run()
    hatlas.wait_log("silent, waiting for it")
    assert hatlas.masters() == [master]
    os.kill(master, signal.SIGCONT)
    hatlas.wait_log("adopted the HAProxy")
    atlas.put_service("later")
    hatlas.wait_answer("later", 503)
    assert hatlas.masters() == [master]


def test_haproxy_of_a_killed_hatlas_that_stays_silent(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source(), haproxy={"reload_timeout": "3s"}).run()
    hatlas.wait_log("msg=applied")
    master, = hatlas.masters()
    hatlas.kill()
    os.kill(master, signal.SIGSTOP)
    hatlas.run()
    hatlas.wait_log("gave no answer, killed")
    parts.wait_for(lambda: hatlas.masters() and master not in hatlas.masters(),
                   "another master")
    hatlas.wait_answer("teams", "one")
    assert len(hatlas.masters()) == 1


def whole(path):
    """Reads the config and says whether it is one."""
    text = path.read_text()
    haproxy_config.parse(text)
    accepted, message = parts.haproxy_accepts(path)
    assert accepted, message
    return text


def test_killed_at_any_time_during_200_writes(hatlas, atlas, source, backend):
    """The config on disk is always a whole one, and after the last start the right one is
    served by the one HAProxy there is."""
    last = backend("last")
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    chance = random.Random(2)
    stop = threading.Event()

    def write():
        for number in range(200):
            if number % 2:
                atlas.put_host(f"service-{number % 40}", 9000 + number)
            else:
                atlas.put_service(f"service-{number % 40}", retries=number % 5)
            stop.wait(0.05)
    writer = threading.Thread(target=write)
    writer.start()
    kills = 0
    try:
        while writer.is_alive():
            stop.wait(chance.uniform(0.05, 0.9))
            hatlas.kill()
            whole(hatlas.config)
            leftovers = [name for name in os.listdir(hatlas.out)
                         if not name.startswith(("haproxy.cfg", "services.map"))]
            assert leftovers == []
            hatlas.run()
            kills += 1
    finally:
        writer.join()
    assert kills >= 5
    atlas.put_host("final", last.port)
    hatlas.wait_answer("final", "last")
    whole(hatlas.config)
    parts.wait_for(lambda: len(hatlas.masters()) == 1, "one HAProxy master")
    for _ in range(20):
        assert hatlas.get("final").body == "last"
    assert hatlas.stop() == 0


def test_can_not_write(hatlas, atlas, source, backend):
    """Where the folder takes no file the old one stays, and it is tried again."""
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    text = hatlas.config.read_text()
    moved = hatlas.folder / "moved"
    hatlas.out.rename(moved)
    hatlas.out.write_text("no folder\n")
    atlas.put_host("teams", two.port)
    hatlas.wait_log("level=error")
    assert hatlas.get("teams").body == "one"
    assert (moved / "haproxy.cfg").read_text() == text
    hatlas.out.unlink()
    moved.rename(hatlas.out)
    hatlas.wait_who("teams", {"one", "two"})


def test_storm_is_applied_as_a_few(hatlas, atlas, source, backend):
    one = backend("one")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source(), apply={"min_reload_interval": "1s"}).run()
    hatlas.wait_answer("teams", "one")
    before = hatlas.reloads()
    for number in range(200):
        atlas.put_service(f"service-{number:03}")
    atlas.put_host("service-199", one.port)
    hatlas.wait_answer("service-199", "one")
    assert hatlas.reloads() - before <= 10


def wrk(port, seconds, connections=32):
    return subprocess.Popen(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-H", "X-Service: teams",
         f"http://127.0.0.1:{port}/"], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)


def wrk_faults(text):
    """(requests, socket errors, answers that are no 2xx) of wrk's report."""
    requests = int(re.search(r"(\d+) requests in", text).group(1))
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), "
                        r"timeout (\d+)", text)
    others = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return (requests, sum(map(int, sockets.groups())) if sockets else 0,
            int(others.group(1)) if others else 0)


def test_no_request_fails_in_20_reloads(hatlas, atlas, source, fast_backend):
    """Keep-alive load from wrk while each of 20 new services costs a reload."""
    atlas.put_host("teams", fast_backend.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "fast")
    before = hatlas.reloads()
    load = wrk(hatlas.port, 300)
    for number in range(20):
        atlas.put_service(f"service-{number}")
        parts.wait_for(lambda: hatlas.reloads() > before + number, "a reload")
    assert load.poll() is None, "all reloads happened under load"
    load.send_signal(signal.SIGINT)  # it reports what it has
    text, _ = load.communicate()
    requests, socket_errors, other_answers = wrk_faults(text)
    assert requests > 1000
    assert (socket_errors, other_answers) == (0, 0), text
    assert hatlas.reloads() - before >= 20


def test_kept_connections_outlive_a_reload(hatlas, atlas, source, backend):
    """A client that has been idle since before the reload is answered all the same."""
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    kept = [http.client.HTTPConnection("127.0.0.1", hatlas.port, timeout=20)
            for _ in range(10)]

    def ask(connection):
        connection.request("GET", "/", headers={"X-Service": "teams"})
        return connection.getresponse().read()
    assert {ask(connection) for connection in kept} == {b"one"}
    ports = [connection.sock.getsockname() for connection in kept]
    before = hatlas.reloads()
    atlas.put_service("later")
    hatlas.wait_answer("later", 503)
    assert hatlas.reloads() > before
    assert [connection.sock.getsockname() for connection in kept] == ports
    assert {ask(connection) for connection in kept} == {b"one"}
    for connection in kept:
        connection.close()


# --- control modes


def leftovers(hatlas):
    """What only an apply that is under way may have in the folder of the outputs."""
    return [name for name in os.listdir(hatlas.out)
            if name.endswith((".check", ".reload-owed"))]


def test_supervise_stops_cleanly(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    assert len(hatlas.masters()) == 1
    assert hatlas.stop(signal.SIGTERM) == 0
    assert "does not stop" not in hatlas.log_text()
    assert parts.processes_of(hatlas.folder) == []
    assert leftovers(hatlas) == []


@pytest.mark.parametrize("moment", ["New worker", "msg=rendered"])
def test_supervise_stops_while_it_starts(hatlas, atlas, source, backend, moment):
    """HAProxy loses signals while it starts; and the check's files must not stay."""
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_log(moment)
    assert hatlas.stop(signal.SIGTERM) == 0
    assert "does not stop" not in hatlas.log_text()
    assert parts.processes_of(hatlas.folder) == []
    assert leftovers(hatlas) == []


def test_supervise_stops_on_ctrl_c(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    os.killpg(hatlas.process.pid, signal.SIGINT)
    assert hatlas.process.wait(parts.DEADLINE) == 0
    assert parts.processes_of(hatlas.folder) == []


def test_supervise_lets_open_requests_end(hatlas, atlas, source):
    """SIGTERM while a host is still thinking: the client gets its answer."""
    started, go_on = threading.Event(), threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            started.set()
            go_on.wait(parts.DEADLINE)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"slow")

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", parts.free_port()), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    atlas.put_host("teams", server.server_port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("nobody", 404)
    parts.wait_for(lambda: hatlas.get("nobody").status == 404
                   and "teams" in hatlas.config.read_text(), "the service")
    answers = []
    asking = threading.Thread(target=lambda: answers.append(hatlas.get("teams")))
    asking.start()
    assert started.wait(parts.DEADLINE)
    hatlas.send(signal.SIGTERM)
    hatlas.wait_log("msg=stopping")
    go_on.set()
    asking.join()
    server.shutdown()
    assert (answers[0].status, answers[0].body) == (200, "slow")
    assert hatlas.process.wait(parts.DEADLINE) == 0


@pytest.mark.parametrize("victim", ["master", "worker"])
def test_supervise_starts_a_killed_haproxy_again(hatlas, atlas, source, backend, victim):
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    master, = hatlas.masters()
    pids = {"master": [master],
            "worker": [pid for pid in parts.processes_of(hatlas.folder) if pid != master]}
    for pid in pids[victim]:
        os.kill(pid, signal.SIGKILL)
    parts.wait_for(lambda: hatlas.masters() and master not in hatlas.masters(),
                   "another master")
    hatlas.wait_answer("teams", "one")
    atlas.put_host("teams", two.port)
    hatlas.wait_who("teams", {"one", "two"})
    parts.wait_for(lambda: len(hatlas.masters()) == 1, "one master")


def test_supervise_haproxy_that_is_not_there(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source(), haproxy={"binary": "/no/such/haproxy"}).run()
    hatlas.wait_log("/no/such/haproxy")
    assert hatlas.running()
    assert hatlas.stop() == 0


def test_master_socket_mode(hatlas, haproxy, atlas, source, backend):
    """hatlas drives an HAProxy that somebody else started."""
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source(), haproxy={"control": "master-socket"})
    assert hatlas.command("render", "--write").returncode == 0
    process = haproxy(hatlas.config, hatlas.master_socket)
    hatlas.wait_answer("teams", "one")
    hatlas.run()
    atlas.put_host("teams", two.port)
    hatlas.wait_who("teams", {"one", "two"})
    atlas.put_host("buckets", two.port)
    hatlas.wait_answer("buckets", "two")
    assert hatlas.stop() == 0
    assert process.poll() is None, "it is not hatlas's to stop"
    assert hatlas.get("buckets").body == "two"


def test_master_socket_mode_without_an_haproxy(hatlas, haproxy, atlas, source, backend):
    """The config on disk is kept current; as soon as there is an HAProxy it is used."""
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source(), haproxy={"control": "master-socket"}).run()
    hatlas.wait_log("level=error")
    parts.wait_for(lambda: hatlas.config.exists()
                   and str(one.port) in hatlas.config.read_text(), "the config")
    haproxy(hatlas.config, hatlas.master_socket)
    hatlas.wait_answer("teams", "one")
    atlas.put_host("teams", two.port)
    hatlas.wait_who("teams", {"one", "two"})


def binds_too(service, port):
    """A line that hatlas.yaml has for the service, and the template does not know."""
    return {"overrides": {service: {"haproxy": [f"bind 127.0.0.1:{port}"]}}}


def test_master_socket_mode_notices_a_failed_reload(hatlas, haproxy, atlas, source,
                                                    backend, tmp_path):
    """A port that somebody else holds passes haproxy -c and fails the reload: the files
    are put back and the old worker serves on."""
    atlas.put_host("teams", backend("one").port)
    taken = backend("somebody else's")
    hatlas.configure(sources=source(), haproxy={"control": "master-socket"},
                     services=binds_too("database", taken.port))
    assert hatlas.command("render", "--write", "--order", "node").returncode == 0
    haproxy(hatlas.config, hatlas.master_socket)
    hatlas.wait_answer("teams", "one")
    hatlas.run()
    hatlas.wait_log("first catalog")
    text = hatlas.config.read_text()
    atlas.put_service("database", mode="tcp", port=parts.free_port())
    hatlas.wait_log("level=error")
    parts.wait_for(lambda: hatlas.config.read_text() == text, "the old file")
    hatlas.wait_answer("teams", "one")
    atlas.remove_service("database")
    atlas.put_host("buckets", backend("two").port)
    hatlas.wait_answer("buckets", "two")


def test_supervise_rolls_a_failed_reload_back(hatlas, atlas, source, backend):
    """The same in supervise mode, where HAProxy's own words are at hand."""
    atlas.put_host("teams", backend("one").port)
    taken = backend("somebody else's")
    hatlas.configure(sources=source(), services=binds_too("database", taken.port)).run()
    hatlas.wait_log("msg=applied")
    text, masters = hatlas.config.read_text(), hatlas.masters()
    atlas.put_service("database", mode="tcp", port=parts.free_port())
    line = hatlas.wait_log("the old files are in place again")
    assert "level=error" in line and f"127.0.0.1:{taken.port}" in line, line
    assert hatlas.config.read_text() == text
    assert str(taken.port) in hatlas.config.with_name("haproxy.cfg.rejected").read_text()
    assert hatlas.get("teams").body == "one"
    assert hatlas.masters() == masters
    atlas.remove_service("database")
    atlas.put_host("buckets", backend("two").port)
    hatlas.wait_answer("buckets", "two")
    parts.wait_for(lambda: leftovers(hatlas) == [], "the end of the apply")


def test_port_that_another_program_holds(hatlas, atlas, source, backend):
    """A tcp service that can't have its port is left out, named, and tried again. All else
    goes on, without a request that fails: HAProxy never sees that port."""
    one, two, foreign = backend("one"), backend("two"), backend("somebody else's")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    answers, done = [], threading.Event()

    def load():
        while not done.is_set():
            answers.append(hatlas.get("teams").status)
    loader = threading.Thread(target=load)
    loader.start()
    atlas.put_service("database", mode="tcp", port=foreign.port)
    atlas.put_host("database", one.port)
    line = hatlas.wait_log("another program holds")
    assert "where=database" in line and f"127.0.0.1:{foreign.port}" in line, line
    atlas.put_host("teams", two.port)
    hatlas.wait_who("teams", {"one", "two"})
    atlas.put_host("buckets", two.port)
    hatlas.wait_answer("buckets", "two")
    assert f"database can't have port {foreign.port}" in hatlas.config.read_text()
    foreign.close()
    parts.wait_for(lambda: f"bind 127.0.0.1:{foreign.port}\n" in hatlas.config.read_text(),
                   "the service")
    hatlas.wait_log('msg="problem gone"')
    done.set()
    loader.join()
    assert set(answers) == {200}
    assert hatlas.count("the reload failed; the old files are in place again") == 0


def test_command_mode(hatlas, haproxy, atlas, source, backend, tmp_path):
    """Any command reloads; here one that signals the master as an init system would."""
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    pid_file = tmp_path / "pid"
    hatlas.configure(sources=source(), haproxy={
        "control": "command",
        "command": ["sh", "-c", f"kill -USR2 $(cat {pid_file}) && echo x >>{tmp_path}/ran"]})
    assert hatlas.command("render", "--write", "--order", "node").returncode == 0
    process = haproxy(hatlas.config, hatlas.master_socket)
    pid_file.write_text(str(process.pid))
    hatlas.wait_answer("teams", "one")
    hatlas.run()
    hatlas.wait_log("first catalog")
    atlas.put_host("buckets", two.port)
    hatlas.wait_answer("buckets", "two")
    parts.wait_for(lambda: (tmp_path / "ran").exists(), "the command")
    assert (tmp_path / "ran").read_text() == "x\n"


def test_command_mode_that_fails(hatlas, atlas, source, backend):
    """What the command said is in the log; hatlas goes on."""
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source(), haproxy={
        "control": "command", "command": ["sh", "-c", "echo no such unit >&2; exit 3"]})
    hatlas.run()
    line = hatlas.wait_log("no such unit")
    assert "level=error" in line
    assert hatlas.running()
    assert hatlas.stop() == 0
