"""Changes of hosts reach HAProxy without a reload, and trouble with the Runtime API is
answered by one."""
import glob
import json
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

import parts


def host_id(host):
    return f"127.0.0.1:{host.port}"


def wait_in_file(hatlas, text):
    parts.wait_for(lambda: text in hatlas.config.read_text(), f"{text!r} in the file")


def start(hatlas, source, **more):
    hatlas.configure(sources=source, **more).run()


UNCHECKED = {"check": {"type": "none"}}


def test_no_change_of_hosts_reloads(hatlas, atlas, source, backend):
    one, two, three = backend("one"), backend("two"), backend("three")
    atlas.put_service("teams", **UNCHECKED)
    atlas.put_host("teams", one.port)
    start(hatlas, source())
    hatlas.wait_answer("teams", "one")
    before = hatlas.reloads()
    atlas.put_host("teams", two.port)  # added
    hatlas.wait_who("teams", {"one", "two"})
    atlas.put_host("teams", one.port, enabled=False)  # disabled
    hatlas.wait_who("teams", {"two"})
    atlas.put_host("teams", one.port)  # enabled
    hatlas.wait_who("teams", {"one", "two"})
    atlas.put_host("teams", two.port, drain=True)  # drained
    hatlas.wait_who("teams", {"one"})
    atlas.put_host("teams", two.port, weight=7)  # weight
    hatlas.wait_who("teams", {"one", "two"})
    atlas.put_host("teams", three.port, host_id=host_id(two))  # port
    hatlas.wait_who("teams", {"one", "three"})
    atlas.remove_host("teams", host_id(one))  # removed
    hatlas.wait_who("teams", {"three"})
    atlas.remove_host("teams", host_id(two))  # the last one
    parts.wait_for(lambda: hatlas.get("teams").status == 503, "no host left")
    atlas.put_host("teams", one.port)  # the first one
    hatlas.wait_answer("teams", "one")
    assert hatlas.reloads() == before
    assert hatlas.count("runtime commands failed; HAProxy is reloaded") == 0


def test_the_file_follows(hatlas, atlas, source, backend):
    """What HAProxy was told is in its file soon after, checked; nothing is owed then."""
    one, two = backend("one"), backend("two")
    atlas.put_service("teams", **UNCHECKED)
    atlas.put_host("teams", one.port)
    start(hatlas, source())
    hatlas.wait_answer("teams", "one")
    atlas.put_host("teams", two.port)
    hatlas.wait_who("teams", {"one", "two"})
    wait_in_file(hatlas, host_id(two))
    assert parts.haproxy_accepts(hatlas.config)
    owed = hatlas.config.with_name("haproxy.cfg.reload-owed")
    parts.wait_for(lambda: not owed.exists(), "nothing to be owed")


def test_many_changes_at_once_are_one_reload(hatlas, atlas, source, backend):
    one = backend("one")
    atlas.put_host("teams", one.port)
    start(hatlas, source(), apply={"coalesce": "500ms", "max_wait": "10s"})
    hatlas.wait_answer("teams", "one")
    atlas.put_service("first")  # opens the window
    hatlas.wait_answer("first", 503)
    before = hatlas.reloads()
    for number in range(50):
        atlas.put_host(f"service-{number}", one.port)
    hatlas.wait_answer("service-49", "one")
    assert hatlas.reloads() - before <= 2


def test_reloads_keep_their_distance(hatlas, atlas, source, backend):
    one = backend("one")
    atlas.put_host("teams", one.port)
    start(hatlas, source(), apply={"min_reload_interval": "1h"})
    hatlas.wait_answer("teams", "one")
    before = hatlas.reloads()
    atlas.put_service("other")
    atlas.put_host("teams", backend("two").port)
    hatlas.wait_log('msg="service added"')
    hatlas.send(signal.SIGUSR1)
    hatlas.wait_log("msg=state")
    assert hatlas.reloads() == before
    assert hatlas.get("other").status == 404


