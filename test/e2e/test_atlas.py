"""The commands that keep the Atlas: what they write, what they refuse, what they print."""
import json

import pytest
from kazoo.security import make_acl

import parts


@pytest.fixture
def at(hatlas, atlas, source):
    """Runs a command on the test's own registry; `ok` says whether it must succeed."""
    hatlas.configure(sources=source())

    def run(*arguments, ok=True, **options):
        done = hatlas.command(*arguments, **options)
        assert done.returncode == (0 if ok else 2), done.stdout + done.stderr
        return done.stdout if ok else done.stderr
    run.hatlas, run.atlas = hatlas, atlas
    return run


def record(atlas, *path):
    return json.loads(atlas.client.get(atlas.path(*path))[0])


def host(atlas, service, host_id):
    return record(atlas, "services", service, "hosts", host_id)


def tree(atlas, path=None):
    """All znodes below the registry with their data and versions."""
    path = path or atlas.root
    data, stat = atlas.client.get(path)
    found = {path: (data, stat.version, stat.czxid)}
    for child in atlas.client.get_children(path):
        found.update(tree(atlas, f"{path}/{child}"))
    return found


# --- what they write


def test_a_service_from_its_creation_to_its_end(at, atlas):
    assert at("create", "teams", "balance=leastconn", "check.path=/health",
              "labels.owner.name=red", "aliases=crews,squads") == "teams created\n"
    assert record(atlas, "services", "teams") == {
        "balance": "leastconn", "check": {"path": "/health"},
        "labels": {"owner.name": "red"}, "aliases": ["crews", "squads"]}
    at("attach", "teams", "host-001:8080", "zone=a", "weight=10", "enabled=false")
    assert host(atlas, "teams", "host-001:8080") == {
        "host": "host-001", "port": 8080, "zone": "a", "weight": 10, "enabled": False}
    at("attach", "teams", "[2001:db8::1]:80")
    assert host(atlas, "teams", "2001:db8::1:80") == {"host": "2001:db8::1", "port": 80}
    at("set", "teams", "balance=", "retries=2", "check={\"type\":\"tcp\"}")
    assert record(atlas, "services", "teams")["check"] == {"path": "/health", "type": "tcp"}
    assert "balance" not in record(atlas, "services", "teams")
    at("set", "teams", "host-001", "maxconn=7", "zone=", "labels.rack=r1")
    assert host(atlas, "teams", "host-001:8080") == {
        "host": "host-001", "port": 8080, "weight": 10, "enabled": False, "maxconn": 7,
        "labels": {"rack": "r1"}}
    assert "has 2 hosts" in at("rm", "teams", ok=False)
    at("detach", "teams", "2001:db8::1:80")
    at("config", "set", "teams", "DB=x")
    assert "variables removed" in at("rm", "--recursive", "teams")
    assert atlas.client.get_children(atlas.path("services")) == []
    assert atlas.client.get_children(atlas.path("config")) == []


STATES = [("disable", {"enabled": False}, "disabled"), ("drain", {"drain": True}, "drain"),
          ("enable", {}, "enabled")]


def test_states_of_one_host_in_all_services(at, atlas):
    for service in ("buckets", "teams", "things"):
        atlas.put_host(service, 80, host="host-014", id_kept={"a": [1]})
        atlas.put_host(service, 81, host="host-015")
    for command, fields, state in STATES:
        out = at(command, "--host", "host-014")
        assert out.count("host-014:80") == 3 and "host-015" not in out
        for service in ("buckets", "teams", "things"):
            assert host(atlas, service, "host-014:80") == {
                "host": "host-014", "port": 80, "id_kept": {"a": [1]}, **fields}
            assert host(atlas, service, "host-015:81") == {"host": "host-015", "port": 81}
        listed = json.loads(at("ls", "-l", "--json", "teams"))["services"][0]["hosts"]
        assert [one["state"] for one in listed] == [state, "enabled"]
        if command == "disable":
            at("enable", "t*", "host-014:80")
            assert host(atlas, "teams", "host-014:80") == {
                "host": "host-014", "port": 80, "id_kept": {"a": [1]}}
            assert host(atlas, "buckets", "host-014:80")["enabled"] is False
            at("enable", "--host", "host-014:80")
    at("weight", "t*", "host-01?", "7")
    assert [host(atlas, service, "host-015:81").get("weight")
            for service in ("buckets", "teams", "things")] == [None, 7, 7]
    at("detach", "--host", "host-014")
    assert json.loads(at("ls", "--json"))["services"][0]["host_count"] == 1


