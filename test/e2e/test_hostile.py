"""Everything from the registry is hostile: whatever stands in any field or name, the
config has the sections that it should have and no word more."""
import json

import pytest

import haproxy_config
import parts

LONG = "x" * 5000
BREAKOUT = "\n    server evil 6.6.6.6:66\nbackend evil\n    server evil 6.6.6.6:66\n"
PAYLOADS = {
    "newline": "x" + BREAKOUT,
    "carriage-return": "x" + BREAKOUT.replace("\n", "\r\n"),
    "double-quote": 'x" evil "',
    "single-quote": "x' evil '",
    "hash": "x # evil",
    "dollar": "$HOME",
    "dollar-quoted": 'x"$HOME"',
    "backslash": "x\\",
    "backslash-n": "x\\n evil",
    "nul": "x\0 evil",
    "space": "x evil evil evil",
    "braces": "{{ evil }} %[env(HOME)] %{evil}",
    "percent-line": "x\n% os.exit(1)\n",
    "escape": "x\x1b[2J evil",
    "c1": "x\x85 evil",
    "unicode-line": "x\u2028 evil",
    "long": LONG,
    "name-or": "or",
    "slash": "../../etc/passwd",
    "comma": "a,b",
    "empty": "",
}

HOST_FIELDS = {"host": "127.0.0.1", "port": 8001, "enabled": True, "drain": False,
               "weight": 3, "backup": False, "zone": "here", "maxconn": 5,
               "labels": {"k": "v"}, "extra": "x"}
SERVICE_FIELDS = {"mode": "http", "port": 1, "balance": "leastconn",
                  "check.type": "http", "check.path": "/health", "check.interval": "3s",
                  "check.rise": 4, "check.fall": 5, "timeouts.connect": "1s",
                  "timeouts.server": "2s", "timeouts.queue": "3s",
                  "timeouts.client": "4s", "timeouts.tunnel": "5s", "maxconn": 9,
                  "retries": 2, "labels.k": "v", "aliases": ["crews"], "extra": "x"}
GOOD = {"host": "127.0.0.1", "port": 8000}


def label(field):
    return field.replace(".", "-")


def nested(field, value):
    first, _, second = field.partition(".")
    if field == "aliases":
        return {first: [value]}
    return {first: {second: value}} if second else {first: value}


def registry(payload):
    """One service for each field, with that field hostile; beside it a good host. The
    catalog as JSON, and the same with plain values. (YAML has no key beyond 1,024 bytes.)"""
    hostile, plain = {}, {}
    for field, good in HOST_FIELDS.items():
        name = f"host-{label(field)}"
        record = {"host": "127.0.0.1", "port": 8001}
        hostile[name] = {"hosts": [GOOD, {**record, **nested(field, payload)}]}
        plain[name] = {"hosts": [GOOD, {**record, field: good}]}
    hostile["host-labels-key"] = {"hosts": [GOOD, {"host": "127.0.0.1", "port": 8001,
                                                   "labels": {payload[:1000]: "v"}}]}
    plain["host-labels-key"] = {"hosts": [GOOD, {"host": "127.0.0.1", "port": 8001}]}
    for field, good in SERVICE_FIELDS.items():
        name = f"service-{label(field)}"
        hostile[name] = {**nested(field, payload), "hosts": [GOOD]}
        plain[name] = {**(nested(field, good) if field != "aliases" else {"aliases": good}),
                       "hosts": [GOOD]}
    for services in (hostile, plain):
        services["service-mode"]["port"] = 1
        services["service-port"]["mode"] = "http"
    return hostile, plain


def catalog(services):
    """As YAML: what begins with a brace would be read as JSON."""
    return "# a cluster\n" + json.dumps({"services": services}) + "\n"


def put_all(atlas, services):
    for name, service in services.items():
        fields = {key: value for key, value in service.items() if key != "hosts"}
        atlas.put(atlas.path("services", name), fields)
        for number, host in enumerate(service["hosts"]):
            atlas.put(atlas.path("services", name, "hosts", f"id-{number}"), host)


