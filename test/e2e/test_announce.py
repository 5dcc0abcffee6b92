"""hatlas announce: a host stands in the registry exactly while it is well."""
import json
import re
import signal
import subprocess

import pytest
from kazoo.exceptions import NoNodeError

import parts

FAST = ["--interval", "20ms", "--rise", "1", "--fall", "1", "--settle", "0"]


class Announcer:
    """One `hatlas announce` as a process, its log, its znode."""

    def __init__(self, hatlas, atlas, port, arguments, command=()):
        self.atlas, self.path = atlas, atlas.path("services", "teams", "hosts",
                                                  f"127.0.0.1:{port}")
        self.log_file = hatlas.folder / f"log.announce{port}-{id(self)}"
        words = [hatlas.binary, "announce", "--config", str(hatlas.file), "--service",
                 "teams", "--host", "127.0.0.1", "--port", str(port), *arguments]
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                words + (["--", *command] if command else []), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, cwd=hatlas.folder, env=hatlas.variables())

    def record(self):
        try:
            data, stat = self.atlas.client.get(self.path)
        except NoNodeError:
            return None
        assert stat.ephemeralOwner
        return json.loads(data)

    def wait_there(self):
        return parts.wait_for(self.record, "the announced host")

    def wait_gone(self):
        parts.wait_for(lambda: self.record() is None, "the end of the announced host")

    def wait_log(self, text, count=1):
        parts.wait_for(lambda: self.log().count(text) >= count, f"{text!r} in the log")

    def log(self):
        return self.log_file.read_text(errors="replace")

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(parts.DEADLINE)


@pytest.fixture
def announce(hatlas, atlas, source):
    started = []

    def start(port, *arguments, command=(), **more):
        hatlas.configure(sources=source(**more))
        started.append(Announcer(hatlas, atlas, port, arguments, command))
        return started[-1]
    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        print(one.log())
        assert "AddressSanitizer" not in one.log() and "runtime error" not in one.log()


def test_a_record_with_fields_that_ends_with_the_process(announce, atlas):
    """Nothing above the host is there yet."""
    one = announce(8080, "-f", "weight=5", "--field", "labels.rack=r1")
    record = one.wait_there()
    assert record == {"host": "127.0.0.1", "port": 8080, "zone": "here", "weight": 5,
                      "labels": {"rack": "r1"}}
    assert one.stop() == 0
    assert one.record() is None


@pytest.mark.parametrize("kind", ["http", "http-elsewhere", "tcp", "exec"])
def test_checks(announce, backend, tmp_path, kind):
    host = backend("one")
    flag = tmp_path / "well"
    flag.touch()
    check = {"http": "http:/health", "tcp": "tcp", "exec": f"exec:test -e {flag}",
             "http-elsewhere": f"http://127.0.0.1:{host.port}/x?y=1"}[kind]
    port = host.port if kind != "http-elsewhere" else 8080
    one = announce(port, "--check", check, *FAST)
    one.wait_there()
    if kind.startswith("http"):
        method, path, headers = host.requests[0]
        assert (method, path) == ("GET", "/health" if kind == "http" else "/x?y=1")
        assert headers["Host"] == f"127.0.0.1:{host.port}"
        host.status = 503
    elif kind == "tcp":
        host.close()
    else:
        flag.unlink()
    one.wait_gone()
    assert {"tcp": "Connection re", "exec": "exit status 1"}.get(kind, "status 503") in one.log()
    if kind == "exec":
        flag.touch()
        one.wait_there()


def test_a_check_that_hangs_is_a_bad_one(announce, tmp_path):
    flag = tmp_path / "well"
    flag.touch()
    one = announce(8080, "--check", f"exec:test -e {flag} || sleep 1000", "--timeout",
                   "100ms", *FAST)
    one.wait_there()
    flag.unlink()
    one.wait_gone()
    assert "ran too long" in one.log()
    with parts.socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        silent.settimeout(parts.DEADLINE)
        two = announce(silent.getsockname()[1], "--check", "http:/", "--timeout", "50ms",
                       "--rise", "1", "--fall", "1", "--interval", "20ms")
        for _ in range(3):
            assert silent.accept()[0].recv(3) == b"GET"
        assert two.record() is None
        assert two.stop() == 0


def test_what_comes_and_goes_is_held_back(announce, tmp_path):
    """Good and bad in turn: each time it fell again it is held back twice as long."""
    state = tmp_path / "state"
    one = announce(8080, "--check",
                   f"exec:if [ -e {state} ]; then rm {state}; else touch {state}; false; fi",
                   *FAST)
    one.wait_log("it is held back", 4)
    held = [int(ms) for ms in re.findall(r"milliseconds=(\d+)", one.log())]
    assert held[:4] == [40, 80, 160, 320]


def test_rise_and_fall_are_counted(announce, tmp_path):
    log = tmp_path / "checks"
    one = announce(8080, "--check", f"exec:echo x >> {log}", "--interval", "20ms",
                   "--rise", "3")
    one.wait_there()
    assert len(log.read_text().split()) >= 3


CHILD = """
trap 'kill -0 $$ && {hatlas} ls -l --config {config} teams > {seen} 2>&1; exit 7' TERM
trap 'echo hup >> {hups}' HUP
touch {started}
while :; do sleep 0.05; done
"""