def test_a_second_time_changes_nothing(at, atlas):
    commands = [("create", "teams", "retries=1"), ("attach", "teams", "a:1", "zone=z"),
                ("drain", "teams", "a:1"), ("config", "set", "teams", "K=V")]
    for command in commands:
        at(*command)
    at("enable", "teams")
    before = tree(atlas)
    assert "is there already" in at(*commands[0])
    assert "is attached already" in at(*commands[1])
    at("enable", "teams")
    assert "already" in at(*commands[3])
    assert tree(atlas) == before
    assert "with other fields" in at("create", "teams", "retries=2", ok=False)
    assert "with other fields" in at("attach", "teams", "a:1", "zone=y", ok=False)
    assert tree(atlas) == before


def test_dry_run_writes_nothing(at, atlas):
    at("create", "teams")
    at("attach", "teams", "a:1")
    before = tree(atlas)
    for command in (["create", "x"], ["attach", "teams", "b:1"], ["drain", "teams"],
                    ["set", "teams", "retries=1"], ["rm", "-r", "teams"],
                    ["config", "set", "teams", "A=1"], ["weight", "teams", "5"]):
        assert "nothing was written" in at(*command, "--dry-run")
        changes = json.loads(at(*command, "--dry-run", "--json"))
        assert changes["dry_run"] and changes["changes"][-1]["service"] in ("teams", "x")
    assert tree(atlas) == before


def test_the_first_service_of_a_realm(at, atlas):
    at("create", "teams", "--realm", "production")
    at("config", "set", "teams", "A=1", "--realm", "production")
    assert atlas.client.get(f"{atlas.root}/production/config/teams")[0] == b'{"A":"1"}'
    assert at("ls", "--json", "--realm", "testing") == at("ls", "--json")
    assert "teams" in at("ls", "--realm", "production") and "teams" not in at("ls")


# --- what they refuse


BAD = [
    ("create -- -x", "can't be a service's name"),
    ("create a/b", "can't be a service's name"),
    ("create TEAMS", "only in case"),
    ("create new balance=fastest", "balance: expected"),
    ("create new blance=leastconn", "did you mean 'balance'?"),
    ("create new check.pth=/x", "did you mean 'check.path'?"),
    ("create new balance", "expected field=value"),
    ("create new retries=many", "retries: expected a whole number"),
    ("attach teams host-001", "expected HOST:PORT"),
    ("attach teams host-001:0", "expected HOST:PORT"),
    ("attach teams host-001:65536", "expected HOST:PORT"),
    ("attach teams ho_st!:80", "expected HOST:PORT"),
    ("attach teams a:1 weight=257", "weight: expected a whole number from 0 to 256"),
    ("attach teams a:1 wieght=2", "did you mean 'weight'?"),
    ("attach teans a:1", "did you mean 'teams'?"),
    ("attach teams HOST-1:80", "attached already"),
    ("weight teams host-1:80 -- -1", "weight: expected"),
    ("weight teams host-1:80 ten", "weight: expected"),
    ("weight teams", "weight: expected"),
    ("drain teams host-2:80", "did you mean 'host-1:80'?"),
    ("drain --host nowhere", "no host 'nowhere'"),
    ("drain", "expected SERVICE [HOST] or --host HOST"),
    ("drain teams a b", "unexpected argument 'b'"),
    ("detach teams", "expected SERVICE HOST"),
    ("set teams", "expected SERVICE"),
    ("set teams host-1:80 port=0", "port: expected"),
    ("set teams mode=udp", "mode: expected"),
    ("rm nothing", "no service 'nothing'"),
    ("show team", "did you mean 'teams'?"),
    ("ls team", "did you mean 'teams'?"),
    ("config set teams", "expected SERVICE KEY=VALUE"),
    ("config set teams =x", "expected KEY=VALUE"),
    ("config unset teams A=1", "expected KEY"),
    ("config st teams A=1", "did you mean 'set'?"),
    ("config get teams A", "no variable 'A'"),
    ("config get teans", "did you mean 'teams'?"),
    ("drain teams --timeout soon", "expected a duration"),
]


