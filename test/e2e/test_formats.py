"""Registries of other software in a real ZooKeeper: their trees, their records, mixed
sources, and the way from one to the other."""
import itertools
import json
import threading

import pytest

import parts

# Records as the original software writes them.


def nerve(port, **more):
    return {"host": "127.0.0.1", "port": port, "name": "i-1", **more}


def serverset(port, status="ALIVE", **more):
    return {"serviceEndpoint": {"host": "127.0.0.1", "port": port},
            "additionalEndpoints": {"aurora": {"host": "127.0.0.1", "port": port}},
            "status": status, "shard": 0, **more}


def curator(port, **more):
    return {"name": "teams", "id": "ca2fff8e", "address": "127.0.0.1", "port": port,
            "sslPort": None,
            "payload": {"@class": "org.springframework.cloud.zookeeper.discovery."
                        "ZookeeperInstance", "id": "application-1", "name": "teams",
                        "metadata": {"instance_status": "UP"}},
            "registrationTimeUTC": 1456326281161, "serviceType": "DYNAMIC",
            "uriSpec": {"parts": [{"value": "scheme", "variable": True},
                                  {"value": "://", "variable": False}]}, **more}


class Registry:
    """One tree of one format: {service} is in its pattern."""

    def __init__(self, client, format_name, pattern, record, prefix, down):
        self.client, self.format, self.pattern = client, format_name, pattern
        self.record, self.prefix, self.down = record, prefix, down

    def folder(self, service):
        return self.pattern.replace("{service}", service)

    def announce(self, service, port, **more):
        """Registers an ephemeral host, as the original software does."""
        record = self.record(port, **more)
        data = record if isinstance(record, bytes) else json.dumps(record).encode()
        return self.client.create(f"{self.folder(service)}/{self.prefix}", data,
                                  ephemeral=True, sequence=True, makepath=True)

    def put(self, path, port, **more):
        self.client.set(path, json.dumps(self.record(port, **more)).encode())

    def source(self, zookeeper, **more):
        return {"zookeeper": zookeeper.address, "format": self.format,
                "path": self.pattern, **more}


TREES = {
    "nerve": ("/nerve/services/{service}/services", nerve, "i-1_",
              {"available": False}),
    "serverset": ("/aurora/www-data/prod/{service}", serverset, "member_",
                  {"status": "STOPPING"}),
    "curator": ("/services/{service}", curator, "6229b3ca-5690-4ec5-b7eb-938edde6364e",
                {"enabled": False}),
}
_numbers = itertools.count(1)


@pytest.fixture
def registry(client):
    """Makes registries of a format, each below a top of its own."""
    def make(format_name):
        pattern, record, prefix, down = TREES[format_name]
        made = Registry(client, format_name, f"/top-{next(_numbers)}{pattern}", record,
                        prefix, down)
        client.ensure_path(made.pattern.split("/{service}")[0])
        return made
    return make


@pytest.mark.parametrize("format_name", TREES)
def test_hosts_come_go_and_change(hatlas, zookeeper, registry, backend, format_name):
    tree = registry(format_name)
    tree.announce("teams", backend("one").port)
    hatlas.configure(sources=[tree.source(zookeeper)]).run()
    hatlas.wait_answer("teams", "one")
    two = backend("two")
    path = tree.announce("teams", two.port)
    hatlas.wait_who("teams", ["one", "two"])
    tree.put(path, two.port, **tree.down)
    hatlas.wait_who("teams", ["one"])
    tree.put(path, two.port)
    hatlas.wait_who("teams", ["one", "two"])
    tree.client.delete(path)
    hatlas.wait_who("teams", ["one"])
    assert hatlas.reloads() == 0
    tree.announce("users", backend("three").port)
    hatlas.wait_answer("users", "three")


@pytest.mark.parametrize("format_name", TREES)
def test_a_bad_record_costs_only_itself(hatlas, zookeeper, registry, backend,
                                        format_name):
    tree = registry(format_name)
    one = tree.announce("teams", backend("one").port)
    bad = "80\n    server evil 127.0.0.1:1"
    paths = [tree.announce("teams", bad),
             tree.client.create(f"{tree.folder('teams')}/{tree.prefix}x", b"{"),
             tree.client.create(f"{tree.folder('teams')}/{tree.prefix}y", b"\x00\xff")]
    hatlas.configure(sources=[tree.source(zookeeper)]).run()
    hatlas.wait_answer("teams", "one")
    for path in paths:
        assert "left out" in hatlas.wait_log(f"where={path}")
    tree.client.set(one, b"not any more")
    assert "keeps its last good value" in hatlas.wait_log(f"where={one}")
    assert hatlas.who("teams") == {"one"}
    assert "evil" not in hatlas.config.read_text()


def test_mixed_sources(hatlas, zookeeper, registry, atlas, source, backend):
    """A service has the hosts of all registries, one each here, and the fields of the
    first; a host that two registries have is as the first has it."""
    trees = [registry(name) for name in TREES]
    names = ["nerve", "serverset", "curator", "atlas"]
    hosts = {name: backend(name) for name in names}
    for tree in trees:
        tree.announce("teams", hosts[tree.format].port)
    atlas.put_service("teams", balance="leastconn")
    atlas.put_host("teams", hosts["atlas"].port)
    hatlas.configure(sources=[*source(), *(tree.source(zookeeper) for tree in trees)])
    hatlas.run()
    hatlas.wait_who("teams", names)
    assert "balance leastconn" in hatlas.config.read_text()
    atlas.put_host("teams", hosts["nerve"].port, enabled=False)
    hatlas.wait_who("teams", names[1:])
    assert "same address" not in hatlas.log_text()