def rendered(hatlas, *arguments):
    done = hatlas.command("render", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def alone(hatlas):
    """The config as the only output: then it needs no map beside it."""
    return [{"template": "haproxy.cfg", "path": str(hatlas.config), "check": "haproxy"}]


def check_harmless(text, plain, payload, folder):
    """The sections are those of the plain catalog, and each has only lines and words that
    the plain one has too, but for a payload that stands in one word as it was given."""
    sections = haproxy_config.parse(text)
    wanted = haproxy_config.parse(plain)
    assert haproxy_config.names(sections) == haproxy_config.names(wanted)
    for (keyword, name, lines), (_, _, plain_lines) in zip(sections, wanted):
        known = {words[0] for words in plain_lines}
        for words in lines:
            assert words[0] in known, f"{keyword} {name}: {words}"
            assert "evil" not in words, f"{keyword} {name}: {words}"
            if words[0] == "server":
                # "or" is a host's name like any other.
                assert words[2] in ("127.0.0.1:8000", "127.0.0.1:8001", "or:8001"), words
    path = folder / "rendered.cfg"
    path.write_text(text)
    accepted, message = parts.haproxy_accepts(path)
    assert accepted, message


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_every_field(hatlas, atlas, source, cluster, tmp_path, payload):
    hostile, plain = registry(payload)
    put_all(atlas, hostile)
    hatlas.configure(sources=source(), routing={"mode": "acl"}, outputs=alone(hatlas))
    text, said = rendered(hatlas)
    plain_path = cluster(catalog(plain))
    plain_text, _ = rendered(hatlas, "--source", f"file:{plain_path}")
    check_harmless(text, plain_text, payload, tmp_path)
    if payload.startswith("x\n"):
        assert atlas.path("services", "host-host", "hosts", "id-1") in said
    for name in plain:
        servers = haproxy_config.servers(haproxy_config.parse(text), name)
        addresses = [words[0] for words in servers.values()]
        assert "127.0.0.1:8000" in addresses, f"{name} lost its good host"


IN_A_FILE = {name: text for name, text in PAYLOADS.items() if name != "nul"}


def test_file_with_a_nul_is_refused_as_a_whole(hatlas, cluster):
    """It is no text: each place is named, and there is no catalog."""
    hostile, _ = registry(PAYLOADS["nul"])
    path = cluster(catalog(hostile))
    done = hatlas.command("render", "--source", f"file:{path}", config=False)
    assert (done.returncode, done.stdout) == (2, "")
    faults = [line for line in done.stderr.splitlines() if line.startswith(f"{path}:2:")]
    assert len(faults) > len(HOST_FIELDS)


@pytest.mark.parametrize("mode", ["acl", "map"])
@pytest.mark.parametrize("payload", IN_A_FILE.values(), ids=IN_A_FILE.keys())
def test_every_field_from_a_file(hatlas, cluster, tmp_path, payload, mode):
    hostile, plain = registry(payload)
    hatlas.configure(routing={"mode": mode})
    out = tmp_path / "rendered"
    text, _ = rendered(hatlas, "--source", f"file:{cluster(catalog(hostile), 'a.yaml')}")
    plain_text, _ = rendered(hatlas, "--source",
                             f"file:{cluster(catalog(plain), 'b.yaml')}")
    rendered(hatlas, "--source", f"file:{tmp_path}/a.yaml", "--output-dir", str(out))
    for line in (out / "services.map").read_text().splitlines():
        if line and not line.startswith("#"):
            key, target = line.split()
            assert target in hostile or key.endswith(":HOSTS") and target.isdigit(), line
    if mode == "acl":
        check_harmless(text, plain_text, payload, out)
    else:
        accepted, message = parts.haproxy_accepts(out / "haproxy.cfg")
        assert "services.map" in message or accepted, message


# ZooKeeper itself refuses control characters and an empty name.
NAMES = ['a b', 'a"b', "a'b", "a#b", "#a", "a$b", "$HOME", "a\\b", "a,b", "a@b", "ä", "or",
         "global", "a{{b}}", "%a", "-a", "default", "unknown", "services", LONG]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:20])
