"""Settings read again, and what systemd is told."""
import signal
import socket

import pytest

import parts


def answers_to(hatlas, header):
    return hatlas.get(None, headers={header: "teams"}).body


def test_sighup_takes_up_settings(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    routing = {"header": "X-Other", "bind": f"127.0.0.1:{hatlas.port}"}
    hatlas.configure(sources=source(), routing=routing)
    hatlas.send(signal.SIGHUP)
    hatlas.wait_log("settings and templates were read again")
    parts.wait_for(lambda: answers_to(hatlas, "X-Other") == "one", "the new header")
    atlas.put_host("late", backend("two").port)
    parts.wait_for(lambda: hatlas.get(None, headers={"X-Other": "late"}).body == "two",
                   "changes of the registry after SIGHUP")


def test_sighup_with_another_source(hatlas, atlas, source, backend, cluster):
    """The new source is taken up once it has answered; until then the old one serves."""
    atlas.put_host("teams", backend("one").port)
    file = cluster("services: {}\n")
    file.unlink()
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    hatlas.configure(sources=[{"file": str(file)}])
    hatlas.send(signal.SIGHUP)
    atlas.put_host("more", backend("more").port)
    hatlas.wait_answer("more", "more")
    cluster("services: {teams: {hosts: [{host: 127.0.0.1, port: %d}]}, more: {hosts: "
            "[{host: 127.0.0.1, port: 1}]}}" % backend("two").port)
    hatlas.wait_log("settings and templates were read again")
    hatlas.wait_answer("teams", "two")


@pytest.mark.parametrize("text, words", [
    ("realm: [", "hatlas.yaml:2:1"),
    ("ouputs: []", "did you mean 'outputs'"),
    ('{"haproxy": {"binary": "/nowhere"}}', "need a restart"),
])
def test_sighup_with_bad_settings_changes_nothing(hatlas, atlas, source, backend, text,
                                                  words):
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    hatlas.file.write_text(text)
    hatlas.send(signal.SIGHUP)
    hatlas.wait_log(words)
    hatlas.wait_log("old ones stay")
    atlas.put_host("teams", two.port)
    hatlas.wait_who("teams", {"one", "two"})


class Listener:
    """Plays systemd: a datagram socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(parts.DEADLINE)

    def wait(self, word):
        def came():
            lines = self.socket.recv(4096).decode().splitlines()
            return any(line.startswith(word) for line in lines) and lines
        return parts.wait_for(came, f"{word} for systemd")


def test_systemd_is_told(hatlas, atlas, source, tmp_path, monkeypatch):
    listener = Listener(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    atlas.put_service("teams")
    hatlas.configure(sources=source()).run()
    assert listener.wait("STATUS=") == ["STATUS=1 services, 0 hosts"]
    listener.wait("READY=1")
    assert hatlas.config.exists(), "ready means that the config is in place"
    listener.wait("WATCHDOG=1")
    hatlas.send(signal.SIGHUP)
    lines = listener.wait("RELOADING=1")
    assert any(line.startswith("MONOTONIC_USEC=") for line in lines)
    listener.wait("READY=1")
    hatlas.send(signal.SIGTERM)
    listener.wait("STOPPING=1")
    listener.socket.close()