def test_a_command_is_stopped_after_the_host_is_taken_off(announce, hatlas, atlas,
                                                          tmp_path):
    atlas.put_host("teams", 1)
    names = {name: tmp_path / name for name in ("seen", "hups", "started")}
    script = CHILD.format(hatlas=hatlas.binary, config=hatlas.file, **names)
    one = announce(8080, "--settle", "10ms", command=["sh", "-c", script])
    one.wait_there()
    parts.wait_for(names["started"].exists, "the command")
    one.process.send_signal(signal.SIGHUP)
    parts.wait_for(names["hups"].exists, "the signal passed on")
    assert one.stop() == 7
    seen = names["seen"].read_text()
    assert "127.0.0.1:1 " in seen and "127.0.0.1:8080" not in seen
    assert one.log().index("no longer announced") < one.log().index("the command ended")


def test_a_command_that_ends_takes_the_host_off(announce):
    one = announce(8080, command=["sh", "-c", "sleep 0.5; exit 4"])
    assert one.process.wait(parts.DEADLINE) == 4
    assert one.record() is None
    one = announce(8080, command=["sh", "-c", "kill -9 $$"])
    assert one.process.wait(parts.DEADLINE) == 128 + 9


def test_a_command_that_does_not_end_is_killed(announce, tmp_path):
    ready = tmp_path / "ready"
    one = announce(8080, "--stop-timeout", "100ms", "--settle", "0",
                   command=["sh", "-c", f"trap '' TERM; touch {ready}; while :; do sleep 1; "
                            "done"])
    parts.wait_for(ready.exists, "the command")
    one.wait_there()
    assert one.stop() == 128 + 9
    assert "is killed" in one.log()


def test_no_command_no_announcement(announce):
    one = announce(8080, command=["/nowhere/server"])
    assert one.process.wait(parts.DEADLINE) == 2
    assert "can't start" in one.log()


# --- the registry


def test_an_expired_session(announce, zookeeper, atlas, wire):
    relay = wire(zookeeper.port)
    one = announce(8080, zookeeper=relay.address)
    one.wait_there()
    owner = atlas.client.get(one.path)[1].ephemeralOwner
    parts.wait_for(lambda: relay.session, "the session's id")
    relay.cut()
    parts.close_session(zookeeper, relay.session, relay.password)
    assert one.record() is None
    relay.mend()
    one.wait_there()
    assert atlas.client.get(one.path)[1].ephemeralOwner != owner


def test_a_drain_survives_the_session(announce, hatlas, zookeeper, wire):
    relay = wire(zookeeper.port)
    one = announce(8080, zookeeper=relay.address)
    one.wait_there()
    session, password = relay.session, relay.password
    assert hatlas.command("drain", "teams", "127.0.0.1").returncode == 0
    one.wait_log("it is kept")
    relay.cut()
    parts.close_session(zookeeper, session, password)
    relay.mend()
    assert one.wait_there()["drain"] is True


def test_zookeeper_killed_and_back(hatlas, own_zookeeper, tmp_path):
    client = own_zookeeper.client()
    atlas = parts.Atlas(client, "/atlas")
    hatlas.configure(sources=[{"zookeeper": own_zookeeper.address, "root": "/atlas"}])
    one = Announcer(hatlas, atlas, 8080, [])
    try:
        one.wait_there()
        own_zookeeper.kill()
        own_zookeeper.start()
        parts.wait_for(lambda: client.connected, "the client's own connection")
        one.wait_there()
        own_zookeeper.kill()
        assert one.stop() == 0
        assert "Sanitizer" not in one.log()
    finally:
        one.process.kill()
        client.stop()
        client.close()


def test_somebody_removes_it(announce, hatlas):
    one = announce(8080)
    one.wait_there()
    assert "until the process that announces it is back" in \
        hatlas.command("detach", "teams", "127.0.0.1:8080").stdout
    one.wait_log("somebody removed")
    one.wait_there()


def test_two_of_one_name(announce, atlas):
    """The second waits until the first is gone; one attached by hand is not taken over."""
    one = announce(8080)
    one.wait_there()
    two = announce(8080)
    two.wait_log("another session announces this host")
    assert one.stop() == 0
    two.wait_there()
    two.wait_log("msg=announced")
    atlas.put_host("teams", 8081)
    three = announce(8081)
    three.wait_log("attached by hand")
    atlas.remove_host("teams", 8081)
    three.wait_there()


def test_import_leaves_the_living(announce, hatlas, atlas, cluster):
    one = announce(8080)
    one.wait_there()
    path = cluster("services: {other: {hosts: []}}\n")
    done = hatlas.command("import", "--prune", str(path))
    assert "teams stays: living processes announce hosts" in done.stdout
    path = cluster("services: {teams: {hosts: []}}\n")
    done = hatlas.command("import", "--prune", str(path))
    assert "127.0.0.1:8080 stays" in done.stdout
    assert one.record()


BAD = [("--port 80", "needs --service"), ("--service teams", "needs --service"),
       ("--service a/b --port 1", "needs --service"),
       ("--service teams --port 0", "--port: expected"),
       ("--service teams --port 1 --check ftp:/", "--check: expected http:/PATH"),
       ("--service teams --port 1 --check http://name:80/", "--check: expected"),
       ("--service teams --port 1 --check exec:", "--check: expected"),
       ("--service teams --port 1 --rise 0", "--rise: expected"),
       ("--service teams --port 1 --interval 1ms", "--interval is at least"),
       ("--service teams --port 1 --settle x", "--settle: expected a duration"),
       ("--service teams --port 1 -f wieght=1", "did you mean 'weight'"),
       ("--service teams --port 1 -f weight=999", "weight: expected"),
       ("--service teams --port 1 --host a_b!", "host: expected")]


@pytest.mark.parametrize("words, text", BAD, ids=[bad[0] for bad in BAD])
def test_bad_input(hatlas, words, text):
    hatlas.configure()
    done = hatlas.command("announce", *words.split())
    assert done.returncode == 2 and text in done.stderr, done.stderr
