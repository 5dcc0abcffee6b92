"""Every command of the recipes in examples/README.md, in their order."""
import json
import os
import pathlib
import re
import subprocess

import parts

README = parts.SOURCE / "examples/README.md"

# Where a block stands, and what is true after it.
CHECKS = {
    "A new service": lambda at: at("show", "--json", "teams")["services"]["teams"]["config"] == {
        "DB_URL": "postgres://db/teams"},
    "A new version, host by host": lambda at: "drain" not in json.dumps(at("show", "--json",
                                                                           "teams")),
    "Reboot a host": lambda at: [host["state"] for host in at(
        "ls", "-l", "--json", "teams")["services"][0]["hosts"]] == ["enabled"] * 2,
    "Move a service between realms": lambda at: at(
        "ls", "--json", "--realm", "production")["services"][0]["host_count"] == 2,
    "Backup, review, restore": lambda at: at("ls", "--json")["services"] == [],
    "A service that announces itself": lambda at: at("ls", "--json")["services"] == [
        {"name": "teams", "mode": "http", "host_count": 0, "enabled": 0}],
}


# Answers three checks, of which two make it announced, and ends.
SERVER = """
import http.server, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
for _ in range(3):
    server.handle_request()
"""


def recipes():
    """(title, commands of all its blocks) in order."""
    text = README.read_text().split("## Recipes")[1]
    for section in text.split("\n### ")[1:]:
        blocks = re.findall(r"```sh\n(.*?)```", section, re.S)
        if blocks:
            yield section.split("\n")[0], "\n".join(blocks)


def program(folder, name, text):
    path = pathlib.Path(folder) / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


def test_recipes(hatlas, atlas, source, tmp_path):
    hatlas.configure(sources=source(), guard={"empty_service": "allow", "max_loss": "100%"},
                     node={"name": "127.0.0.1"})
    tools = tmp_path / "tools"
    tools.mkdir()
    done = tmp_path / "done"
    program(tools, "ssh", f'echo "$@" >> {done}\n')
    program(tools, "sleep", "")
    port = parts.free_port()
    program(hatlas.folder, "teams-server", f"exec /usr/bin/python3 -c '{SERVER}' {port}\n")
    (tools / "hatlas").symlink_to(hatlas.binary)
    env = hatlas.variables({"HATLAS_CONFIG": str(hatlas.file),
                            "PATH": f"{tools}:{os.environ['PATH']}"})

    def at(*arguments):
        return json.loads(hatlas.command(*arguments).stdout)
    hatlas.run()
    titles = []
    for title, script in recipes():
        script = script.replace("--port 8080", f"--port {port}")
        ran = subprocess.run(["sh", "-euc", script], cwd=hatlas.folder, env=env, text=True,
                             capture_output=True, timeout=300)
        assert ran.returncode == 0, (title, ran.stdout, ran.stderr)
        assert CHECKS[title](at), (title, ran.stdout, ran.stderr)
        assert title != "A service that announces itself" or "msg=announced" in ran.stderr
        titles.append(title)
    assert titles == list(CHECKS)
    assert done.read_text().splitlines() == [
        "host-001 sudo systemctl restart teams", "host-002 sudo systemctl restart teams",
        "host-001 sudo reboot"]
    assert "backend" in (hatlas.folder / "out/haproxy.cfg").read_text()


def test_every_command_that_is_named_exists():
    """Also those in the text."""
    listed = subprocess.run([parts.BINARY, "--help"], text=True, capture_output=True,
                            check=True).stdout
    for command in re.findall(r"`hatlas ([a-z]+)", README.read_text()):
        assert re.search(rf"^  {command} ", listed, re.M), command