@pytest.mark.parametrize("away", [None, {"drain": True}, {"enabled": False}])
def test_first_check_is_not_waited_for_by_the_only_host(hatlas, atlas, source, backend,
                                                        away):
    """While a new host waits for its first check, which takes long here, the others go: it
    must serve before they do."""
    one, two = backend("one"), backend("two", delay=1.5)
    atlas.put_service("teams", check={"path": "/", "interval": "20s"})
    atlas.put_host("teams", one.port)
    start(hatlas, source())
    hatlas.wait_answer("teams", "one")
    atlas.put_host("teams", two.port)
    drained = f'command="set server teams/{host_id(two)} state drain"'
    hatlas.wait_log(drained)
    if away:
        atlas.put_host("teams", one.port, **away)
    else:
        atlas.remove_host("teams", one.port)
    gone = "weight 0" if away == {"drain": True} else "state maint"
    hatlas.wait_log(f'command="set server teams/{host_id(one)} {gone}"')
    commands = re.findall(r'command="set server teams/([^"]*)"', hatlas.log_text())
    assert commands[-3:] == [f"{host_id(two)} state drain", f"{host_id(two)} state ready",
                             f"{host_id(one)} {gone}"]
    assert hatlas.get("teams").body == "two"


def test_runtime_can_be_turned_off(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("one").port)
    start(hatlas, source(), apply={"runtime": False})
    hatlas.wait_answer("teams", "one")
    before = hatlas.reloads()
    atlas.put_host("teams", backend("two").port)
    hatlas.wait_who("teams", {"one", "two"})
    assert hatlas.reloads() > before
    hatlas.wait_log("apply.runtime is off")


def test_map_without_reload(hatlas, atlas, source, backend):
    """An alias is an entry of the map: with routing by map it needs no reload."""
    atlas.put_service("teams", **UNCHECKED)
    atlas.put_host("teams", backend("one").port)
    routing = {"header": "X-Service", "bind": f"127.0.0.1:{hatlas.port}", "mode": "map"}
    start(hatlas, source(), routing=routing)
    hatlas.wait_answer("teams", "one")
    before = hatlas.reloads()
    atlas.put_service("teams", aliases=["squads"], **UNCHECKED)
    hatlas.wait_answer("squads", "one")
    assert hatlas.get("teams").body == "one"
    assert hatlas.reloads() == before


# --- Trouble


def test_hand_made_difference_leads_to_a_reload(hatlas, atlas, source, backend):
    """After commands HAProxy's state is compared with what was planned."""
    one, two = backend("one"), backend("two")
    atlas.put_service("teams", **UNCHECKED)
    atlas.put_host("teams", one.port)
    start(hatlas, source())
    hatlas.wait_answer("teams", "one")
    parts.ask_unix(hatlas.socket, f"set server teams/{host_id(one)} state maint")
    atlas.put_host("teams", two.port)
    hatlas.wait_log("runtime commands failed; HAProxy is reloaded")
    hatlas.wait_who("teams", {"one", "two"})


class Impostor:
    """Listens in place of HAProxy's stats socket."""

    def __init__(self, path, answer):
        path.unlink()
        self.answer, self.open = answer, []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
                self.open.append(connection)
                if self.answer:
                    connection.recv(4096)
                    connection.sendall(self.answer)
                    connection.close()
            except OSError:
                return

    def close(self):
        self.socket.close()


@pytest.mark.parametrize("answer", [b"\x00garbage\xff\n" * 9, b"\n", None])
def test_bad_socket_means_reloads(hatlas, atlas, source, backend, answer):
    """Garbage, nothing or silence (None) on the socket: said, and changes are reloads."""
    one, two = backend("one"), backend("two")
    atlas.put_service("teams", **UNCHECKED)
    atlas.put_host("teams", one.port)
    start(hatlas, source())
    hatlas.wait_answer("teams", "one")
    impostor = Impostor(hatlas.socket, answer)
    atlas.put_host("teams", two.port)
    hatlas.wait_log("Runtime API")
    hatlas.wait_who("teams", {"one", "two"})
    impostor.close()


