"""Export and import: backup, realm copy, and the way from a file into the Atlas."""
import json

import pytest
from kazoo.security import make_acl

from test_atlas import at, tree  # noqa: F401 (at is a fixture)

CLUSTER = """\
services:
  buckets:
    config:
      EMPTY: ''
      N: 5
      URL: "postgres://a:b@c/d?e='f'"
    hosts:
    - host: 2001:db8::1
      port: 80
    - host: host-001
      port: 8080
      enabled: false
  empty: {}
  jobs:
    mode: tcp
    port: 9000
    x-owner: red
    hosts:
    - id: odd name
      host: host-002
      port: 9001
      weight: 0
      zone: a
      labels: {rack: r1, "umlaut ä": "true"}
      future: {a: [1, 2.5, null]}
  teams:
    balance: leastconn
    check: {path: /health, interval: 1s}
    aliases: [crews]
    hosts:
    - {host: host-001, port: 8080, drain: true, backup: true, maxconn: 5}
"""


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["yaml", "json"])
def test_a_round_trip_gives_the_same_bytes(at, cluster, form):
    path = cluster(CLUSTER)
    from_file = at("export", "--source", f"file:{path}", *form)
    at("import", str(path))
    exported = at("export", *form)
    assert exported == from_file
    again = cluster(exported, "again")
    at("import", str(again), "--realm", "copy")
    assert at("export", "--realm", "copy", *form) == exported
    assert "0 znodes written" in at("import", "--prune", str(again))
    assert at("export", *form) == exported
    at("export", "-o", "file.out", *form)
    assert (at.hatlas.folder / "file.out").read_text() == exported


def test_only_what_differs_is_written(at, atlas, cluster):
    at("import", str(cluster(CLUSTER)))
    before = tree(atlas)
    changed = CLUSTER.replace("weight: 0", "weight: 3").replace("N: 5", "N: 6")
    changed = changed.replace("balance: leastconn", "balance: random")
    changed = changed.replace("  empty: {}\n", "  fresh: {hosts: [{host: a, port: 1}]}\n")
    path = str(cluster(changed))
    plan = ["fresh created with 1 host", "buckets variables written", "teams fields changed",
            "jobs odd name changed"]
    for pruning in ([], ["--prune"]):
        out = at("import", *pruning, "--dry-run", path).splitlines()
        expected = plan + ["dry run: nothing was written"]
        assert sorted(out) == sorted(expected + (["empty removed"] if pruning else []))
    assert tree(atlas) == before
    at("import", path)
    after = tree(atlas)
    touched = {name.split("/testing/")[1] for name in set(before) | set(after)
               if before.get(name) != after.get(name)}
    assert touched == {"config/buckets", "services/jobs/hosts/odd name", "services/fresh",
                       "services/fresh/hosts", "services/fresh/hosts/a:1",
                       "services/teams"}


def test_prune(at, atlas, cluster):
    at("import", str(cluster(CLUSTER)))
    small = cluster("services: {buckets: {hosts: [{host: host-001, port: 8080}]}}\n")
    out = at("import", "--prune", str(small))
    for line in ("buckets variables removed", "buckets 2001:db8::1:80 detached",
                 "teams removed", "jobs odd name detached", "buckets host-001:8080 changed"):
        assert line in out.splitlines()
    assert at("export") == small_export()
    assert atlas.client.get_children(atlas.path("config")) == []


def small_export():
    return ("services:\n  buckets:\n    hosts:\n    - host: host-001\n      port: 8080\n")


FAULTS = [
    ("services: {teams: {hosts: [{host: a, port: 0}]}}", "port: expected"),
    ("services: {teams: {balance: fastest}}", "balance: expected"),
    ("services: {'a b': {}}", "can't be a service's name"),
    ("services: {teams: {hosts: [{id: a/b, host: a, port: 1}]}}", "name of a znode"),
    ("services: {a: {hosts: [{id: .., host: a, port: 1}]}}", "name of a znode"),
    ("services: [", "did not find"),
    ("[]", "expected 'services"),
]


@pytest.mark.parametrize("text, message", FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_file_with_faults_writes_nothing(at, atlas, cluster, text, message):
    before = tree(atlas)
    error = at("import", str(cluster(text + "\n")), ok=False)
    assert "nothing was written" in error and message in error
    assert tree(atlas) == before


def test_no_file(at):
    assert "/nowhere" in at("import", "/nowhere", ok=False)


def test_a_refused_import_writes_nothing(at, atlas, client, cluster):
    at("import", str(cluster(CLUSTER)))
    closed = atlas.path("services", "teams", "hosts")
    client.set_acls(closed, [make_acl("world", "anyone", read=True)])
    before = tree(atlas)
    more = CLUSTER + "    - {host: new, port: 1}\n" + "  zzz: {}\n"
    error = at("import", str(cluster(more)), ok=False)
    assert "no right to create it" in error and "nothing was written" in error
    assert tree(atlas) == before


def many():
    return {f"s{i:02}": {"hosts": [{"host": f"10.0.{i}.{j}", "port": 80, "labels":
                                    {"text": "x" * 200}} for j in range(100)]}
            for i in range(30)}


def test_many_hosts(at, cluster):
    """More than one transaction holds."""
    path = cluster(json.dumps({"services": many()}))
    out = at("import", str(path), "--timeout", "60s")
    assert "s29 created with 100 hosts" in out
    assert at("export", "--json") == at("export", "--json", "--source", f"file:{path}")
    assert "0 znodes written" in at("import", "--prune", str(path))


def test_many_hosts_of_which_the_last_are_refused(at, atlas, client, cluster):
    """What was written before is said, and a second import does the rest."""
    atlas.put_service("s29")
    closed = client.create(atlas.path("services", "s29", "hosts"), b"",
                           acl=[make_acl("world", "anyone", read=True, admin=True)])
    path = cluster(json.dumps({"services": many()}))
    error = at("import", str(path), "--timeout", "60s", ok=False)
    written = int(error.split(" of 3", 1)[0].rsplit(" ", 1)[1])
    assert "were written before that" in error and closed in error
    found = tree(atlas, atlas.path("services"))
    new = [name for name in found if not name.startswith(atlas.path("services", "s29"))]
    assert len(new) - 1 == written > 0
    client.set_acls(closed, [make_acl("world", "anyone", all=True)])
    at("import", str(path), "--timeout", "60s")
    assert "0 znodes written" in at("import", "--prune", str(path))