@pytest.fixture(scope="module")
def settled(client, zookeeper, tmp_path_factory):
    """One registry that no test changes."""
    atlas = parts.Atlas(client, "/atlas-settled")
    hatlas = parts.Hatlas(tmp_path_factory.mktemp("settled"))
    hatlas.configure(sources=[{"zookeeper": zookeeper.address, "root": atlas.root}])
    atlas.put_service("teams")
    atlas.put_host("teams", 80, host="host-1")
    return hatlas, atlas


@pytest.mark.parametrize("words, text", BAD, ids=[bad[0] for bad in BAD])
def test_bad_input(settled, words, text):
    hatlas, atlas = settled
    before = tree(atlas)
    done = hatlas.command(*words.split())
    assert done.returncode == 2, done.stdout
    assert text in done.stderr
    assert tree(atlas) == before


def test_a_broken_record_is_not_guessed(at, atlas):
    atlas.put_host("teams", 80)
    path = atlas.put(atlas.path("services", "teams", "hosts", "bad:1"), b"[1]")
    assert "the record is broken" in at("drain", "teams", "bad:1", ok=False)
    assert "expected a JSON object" in at("export", ok=False)
    assert atlas.client.get(path)[0] == b"[1]"
    at("detach", "teams", "bad:1")
    assert "bad:1" not in at("export")


def test_unknown_fields_when_asked_for(at, atlas):
    at("create", "teams", "x-owner=red", "n=5", "--allow-unknown")
    assert record(atlas, "services", "teams") == {"x-owner": "red", "n": 5}
    at("set", "teams", "retries=1")
    assert record(atlas, "services", "teams") == {"x-owner": "red", "n": 5, "retries": 1}


def test_nobody_answers(hatlas):
    port = parts.free_port()
    for command in (["ls"], ["create", "x"], ["import", "-"], ["config", "get", "x"]):
        done = hatlas.command(*command, "--source", f"zookeeper:127.0.0.1:{port}/atlas",
                              "--timeout", "300ms", config=False, HATLAS_CONFIG="",
                              stdin=open_services(hatlas))
        assert done.returncode == 2
        assert "within 0.3 s" in done.stderr and "refused" in done.stderr


def open_services(hatlas):
    path = hatlas.folder / "services.yaml"
    path.write_text("services: {}\n")
    return open(path, encoding="utf-8")


def test_a_file_is_no_place_to_write_to(hatlas, cluster):
    path = cluster("services: {}\n")
    done = hatlas.command("create", "x", "--source", f"file:{path}", config=False,
                          HATLAS_CONFIG="")
    assert done.returncode == 2 and "no source to write to" in done.stderr


# --- variables


VALUES = {"PLAIN": "x", "QUOTES": "a'b\"c`d$e\\f", "SPACE": " a  b ", "LINES": "1\n2\n",
          "EMPTY": "", "GLOB": "* ?", "UMLAUT": "ä"}


def test_variables_survive_a_shell(at, atlas, tmp_path):
    at("create", "teams")
    at("config", "set", "teams", *(f"{key}={value}" for key, value in VALUES.items()))
    assert record(atlas, "config", "teams") == VALUES
    script = tmp_path / "env.sh"
    script.write_text(at("config", "env", "teams"))
    done = parts.subprocess.run(
        ["sh", "-c", f". {script}; for v in {' '.join(VALUES)}; do eval \"printf '%s\\\\0' "
         "\\\"\\$$v\\\"\"; done"], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == list(VALUES.values())
    assert at("config", "get", "teams", "QUOTES") == VALUES["QUOTES"] + "\n"
    assert json.loads(at("config", "get", "teams", "--json")) == VALUES
    at("config", "set", "teams", "not-a-name=1")
    assert "can't be a shell variable" in at("config", "env", "teams", ok=False)
    at("config", "unset", "teams", "not-a-name", *list(VALUES)[1:])
    assert at("config", "get", "teams") == "PLAIN=x\n"


def test_templates_read_variables(at, tmp_path):
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "vars.txt").write_text("% for _, service in ipairs(services) do\n"
                                     "{{ service.name }} {{ service.vars.DB }}\n% end\n")
    at("create", "teams")
    at("config", "set", "teams", "DB=postgres")
    sources = json.loads(at.hatlas.file.read_text())["sources"]
    at.hatlas.configure(sources=sources, templates=[str(folder)])
    assert at("render", "--template", "vars.txt") == "teams postgres\n"


