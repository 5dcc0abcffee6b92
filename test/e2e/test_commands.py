"""The one-shot commands: what they print, what they touch, how they end."""
import json
import os
import pty
import select
import subprocess

import pytest

import haproxy_config
import parts

CLUSTER = """\
services:
  buckets:
    hosts:
      - {host: 127.0.0.1, port: 8002}
  teams:
    balance: leastconn
    hosts:
      - {host: 127.0.0.1, port: 8001}
      - {host: 127.0.0.1, port: 8000, enabled: false}
"""


@pytest.fixture
def ready(hatlas, cluster):
    """A hatlas whose services come from a file."""
    path = cluster(CLUSTER)
    return hatlas.configure(sources=[{"file": str(path)}])


@pytest.fixture
def templates(tmp_path):
    """Writes templates that override the shipped ones."""
    folder = tmp_path / "templates"
    folder.mkdir()

    def write(name, text):
        (folder / name).write_text(text)
        return str(folder)
    return write


COMMANDS = [(["render"], 0, "backend teams"), (["diff"], 1, "+backend teams"),
            (["check"], 0, "1 services"),
            (["run", "--dry-run", "--once"], 0, "+backend teams")]


@pytest.mark.parametrize("arguments, code, output", COMMANDS, ids=lambda v: str(v)[:20])
@pytest.mark.parametrize("kind", ["file", "zookeeper"])
def test_source_without_settings(hatlas, atlas, zookeeper, cluster, arguments, code, output,
                                 kind):
    """All four commands work with --source and no settings; --config names the file."""
    atlas.put_host("teams", 8001)
    path = cluster("services: {teams: {hosts: [{host: 127.0.0.1, port: 8001}]}}\n")
    source = {"file": f"file:{path}",
              "zookeeper": f"zookeeper:{zookeeper.address}{atlas.root}"}[kind]
    outputs = json.dumps([{"template": "haproxy.cfg", "path": str(hatlas.config)}])
    hatlas.file.write_text(f"outputs: {outputs}\n")
    done = hatlas.command(*arguments, "--source", source, "--realm", "testing")
    assert (done.returncode, output in done.stdout) == (code, True), done.stdout + done.stderr
    assert list(hatlas.out.iterdir()) == []


def test_defaults_work_with_no_settings_at_all(hatlas, cluster):
    path = cluster(CLUSTER)
    for arguments, codes in ((["render"], (0,)), (["check"], (0,)), (["diff"], (0, 1)),
                             (["run", "--dry-run", "--once"], (0,))):
        done = hatlas.command(*arguments, "--source", f"file:{path}", config=False,
                              HATLAS_CONFIG="")
        assert done.returncode in codes, done.stderr


# --- render


def test_render_needs_no_server_and_no_settings(hatlas, cluster):
    path = cluster(CLUSTER)
    done = hatlas.command("render", "--source", f"file:{path}", config=False,
                          HATLAS_CONFIG="")
    assert done.returncode == 0, done.stderr
    sections = haproxy_config.parse(done.stdout)
    assert ("backend", "teams") in haproxy_config.names(sections)


def test_render_prints_the_first_output(ready, tmp_path):
    before = parts.tree(ready.folder)
    done = ready.command("render")
    assert (done.returncode, done.stderr) == (0, "")
    assert parts.tree(ready.folder) == before
    sections = haproxy_config.parse(done.stdout)
    backends = [name for keyword, name in haproxy_config.names(sections)
                if keyword == "backend" and name in ("buckets", "teams")]
    assert backends == ["buckets", "teams"]
    assert set(haproxy_config.servers(sections, "teams")) == {"127.0.0.1:8000",
                                                              "127.0.0.1:8001"}
    (tmp_path / "a.cfg").write_text(done.stdout)
    done = ready.command("render", "--template", "services.map")
    (tmp_path / "services.map").write_text(done.stdout)
    accepted, message = parts.haproxy_accepts(tmp_path / "a.cfg")
    assert accepted, message


def test_render_gives_the_same_bytes_each_time(ready):
    assert ready.command("render").stdout == ready.command("render").stdout


def test_render_orders_hosts_alike_on_every_node(ready):
    def order(*arguments):
        outputs = set()
        for node in ("a", "b", "c", "d", "e", "f", "g", "h"):
            done = ready.command("render", *arguments, HATLAS_NODE_NAME=node)
            servers = haproxy_config.servers(haproxy_config.parse(done.stdout), "teams")
            outputs.add(tuple(servers))
        return outputs
    assert order() == {("127.0.0.1:8000", "127.0.0.1:8001")}
    assert len(order("--order", "node")) == 2