def test_socket_gone(hatlas, atlas, source, backend):
    """HAProxy does not make its socket again when it is reloaded, only when it starts."""
    atlas.put_service("teams", **UNCHECKED)
    atlas.put_host("teams", backend("one").port)
    start(hatlas, source())
    hatlas.wait_answer("teams", "one")
    hatlas.socket.unlink()
    names = {"one"}
    for name in ("two", "three"):
        atlas.put_host("teams", backend(name).port)
        names.add(name)
        hatlas.wait_who("teams", names)
    assert hatlas.log_text().count("the Runtime API is out of reach; changes") == 1
    os.kill(worker(hatlas), signal.SIGKILL)
    hatlas.wait_log("HAProxy runs")
    atlas.put_host("teams", backend("four").port)
    hatlas.wait_log("the Runtime API answers again")
    hatlas.wait_who("teams", {*names, "four"})


def worker(hatlas):
    return int(re.search(r"^(\d+)\s+worker", hatlas.master("show proc"), re.M).group(1))


def test_worker_killed(hatlas, atlas, source, backend):
    """A supervised HAProxy that dies is back with the same hosts, those included that it
    had learnt by commands."""
    atlas.put_service("teams", **UNCHECKED)
    atlas.put_host("teams", backend("one").port)
    start(hatlas, source())
    hatlas.wait_answer("teams", "one")
    atlas.put_host("teams", backend("two").port)
    hatlas.wait_who("teams", {"one", "two"})
    os.kill(worker(hatlas), signal.SIGKILL)
    hatlas.wait_log("HAProxy is down")
    hatlas.wait_log("HAProxy runs")
    hatlas.wait_who("teams", {"one", "two"})
    atlas.put_host("teams", backend("three").port)
    hatlas.wait_who("teams", {"one", "two", "three"})


def test_haproxy_replaced_under_us(hatlas, atlas, source, backend, haproxy):
    """In the mode master-socket another HAProxy may take the place of the one that was
    told: that is noticed before anything is told to it."""
    atlas.put_service("teams", **UNCHECKED)
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source(), haproxy={"control": "master-socket"})
    assert hatlas.command("render", "--write").returncode == 0
    first = haproxy(hatlas.config, hatlas.master_socket)
    hatlas.run()
    hatlas.wait_answer("teams", "one")
    atlas.put_host("teams", backend("two").port)
    hatlas.wait_who("teams", {"one", "two"})
    wait_in_file(hatlas, "server 127")
    first.terminate()
    first.wait()
    haproxy(hatlas.config, hatlas.master_socket)
    parts.wait_for(lambda: hatlas.get("teams").status == 200, "the other HAProxy")
    atlas.put_host("teams", backend("three").port)
    hatlas.wait_who("teams", {"one", "two", "three"})


def test_reloaded_by_others_between_command_and_file(hatlas, atlas, source, backend):
    """Who reloads HAProxy before the file followed takes a change away from it: hatlas
    brings it back."""
    one, two = backend("one"), backend("two")
    atlas.put_service("teams", **UNCHECKED)
    atlas.put_host("teams", one.port)
    start(hatlas, source())
    hatlas.wait_answer("teams", "one")
    owed = hatlas.config.with_name("haproxy.cfg.reload-owed")

    def taken_away():
        atlas.put_host("teams", two.port)
        parts.wait_for(owed.exists, "commands ahead of the file")
        parts.ask_unix(hatlas.master_socket, "reload")
        parts.wait_for(lambda: not owed.exists(), "the file")
        hatlas.wait_who("teams", {"one", "two"})
        atlas.remove_host("teams", host_id(two))
        hatlas.wait_who("teams", {"one"})
        parts.wait_for(lambda: not owed.exists(), "the file")
        return hatlas.count("HAProxy may have read its old config meanwhile; "
                            "it is reloaded")
    parts.wait_for(taken_away, "a reload in between")


