"""A registry that takes its time: a terminal shows what is waited for, a log file does not."""
import os
import pty
import socket
import subprocess

import pytest

import parts


@pytest.fixture
def silent():
    """The address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def command(*words, silent):
    return [parts.BINARY, *words, "--source", f"zookeeper:{silent}", "--timeout", "2s"]


def on_terminal(argv):
    """What the command writes to a terminal as its standard error, and its exit code."""
    near, far = pty.openpty()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=far, env=parts.Hatlas.variables()) as process:
        os.close(far)
        said = b""
        try:
            while piece := os.read(near, 4096):
                said += piece
        except OSError:  # the other side is closed
            pass
    os.close(near)
    return said.decode(), process.returncode


@pytest.mark.parametrize("words", [["render"], ["diff"], ["ls"], ["export"]])
def test_on_a_terminal(silent, words):
    said, code = on_terminal(command(*words, silent=silent))
    assert code == 2
    lines = said.split("\r\033[K")
    assert lines[0] == ""
    assert len(lines) >= 3
    assert all(line.startswith(f"zookeeper:{silent}/") for line in lines[1:-1])
    assert lines[-1].startswith("hatlas: ")
    assert "no catalog within 2.0 s" in lines[-1]


def test_not_on_a_terminal(silent):
    done = subprocess.run(command("render", silent=silent), text=True, capture_output=True,
                          check=False, env=parts.Hatlas.variables())
    assert done.returncode == 2
    assert "\033" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