# --- two at once


def test_two_at_once_never_overwrite_each_other(at, atlas):
    """Many writers of one record, each with a field of its own, until some were too late:
    who is told that all went well finds the field there, who is not is told why."""
    at("create", "teams")
    expected = set()
    for turn in range(50):
        names = [f"t{turn}w{i}" for i in range(8)]
        started = [parts.subprocess.Popen(
            [at.hatlas.binary, "set", "teams", f"labels.{name}=x", "--config",
             str(at.hatlas.file)], stdout=parts.subprocess.PIPE,
            stderr=parts.subprocess.PIPE, text=True) for name in names]
        ends = [(process.communicate()[1], process.returncode) for process in started]
        expected |= {name for name, end in zip(names, ends) if end[1] == 0}
        assert set(record(atlas, "services", "teams")["labels"]) == expected
        late = [text for text, code in ends if code]
        if late:
            break
    assert late
    for text in late:
        assert "somebody else changed it meanwhile" in text and "nothing was written" in text


def test_half_a_transaction_is_nothing(at, atlas, client):
    """One host of many may not be written: none is."""
    for service in ("a", "b", "c"):
        atlas.put_host(service, 80, host="host-1")
    closed = atlas.path("services", "b", "hosts", "host-1:80")
    client.set_acls(closed, [make_acl("world", "anyone", read=True)])
    before = tree(atlas)
    error = at("drain", "--host", "host-1", ok=False)
    assert "no right to write it" in error and closed in error
    assert "nothing was written" in error and "sources.auth" in error
    assert tree(atlas) == before


def test_no_right_to_read(at, atlas, client):
    path = atlas.put_host("teams", 80)
    client.set_acls(path, [make_acl("digest", "somebody:else", all=True)])
    error = at("drain", "teams", ok=False)
    assert "no right to read it" in error and path in error


# --- ls


def test_ls_watch_tells_of_changes(at, atlas):
    at("create", "teams")
    watcher = parts.subprocess.Popen(
        [at.hatlas.binary, "ls", "--watch", "--config", str(at.hatlas.file)],
        stdout=parts.subprocess.PIPE, text=True)
    try:
        assert watcher.stdout.readline().startswith("SERVICE")
        assert watcher.stdout.readline().startswith("teams")
        at("attach", "teams", "a:1")
        assert watcher.stdout.readline() == "+ teams a:1 enabled weight 1\n"
        at("drain", "teams", "a:1")
        assert watcher.stdout.readline() == "~ teams a:1 drain weight 1\n"
        at("rm", "-r", "teams")
        lines = [watcher.stdout.readline()]
        while lines[-1] != "- teams\n":
            lines.append(watcher.stdout.readline())
    finally:
        watcher.terminate()
        watcher.wait()


def test_ls_of_a_file(hatlas, cluster):
    path = cluster("services: {teams: {mode: tcp, port: 1, hosts: ["
                   "{host: a, port: 1}, {host: b, port: 2, drain: true, zone: z}]}}\n")
    done = hatlas.command("ls", "--source", f"file:{path}", config=False, HATLAS_CONFIG="")
    assert done.stdout.split() == ["SERVICE", "MODE", "HOSTS", "ENABLED",
                                   "teams", "tcp", "2", "1"]
    done = hatlas.command("ls", "-l", "--source", f"file:{path}", config=False,
                          HATLAS_CONFIG="")
    assert done.stdout.splitlines()[2].split() == ["teams", "b:2", "drain", "1", "z"]
