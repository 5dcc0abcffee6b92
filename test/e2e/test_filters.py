"""What a node does not want of the registry: services are not even watched, hosts stay out
of the catalog."""
import json
import re

import pytest

import parts


def watched(zookeeper, root):
    """Paths below the root whose data the server has watches for: it does not tell those
    of lists."""
    return {line.strip() for line in zookeeper.ask("wchp").splitlines()
            if line.startswith(root + "/")}


def test_only_wanted_services_are_watched(hatlas, atlas, source, backend, zookeeper):
    names = ["teams", "team-x", "user-a", "user-b", "buckets"]
    for name in names:
        atlas.put_host(name, backend(name).port)
        atlas.put(atlas.path("config", name), {"A": 1})
    atlas.put(atlas.path("services", "no name"), {})
    hatlas.configure(sources=source(), services={"include": ["team*", "user-a"],
                                                 "exclude": ["*-x"]}).run()
    hatlas.wait_answer("teams", "teams")
    hatlas.wait_answer("user-a", "user-a")
    assert hatlas.get("team-x").status == 404 and hatlas.get("buckets").status == 404
    paths = watched(zookeeper, atlas.root)
    expected = set()
    for name in ("teams", "user-a"):
        service = atlas.path("services", name)
        (host,) = atlas.client.get_children(f"{service}/hosts")
        expected |= {service, f"{service}/hosts/{host}", atlas.path("config", name)}
    assert paths == expected
    line = parts.parse_logfmt(hatlas.wait_log("read the registry"))
    assert int(line["watches"]) == len(expected) + 4  # lists: services, config, hosts
    assert line["services_out"] == "4"
    assert "no name" not in hatlas.log_text()


def test_services_that_come_and_go_outside(hatlas, atlas, source, backend, zookeeper):
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source(), services={"include": ["teams"]}).run()
    hatlas.wait_answer("teams", "one")
    atlas.put_host("users", backend("two").port)
    atlas.put_host("users", 9, "bad", weight="x")
    atlas.remove_service("users")
    atlas.put_host("teams", backend("three").port)
    hatlas.wait_who("teams", ["one", "three"])
    assert "users" not in hatlas.log_text()
    assert not [path for path in watched(zookeeper, atlas.root) if "users" in path]


def test_what_is_wanted_changes(hatlas, atlas, source, backend):
    for name in ("teams", "users"):
        atlas.put_host(name, backend(name).port)
    hatlas.configure(sources=source(), services={"include": ["teams"]}).run()
    hatlas.wait_answer("teams", "teams")
    hatlas.configure(sources=source(), services={"exclude": ["teams"]})
    hatlas.send(parts.signal.SIGHUP)
    hatlas.wait_answer("users", "users")
    hatlas.wait_answer("teams", 404)


def test_hosts_by_zone_and_label(hatlas, atlas, source, backend):
    """A host that moves into the zone appears, one that moves out goes, as runtime
    changes."""
    hosts = {name: backend(name) for name in ("here", "near", "far", "db", "bare")}

    def put(name, zone, **labels):
        atlas.put_host("teams", hosts[name].port, name, labels=labels,
                       **({"zone": zone} if zone else {}))
    put("here", "east-1", tier="web")
    put("near", "east-2", tier="web-2")
    put("far", "west-1", tier="web")
    put("db", "east-1", tier="db")
    put("bare", None, tier="web")
    hatlas.configure(sources=source(), services={
        "hosts": {"zones": ["east-*"], "labels": {"tier": "web*"}}}).run()
    hatlas.wait_who("teams", ["here", "near"])
    reloads = hatlas.reloads()
    put("far", "east-3", tier="web")
    hatlas.wait_who("teams", ["here", "near", "far"])
    put("near", "west-2", tier="web")
    hatlas.wait_who("teams", ["here", "far"])
    assert hatlas.reloads() == reloads
    assert "hosts_out=3" in hatlas.wait_log("read the registry")


def test_hosts_without_a_zone_are_the_empty_one(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("bare").port)
    atlas.put_host("teams", backend("west").port, zone="west")
    hatlas.configure(sources=source(), services={"hosts": {"zones": ["east", ""]}}).run()
    hatlas.wait_who("teams", ["bare"])


@pytest.mark.parametrize("kind", ["file", "zookeeper"])
def test_render_filters_by_the_same_rules(hatlas, atlas, source, cluster, kind):
    services = {"teams": {"hosts": [{"host": "10.0.0.1", "port": 1, "zone": "a"},
                                    {"host": "10.0.0.2", "port": 1, "zone": "b"}]},
                "users": {"hosts": [{"host": "10.0.0.3", "port": 1, "zone": "a"}]}}
    for name, service in services.items():
        for host in service["hosts"]:
            atlas.put_host(name, host["port"], host=host["host"], zone=host["zone"])
    path = cluster(json.dumps({"services": services}))
    sources = source() if kind == "zookeeper" else [{"file": str(path)}]
    hatlas.configure(sources=sources, services={"exclude": ["users"],
                                                "hosts": {"zones": ["a"]}})
    done = hatlas.command("render")
    assert done.returncode == 0, done.stderr
    assert re.findall(r" server \S+ (10\S+)", done.stdout) == ["10.0.0.1:1"]