def test_names_of_znodes(hatlas, atlas, source, tmp_path, name):
    atlas.put_host("teams", 8000)
    atlas.put_host(name, 8000)
    atlas.put(atlas.path("services", "ids", "hosts", name), GOOD)
    hatlas.configure(sources=source(), routing={"mode": "acl"}, outputs=alone(hatlas))
    text, said = rendered(hatlas)
    sections = haproxy_config.parse(text)
    backends = [found for keyword, found in haproxy_config.names(sections)
                if keyword == "backend"]
    assert len(backends) == len(set(backends))
    assert "teams" in backends
    expected = all(c.isascii() and (c.isalnum() or c in "-_.") for c in name)
    expected = expected and name[0] not in ".-" and len(name) < 128
    assert (name in backends) == expected
    if not expected:
        assert "left out" in said or name[:10] in said or "\\x" in said
    assert [words[0] for words in haproxy_config.servers(sections, "ids").values()
            ] == ["127.0.0.1:8000"]
    path = tmp_path / "rendered.cfg"
    path.write_text(text)
    accepted, message = parts.haproxy_accepts(path)
    assert accepted, message


def test_reserved_names_are_served(hatlas, atlas, source, backend):
    """Services whose names mean something in a config are services all the same."""
    host = backend("one")
    names = ["or", "and", "if", "unless", "global", "defaults", "default", "unknown",
             "services", "stats", "TRUE", "host_a", "0", "1.2.3.4"]
    for name in names:
        atlas.put_host(name, host.port)
    hatlas.configure(sources=source(), routing={"mode": "acl"}).run()
    for name in names:
        hatlas.wait_answer(name, "one")


def test_names_that_differ_by_case_only(hatlas, atlas, source, backend):
    atlas.put_host("Teams", backend("upper").port)
    atlas.put_host("teams", backend("lower").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_log("level=warning")
    one = parts.wait_for(lambda: hatlas.get("teams").status == 200
                         and hatlas.get("teams"), "an answer")
    assert hatlas.who("teams") == hatlas.who("TEAMS") == {one.body}


def test_alias_that_is_somebody_elses_name(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("teams-1").port)
    atlas.put_host("buckets", backend("buckets-1").port)
    atlas.put_service("buckets", aliases=["teams", "pails"])
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("pails", "buckets-1")
    assert hatlas.who("teams") == {"teams-1"}


def test_config_of_a_service_with_control_characters(hatlas, atlas, source, tmp_path):
    atlas.put_host("teams", 8000)
    atlas.put(atlas.path("config", "teams"), {"A": "x" + BREAKOUT, "B": "good"})
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "vars").write_text(
        "% for _, service in ipairs(services) do\n"
        "b {{ service.vars.B }}\n% end\n")
    hatlas.configure(sources=source(), templates=[str(templates)])
    done = hatlas.command("render", "--template", "vars")
    assert "evil" not in done.stdout
    done = hatlas.command("render")
    assert done.returncode == 0 and "evil" not in done.stdout


def test_long_names_and_many_aliases_of_one_service(hatlas, cluster, tmp_path):
    """A line of more than 64 words would be cut by HAProxy."""
    aliases = [f"alias-{number}-" + "x" * 100 for number in range(64)]
    path = cluster(catalog({"n" * 127: {"aliases": aliases, "hosts": [GOOD]}}))
    hatlas.configure(routing={"mode": "acl"})
    done = hatlas.command("render", "--check", "--source", f"file:{path}")
    assert done.returncode == 0, done.stderr
    haproxy_config.parse(done.stdout)