def test_killed_between_command_and_file(hatlas, atlas, source, backend):
    """A hatlas that dies before the file followed leaves a note; the next one reloads."""
    one, two = backend("one"), backend("two")
    atlas.put_service("teams", **UNCHECKED)
    atlas.put_host("teams", one.port)
    start(hatlas, source())
    hatlas.wait_answer("teams", "one")
    owed = hatlas.config.with_name("haproxy.cfg.reload-owed")
    stop = threading.Event()

    def churn():
        weight = 1
        while not stop.is_set():
            weight = weight % 200 + 1
            atlas.put_host("teams", one.port, weight=weight)
    thread = threading.Thread(target=churn)
    thread.start()
    try:
        parts.wait_for(owed.exists, "commands ahead of the file")
        hatlas.kill()
    finally:
        stop.set()
        thread.join()
    assert owed.exists()
    atlas.put_host("teams", two.port)
    atlas.remove_host("teams", host_id(one))
    hatlas.run()
    hatlas.wait_who("teams", {"two"})
    parts.wait_for(lambda: not owed.exists(), "the note to go")


def test_foreign_edit_is_said_and_kept(hatlas, atlas, source, backend):
    atlas.put_service("teams", **UNCHECKED)
    atlas.put_host("teams", backend("one").port)
    start(hatlas, source())
    hatlas.wait_answer("teams", "one")
    edited = hatlas.config.read_text() + "# by hand\n"
    hatlas.config.write_text(edited)
    atlas.put_host("teams", backend("two").port)
    hatlas.wait_log("edited by someone else")
    parts.wait_for(lambda: "# by hand" not in hatlas.config.read_text(), "our file")
    assert hatlas.config.with_name("haproxy.cfg.foreign").read_text() == edited