def test_another_endpoint(hatlas, zookeeper, registry, backend):
    tree = registry("serverset")
    admin = {"admin": {"host": "127.0.0.1", "port": backend("admin").port}}
    tree.announce("teams", backend("service").port, additionalEndpoints=admin)
    tree.announce("teams", backend("bare").port)
    hatlas.configure(sources=[tree.source(zookeeper, endpoint="admin")]).run()
    hatlas.wait_who("teams", ["admin"])
    assert "it has: aurora" in hatlas.wait_log("additionalEndpoints has no 'admin'")


def test_siblings_of_members_are_not_read(hatlas, zookeeper, registry, backend):
    tree = registry("serverset")
    tree.announce("teams", backend("one").port)
    vector = tree.client.create(f"{tree.folder('teams')}/vector_0000000001", b"{")
    hatlas.configure(sources=[tree.source(zookeeper)]).run()
    hatlas.wait_answer("teams", "one")
    assert vector not in hatlas.log_text()
    assert vector not in zookeeper.ask("wchp")
    assert tree.folder("teams") in zookeeper.ask("wchp")


def test_ssl_port(hatlas, zookeeper, registry, backend):
    tree = registry("curator")
    tree.announce("teams", backend("plain").port, sslPort=backend("ssl").port)
    hatlas.configure(sources=[tree.source(zookeeper, ssl=True)]).run()
    hatlas.wait_who("teams", ["ssl"])


def test_server_options_only_where_they_are_trusted(hatlas, zookeeper, registry,
                                                    backend):
    tree = registry("nerve")
    tree.announce("teams", backend("one").port)
    tree.announce("teams", backend("two").port, haproxy_server_options="backup")
    hatlas.configure(sources=[tree.source(zookeeper)]).run()
    hatlas.wait_who("teams", ["one", "two"])
    hatlas.stop()
    hatlas.configure(sources=[tree.source(zookeeper, trust="server_options")]).run()
    hatlas.wait_who("teams", ["one"])
    line = next(line for line in hatlas.config.read_text().splitlines()
                if line.endswith(" backup"))
    assert " server 127.0.0.1:" in line
    bad = tree.announce("teams", 1, haproxy_server_options="backup\n  server evil a:1")
    assert "left out" in hatlas.wait_log(f"where={bad}")
    assert "evil" not in hatlas.config.read_text()


@pytest.mark.parametrize("format_name", TREES)
def test_from_another_registry_into_the_atlas_at_once(hatlas, zookeeper, registry, atlas,
                                                      source, format_name):
    """What is rendered from the copy is what was rendered before."""
    tree = registry(format_name)
    tree.announce("teams", 8080)
    tree.announce("teams", 8081, **tree.down)
    tree.announce("users", 8082)
    hatlas.configure(sources=[tree.source(zookeeper)])
    before = hatlas.command("render").stdout
    assert hatlas.command("export", "-o", "all.yaml").returncode == 0
    hatlas.configure(sources=source())
    done = hatlas.command("import", "all.yaml")
    assert done.returncode == 0, done.stderr
    assert before.count(" server 127.0.0.1:808") == 3
    assert hatlas.command("render").stdout == before
    assert hatlas.command("export").stdout == (hatlas.folder / "all.yaml").read_text()


class Load:
    """Requests one after the other for as long as it is on; counts what fails."""

    def __init__(self, hatlas, service):
        self.hatlas, self.service = hatlas, service
        self.answers, self.failures, self.on = 0, [], True
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        while self.on:
            answer = self.hatlas.get(self.service)
            self.answers += 1
            if answer.status != 200:
                self.failures.append(answer)

    def stop(self):
        self.on = False
        self.thread.join()


@pytest.mark.parametrize("format_name", TREES)
def test_leaving_another_registry(hatlas, zookeeper, registry, atlas, source, backend,
                                  format_name):
    """The way of lib/record/README.md, under load: no request fails."""
    old = registry(format_name)
    hosts = [backend(name) for name in ("one", "two")]
    paths = [old.announce("teams", host.port) for host in hosts]
    hatlas.configure(sources=[*source(), old.source(zookeeper)]).run()
    hatlas.wait_who("teams", ["one", "two"])
    load = Load(hatlas, "teams")
    try:
        for host, path in zip(hosts, paths):
            atlas.put_host("teams", host.port, weight=7)
            line = f"127.0.0.1:{host.port} weight 7"
            parts.wait_for(lambda line=line: line in hatlas.config.read_text(), line)
            old.client.delete(path)
        atlas.put_host("teams", hosts[0].port, drain=True)
        hatlas.wait_who("teams", ["two"])
        atlas.put_host("teams", hosts[0].port)
        hatlas.configure(sources=source())
        hatlas.send(parts.signal.SIGHUP)
        hatlas.wait_log("settings and templates were read again")
        hatlas.wait_who("teams", ["one", "two"])
        seen = load.answers
        parts.wait_for(lambda: load.answers > seen + 50, "more requests")
    finally:
        load.stop()
    assert not load.failures
