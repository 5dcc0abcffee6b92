"""What the processes that hatlas starts get from it: nothing but standard input, output and
error."""
import json
import os
import signal
import socket

import parts

# A program that notes its name and open descriptors, and becomes another one.
NOTE = """#!/usr/bin/python3
import json, os, sys
def target(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return None  # of the folder that was listed
files = {fd: target(fd) for fd in os.listdir("/proc/self/fd")}
with open("%(log)s", "a") as log:
    print(json.dumps([sys.argv[1:], {fd: to for fd, to in files.items() if to}]), file=log)
os.execvp("%(program)s", ["%(program)s", *sys.argv[1:]])
"""


class Noted:
    def __init__(self, folder, program):
        self.path, self.log = folder / f"note-{program}", folder / f"noted-{program}"
        self.path.write_text(NOTE % {"log": self.log, "program": program})
        self.path.chmod(0o755)

    def starts(self, *words):
        """The descriptors of each start with these among the arguments."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        noted = [json.loads(line) for line in lines if line.endswith("]")]
        return [files for arguments, files in noted if set(words) <= set(arguments)]

    def wait(self, count, *words):
        parts.wait_for(lambda: len(self.starts(*words)) >= count, f"{count} × {words}")
        return self.starts(*words)


def are_standard(files):
    return set(files) == {"0", "1", "2"} and files["0"] == "/dev/null"


def test_haproxy(hatlas, atlas, source, backend, tmp_path):
    """Its start, its start anew while everything else of hatlas is open, and every check."""
    haproxy = Noted(tmp_path, "haproxy")
    one = backend("one")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source(), haproxy={"binary": str(haproxy.path)}).run()
    hatlas.wait_answer("teams", "one")
    with socket.create_connection(("127.0.0.1", hatlas.status_port)):
        os.kill(hatlas.masters()[0], signal.SIGKILL)
        starts = haproxy.wait(2, "-W")
        hatlas.wait_answer("teams", "one")
        atlas.put_service("more")
        checks = haproxy.wait(2, "-c")
    assert all(are_standard(files) for files in starts + checks), starts + checks


def test_commands(hatlas, atlas, source, backend, tmp_path):
    """What reloads an HAProxy of somebody else, and what follows a file."""
    true = Noted(tmp_path, "true")
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "names").write_text("{{ #services }}\n")
    settings = hatlas.settings()
    settings["outputs"].append({"template": "names", "path": str(hatlas.out / "names"),
                                "on_change": [str(true.path), "changed"]})
    hatlas.configure(sources=source(), outputs=settings["outputs"],
                     templates=[str(templates)],
                     haproxy={"control": "command", "command": [str(true.path), "reload"]})
    atlas.put_host("teams", backend("one").port)
    hatlas.run()
    hatlas.wait_log("first catalog")
    atlas.put_service("more")
    starts = true.wait(1, "reload") + true.wait(2, "changed")
    assert all(are_standard(files) for files in starts), starts


def test_announced_command(hatlas, atlas, source, tmp_path):
    true, sleep = Noted(tmp_path, "true"), Noted(tmp_path, "sleep")
    hatlas.configure(sources=source())
    done = hatlas.command("announce", "--service", "teams", "--port", "80", "--interval",
                          "50ms", "--check", f"exec:{true.path} check", "--", str(sleep.path),
                          "1")
    assert done.returncode == 0
    starts = true.wait(2, "check") + sleep.wait(1, "1")
    assert all(are_standard(files) for files in starts), starts
