"""Hosts that are names: known, unknown, and moving. Unknown ones never stop HAProxy."""
import contextlib
import socket
import struct
import subprocess
import threading

import pytest

import parts
import smart


class Names:
    """A DNS server that knows some names and denies all others."""

    def __init__(self, **known):
        self.known, self.asked = known, set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                question, peer = self.socket.recvfrom(4096)
                self.socket.sendto(self._answer(question), peer)

    def _answer(self, question):
        """A header, the question as it came, and perhaps one A record."""
        labels, at = [], 12
        while size := question[at]:
            labels.append(question[at + 1:at + 1 + size].decode())
            at += size + 1
        kind, = struct.unpack_from(">H", question, at + 1)
        name = labels[0]
        self.asked.add(name)
        address = self.known.get(name) if kind == 1 else None
        header = struct.pack(">HHHHHH", *struct.unpack_from(">H", question),
                             0x8180 if name in self.known else 0x8183, 1,
                             bool(address), 0, 0)
        record = b""
        if address:
            record = (b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4)
                      + socket.inet_aton(address))
        return header + question[12:at + 5] + record

    def close(self):
        self.socket.close()


@pytest.fixture
def side(tmp_path):
    side = smart.Sidecar(tmp_path)
    yield side
    side.close()


def warnings(side):
    """What HAProxy has to say about the config in place."""
    done = subprocess.run(["haproxy", "-c", "-f", str(side.config)], text=True,
                          capture_output=True, timeout=parts.DEADLINE, check=True)
    return [line for line in (done.stdout + done.stderr).splitlines()
            if "WARNING" in line or "could not resolve" in line]  # 3.0: a notice


def named(host, name):
    return host.record(host=f"{name}.test")


def test_names_that_are_looked_up_later(side):
    """The config is good and without a warning whether names are known or not, and what
    becomes of a name is followed without a reload."""
    names = Names(known="127.0.0.1", moving="127.0.0.9")
    side.closing.append(names)
    one, two, three = side.host("one"), side.host("two"), side.host("three")
    side.services = {
        "known": {"hosts": [named(one, "known")]},
        "mixed": {"hosts": [named(one, "unknown"), two.record()]},
        "unknown": {"hosts": [named(one, "unknown")]},
        "moving": {"check": {"interval": "100ms", "rise": 1, "fall": 1},
                   "hosts": [named(three, "moving")]},
    }
    side.serve(haproxy={"resolve": "later", "nameserver": names.address})
    assert warnings(side) == []
    side.wait_answer("known", "one")
    assert side.who("mixed") == {"two"}
    parts.wait_for(lambda: "unknown" in names.asked, "a question")
    assert side.get("unknown").json() == {"error": "no host up", "service": "unknown",
                                          "hosts": 1, "hosts_up": 0}
    reloads = side.reloads()
    names.known |= {"moving": "127.0.0.1", "unknown": "127.0.0.1"}
    side.wait_answer("moving", "three")
    side.wait_answer("unknown", "one")
    assert side.reloads() == reloads


def test_names_that_are_looked_up_at_the_start_and_always(side):
    names = Names(moving="127.0.0.1")
    side.closing.append(names)
    one = side.host("one")
    side.services = {"moving": {"hosts": [named(one, "moving")]}}
    side.serve(haproxy={"resolve": "dns", "nameserver": names.address})
    side.wait_answer("moving", "one")
    assert len(warnings(side)) == 1  # by the system's way .test is never known


def test_unknown_name_at_the_start_is_a_warning(side):
    side.services = {"unknown": {"hosts": [{"host": "unknown.invalid", "port": 80}]}}
    side.serve()
    assert side.get("unknown").status == 503
    assert len(warnings(side)) == 1