def test_disk_full(hatlas, atlas, source, backend, tmp_path):
    """The old file stays whole; when there is room again the new one is written."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small]).returncode:
        pytest.skip("a disk that is full takes the right to mount one")
    try:
        one = backend("one")
        atlas.put_service("teams", **UNCHECKED)
        atlas.put_host("teams", one.port)
        outputs = [{"template": "haproxy.cfg", "path": f"{small}/haproxy.cfg"},
                   {"template": "services.map", "path": f"{small}/services.map"}]
        start(hatlas, source(), outputs=outputs)
        hatlas.wait_answer("teams", "one")
        good = (small / "haproxy.cfg").read_bytes()
        with open(small / "filler", "wb", buffering=0) as filler:
            with pytest.raises(OSError):
                while True:
                    filler.write(b"x" * 512)
        atlas.put_service("other")
        hatlas.wait_log("can't write the files")
        assert (small / "haproxy.cfg").read_bytes() == good
        assert hatlas.get("teams").body == "one"
        (small / "filler").unlink()
        hatlas.wait_answer("other", 503)
        hatlas.stop()
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_clock_jumps(hatlas, atlas, source, backend):
    """The wall clock decides nothing: a day forward, a day back."""
    fake = hatlas.folder / "clock"
    fake.write_text("+0\n")
    library = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")[0]
    atlas.put_service("teams", **UNCHECKED)
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source())
    hatlas.run(prefix=["env", f"LD_PRELOAD={library}", f"FAKETIME_TIMESTAMP_FILE={fake}",
                       "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
                       "ASAN_OPTIONS=verify_asan_link_order=0"])
    hatlas.wait_answer("teams", "one")
    for name, jump in [("two", "+1d"), ("three", "-1d"), ("four", "+0")]:
        fake.write_text(jump + "\n")
        atlas.put_host(name, backend(name).port)
        hatlas.wait_answer(name, name)


def test_old_worker_that_does_not_end(hatlas, atlas, source, backend, tmp_path):
    """A client that holds its connection holds the old worker; a template without
    `hard-stop-after` lets it."""
    folder = tmp_path / "templates"
    folder.mkdir()
    shipped = (parts.SOURCE / "templates" / "haproxy.cfg").read_text()
    (folder / "haproxy.cfg").write_text(re.sub(".*hard-stop-after.*", "", shipped))
    slow = backend("slow", delay=10)
    atlas.put_host("teams", slow.port)
    start(hatlas, source(), templates=[str(folder)], haproxy={"hard_stop_after": "1s"})
    parts.wait_for(lambda: hatlas.get(None).status == 404, "HAProxy")
    thread = threading.Thread(target=lambda: hatlas.get("teams"))
    thread.start()
    parts.wait_for(lambda: slow.requests, "the request")
    atlas.put_service("other")  # a reload
    hatlas.wait_log("does not end")
    thread.join()


# --- What is shown and when


def test_diff_says_the_plan(hatlas, backend, cluster):
    """Commands where they suffice, else the reason of the reload; also as JSON."""
    port = backend("one").port
    teams = "services: {teams: {hosts: [{host: 127.0.0.1, port: %d, weight: %d}]}%s}\n"
    file = cluster(teams % (port, 1, ""))
    hatlas.configure(sources=[{"file": str(file)}])
    assert hatlas.command("render", "--write", "--order", "node").returncode == 0
    unchanged = hatlas.command("diff", "--json")
    assert unchanged.returncode == 0
    assert json.loads(unchanged.stdout) == {"plan": "nothing", "files": [], "steps": []}
    cluster(teams % (port, 7, ""))
    shown = hatlas.command("diff")
    assert shown.returncode == 1
    assert f"set server teams/127.0.0.1:{port} weight 7" in shown.stdout
    plan = json.loads(hatlas.command("diff", "--json").stdout)
    assert plan["plan"] == "runtime" and len(plan["steps"]) == 1
    assert plan["files"] == [str(hatlas.config)]
    cluster(teams % (port, 7, ", crews: {}"))
    assert "reload: backend crews: new" in hatlas.command("diff").stdout
    plan = json.loads(hatlas.command("diff", "--json").stdout)
    assert plan["plan"] == "reload" and "crews" in plan["reason"]


def test_dry_run_says_the_plan_of_each_change(hatlas, atlas, source, backend):
    one = backend("one")
    atlas.put_service("teams", **UNCHECKED)
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source()).run("--dry-run")
    hatlas.wait_log("reload: ")
    atlas.put_host("teams", one.port, weight=9)
    hatlas.wait_log(f"set server teams/{host_id(one)} weight 9")
    assert not hatlas.config.exists()


def spread(name):
    """The node's share of the jitter in percent, as FNV-1a gives it."""
    value = 2166136261
    for byte in name.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value % 100


@pytest.mark.parametrize("at_once", [True, False])
def test_reloads_are_spread_over_the_nodes(hatlas, atlas, source, backend, at_once):
    """With jitter even the first reload after a quiet time waits, by the node's name."""
    name = next(name for name in map(str, range(10000))
                if spread(name) == (0 if at_once else 99))
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source(), node={"name": name},
                     apply={"min_reload_interval": "1h", "reload_jitter": "100%"})
    assert hatlas.command("render", "--write", "--order", "node").returncode == 0
    hatlas.run()
    hatlas.wait_answer("teams", "one")
    hatlas.wait_log("first catalog")
    atlas.put_service("other")
    if at_once:
        hatlas.wait_answer("other", 503)
    else:
        hatlas.wait_log('msg="service added"')
        hatlas.send(signal.SIGUSR1)
        hatlas.wait_log("msg=state")
        assert hatlas.get("other").status == 404