def test_render_from_zookeeper(hatlas, zookeeper, atlas):
    atlas.put_host("teams", 8001)
    done = hatlas.command("render", "--source",
                          f"zookeeper:{zookeeper.address}{atlas.root}", "--realm",
                          "testing", config=False)
    assert done.returncode == 0, done.stderr
    sections = haproxy_config.parse(done.stdout)
    assert haproxy_config.servers(sections, "teams")["127.0.0.1:8001"]


def test_render_says_who_did_not_answer(hatlas):
    port = parts.free_port()
    done = hatlas.command("render", "--source", f"zookeeper:127.0.0.1:{port}/atlas",
                          "--timeout", "500ms", config=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"127.0.0.1:{port}" in done.stderr


def test_render_template(ready, templates):
    ready.configure(sources=[{"file": str(ready.folder.parent / "cluster.yaml")}],
                    templates=[templates("names", "% for _, s in ipairs(services) do\n"
                                                  "{{ s.name }}\n% end\n")])
    done = ready.command("render", "--template", "names")
    assert (done.returncode, done.stdout) == (0, "buckets\nteams\n")


def test_render_output_dir(ready, tmp_path):
    target = tmp_path / "there" / "deep"
    done = ready.command("render", "--output-dir", str(target))
    assert (done.returncode, done.stdout) == (0, "")
    assert sorted(os.listdir(target)) == ["haproxy.cfg", "services.map"]
    assert (target / "haproxy.cfg").read_text() == ready.command("render").stdout
    assert list(ready.out.iterdir()) == []


def test_render_write(ready):
    done = ready.command("render", "--write")
    assert (done.returncode, done.stdout) == (0, "")
    assert sorted(os.listdir(ready.out)) == ["haproxy.cfg", "services.map"]
    haproxy_config.parse(ready.config.read_text())


def test_render_check(ready, templates):
    assert ready.command("render", "--check").returncode == 0
    folder = templates("haproxy.cfg", "frontend f\n    bnid 127.0.0.1:1\n")
    ready.configure(sources=[{"file": str(ready.folder.parent / "cluster.yaml")}],
                    templates=[folder])
    assert ready.command("render").returncode == 0
    done = ready.command("render", "--check", "--write")
    assert done.returncode == 2
    assert "bnid" in done.stderr
    assert list(ready.out.iterdir()) == [], "a refused config must not be written"


@pytest.mark.parametrize("text, place, why", [
    ("a\n{{ nothing }}\n", "broken:2", "nothing"),
    ("a\nb\n% if true then\nc\n", "broken:", "end"),
    ("{{ 1 + }}\n", "broken:1", ""),
    ("a\n{{ raw('x\\ny') }}\n", "broken:2", ""),
    ("a\n% while true do\n% end\n", "broken:", ""),
    ("% local s = 'x'\n% while true do s = s .. s end\n", "broken:", "memory"),
    ("a\n\n{{ services[1].nothing }}\n", "broken:3", "nothing"),
    ("a\n% os.exit(0)\n", "broken:2", "os"),
    ("a\n% io.open('/etc/passwd')\n", "broken:2", "io"),
    ("a\n% load('x')()\n", "broken:2", "load"),
    ("{{ include('nowhere') }}\n", "broken:1", "nowhere"),
    ("% include('broken')\n", "broken:1", ""),
    ("% error('on purpose')\n", "broken:1", "on purpose"),
    ("% services[1].name = 'x'\n", "broken:1", ""),
], ids=range(14))
def test_template_errors_name_template_and_line(ready, templates, text, place, why):
    ready.configure(sources=[{"file": str(ready.folder.parent / "cluster.yaml")}],
                    templates=[templates("broken", text)])
    done = ready.command("render", "--template", "broken")
    assert (done.returncode, done.stdout) == (2, "")
    assert place in done.stderr and why in done.stderr, done.stderr


def test_template_that_is_not_there(ready):
    done = ready.command("render", "--template", "nowhere.cfg")
    assert done.returncode == 2 and "nowhere.cfg" in done.stderr


def test_render_names_bad_records_and_goes_on(hatlas, cluster):
    path = cluster(CLUSTER + "      - {host: 'bad host', port: 1}\n")
    done = hatlas.command("render", "--source", f"file:{path}", config=False)
    assert done.returncode == 0
    assert f"{path}:10:" in done.stderr
    assert "8001" in done.stdout
    done = hatlas.command("render", "--strict", "--source", f"file:{path}", config=False)
    assert (done.returncode, done.stdout) == (2, "")


# --- diff


def test_diff_none_some_error(ready):
    done = ready.command("diff")
    assert done.returncode == 1
    assert "+backend teams" in done.stdout
    assert ready.command("run", "--once", ).returncode == 0
    done = ready.command("diff")
    assert (done.returncode, done.stdout) == (0, "")
    text = ready.config.read_text()
    ready.config.write_text(text.replace("127.0.0.1:8001", "127.0.0.1:8009", 1))
    done = ready.command("diff")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert any(line.startswith("-") and "8009" in line for line in lines)
    assert any(line.startswith("+") and "8001" in line for line in lines)
    assert lines[0].startswith("---") and str(ready.config) in lines[0]
    done = ready.command("diff", "--source", "file:/nowhere.yaml", "--timeout", "500ms")
    assert done.returncode == 2 and "/nowhere.yaml" in done.stderr


def test_diff_after_render_write(ready):
    """Who writes and then asks for the difference must hear that there is none."""
    assert ready.command("render", "--write", "--order", "node").returncode == 0
    done = ready.command("diff")
    assert (done.returncode, done.stdout) == (0, "")


def test_diff_touches_nothing(ready, tmp_path):
    ready.command("render", "--write")
    ready.config.write_text("old\n")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    before = parts.tree(ready.folder), parts.tree(scratch)
    assert ready.command("diff", TMPDIR=str(scratch)).returncode == 1
    after = parts.tree(ready.folder), parts.tree(scratch)
    assert before == after


def test_external_diff(ready, tmp_path):
    """The command is given two folders, as kubectl does it; its exit code counts."""
    tool = tmp_path / "tool"
    tool.write_text('#!/bin/sh\necho "option $1"\ndiff -r -q "$2" "$3"\n')
    tool.chmod(0o755)
    done = ready.command("diff", HATLAS_EXTERNAL_DIFF=f"{tool} --brief")
    assert done.returncode == 1
    assert done.stdout.startswith("option --brief\n")
    tool.write_text("#!/bin/sh\nexit 7\n")
    assert ready.command("diff", HATLAS_EXTERNAL_DIFF=str(tool)).returncode == 2
    done = ready.command("diff", HATLAS_EXTERNAL_DIFF="/no/such/tool")
    assert done.returncode == 2 and "/no/such/tool" in done.stderr


def test_diff_is_coloured_on_a_terminal_only(ready):
    assert "\x1b[" not in ready.command("diff").stdout
    near, far = pty.openpty()
    process = subprocess.Popen([ready.binary, "diff", "--config", str(ready.file)],
                               stdout=far, stdin=subprocess.DEVNULL)
    os.close(far)
    text = b""
    while select.select([near], [], [], parts.DEADLINE)[0]:
        try:
            part = os.read(near, 65536)
        except OSError:
            break
        if not part:
            break
        text += part
    assert process.wait() == 1
    os.close(near)
    assert b"\x1b[32m+backend teams" in text


# --- check


def test_check_is_content(ready):
    before = parts.tree(ready.folder)
    done = ready.command("check")
    assert done.returncode == 0, done.stderr
    assert parts.tree(ready.folder) == before


def test_check_says_all_faults_of_the_settings(hatlas):
    hatlas.file.write_text("realm: testing\n"
                           "routnig: {header: X}\n"
                           "apply:\n"
                           "  coalesce: 5 minutes\n"
                           "  max_wait: [1]\n"
                           "haproxy: {control: sometimes}\n")
    done = hatlas.command("check")
    assert done.returncode == 2
    for place, word in (("2:1", "routing"), ("4:3", "5 minutes"), ("5:3", "max_wait"),
                        ("6:11", "supervise")):
        lines = [line for line in done.stderr.splitlines()
                 if line.startswith(f"{hatlas.file}:{place}:")]
        assert len(lines) == 1 and word in lines[0], (place, done.stderr)


def test_check_says_faults_of_registry_and_templates_at_once(hatlas, cluster, templates):
    path = cluster(CLUSTER + "      - {host: 'bad host', port: 1}\n"
                             "      - {host: h, port: 99999}\n")
    folder = templates("one", "{{ nothing }}\n")
    templates("two", "a\n{{ nothing }}\n")
    hatlas.configure(sources=[{"file": str(path)}], templates=[folder], outputs=[
        {"template": "one", "path": str(hatlas.out / "one")},
        {"template": "two", "path": str(hatlas.out / "two")}])
    done = hatlas.command("check")
    assert done.returncode == 2
    for place in (f"{path}:10:", f"{path}:11:", "one:1", "two:2"):
        assert place in done.stderr, done.stderr


def test_check_asks_haproxy(ready, templates):
    folder = templates("haproxy.cfg", "frontend f\n    bnid 127.0.0.1:1\n")
    ready.configure(sources=[{"file": str(ready.folder.parent / "cluster.yaml")}],
                    templates=[folder])
    done = ready.command("check")
    assert done.returncode == 2 and "bnid" in done.stderr
    assert str(ready.config) in done.stderr


def test_check_finds_the_examples_good(hatlas):
    examples = parts.SOURCE / "examples"
    done = hatlas.command("check", "--config", str(examples / "hatlas.yaml"), "--source",
                          f"file:{examples}/cluster.yaml", config=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- run --once, run --dry-run


def test_run_once_writes_and_leaves(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source(), haproxy={"control": "command",
                                                "command": ["true"]})
    done = hatlas.command("run", "--once")
    assert done.returncode == 0, done.stderr
    assert "backend teams" in hatlas.config.read_text()
    stamp = hatlas.config.stat().st_mtime_ns
    assert hatlas.command("run", "--once").returncode == 0
    assert hatlas.config.stat().st_mtime_ns == stamp


def test_run_once_with_a_refused_config_is_an_error(ready, templates):
    folder = templates("haproxy.cfg", "frontend f\n    bnid 127.0.0.1:1\n")
    ready.configure(sources=[{"file": str(ready.folder.parent / "cluster.yaml")}],
                    templates=[folder],
                    haproxy={"control": "command", "command": ["true"]})
    done = ready.command("run", "--once")
    assert done.returncode == 2 and "bnid" in done.stderr
    assert not ready.config.exists()


def test_run_dry_prints_each_diff_and_touches_nothing(hatlas, atlas, source, backend):
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source())
    hatlas.config.write_text("old\n")
    before = parts.tree(hatlas.out)
    hatlas.run("--dry-run")
    hatlas.wait_log("+backend teams")
    atlas.put_host("buckets", two.port)
    parts.wait_for(lambda: hatlas.log_text().count("+backend buckets"), "second diff")
    assert hatlas.log_text().count("+backend teams") == 1, "each diff against the last"
    assert hatlas.stop() == 0
    assert parts.tree(hatlas.out) == before
    assert parts.processes_of(hatlas.folder) == []


# --- flags


def test_help_of_each_command(hatlas):
    for command in ("run", "render", "diff", "check"):
        done = hatlas.command(command, "--help", config=False)
        assert done.returncode == 0
        assert f"hatlas {command}" in done.stdout and "--source" in done.stdout
    assert hatlas.command("--version", config=False).returncode == 0


@pytest.mark.parametrize("arguments, word", [
    (["rendr"], "render"), (["render", "--nothing"], "nothing"), ([], "Usage"),
    (["render", "--source", "ftp:x"], "ftp:x"), (["render", "extra"], "extra"),
    (["render", "--config", "/nowhere.yaml"], "/nowhere.yaml"),
])
def test_wrong_use_is_an_error(hatlas, arguments, word):
    done = hatlas.command(*arguments, config=False)
    assert done.returncode == 2
    assert word in done.stderr + done.stdout


def test_environment_stands_between_file_and_flags(hatlas, cluster):
    path = cluster(CLUSTER)
    hatlas.configure(routing={"header": "X-File"})
    arguments = ("render", "--source", f"file:{path}")
    assert "X-File" in hatlas.command(*arguments).stdout
    assert "X-Env" in hatlas.command(*arguments, HATLAS_ROUTING_HEADER="X-Env").stdout


def test_log_as_json(hatlas, atlas, source):
    hatlas.configure(sources=source(), haproxy={"control": "command",
                                                "command": ["true"]})
    done = hatlas.command("run", "--once", "--log-format", "json", "--log-level", "info")
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines and all({"time", "level", "msg"} <= line.keys() for line in lines)
