"""What a plan promises: after any change of the registry, HAProxy is as if it had been
started on the new files; and where only hosts changed, without a reload."""
import copy
import json
import random
import re
import subprocess

import pytest

import parts

SEEDS = range(8)
STEPS = 8
DYNAMIC = ["roundrobin", "leastconn", "random"]
STATIC = ["static-rr", "source", "first"]
NAMES = ["api", "crews", "db.main", "teams", "users", "x-1"]


class World:
    """A random registry. Live hosts answer nothing but accept connections."""

    def __init__(self, seed, live):
        self.random, self.live, self.next_id = random.Random(seed), live, 0
        self.services = {}
        for name in self.random.sample(NAMES, 3):
            self.services[name] = self.service(DYNAMIC)

    def service(self, balances):
        check = self.random.choice([
            {"type": "none"}, {"type": "tcp", "interval": "300ms", "fall": 2},
            {"path": "/health", "interval": "400ms", "rise": 1}, {}])
        service = {"balance": self.random.choice(balances), "check": check, "hosts": []}
        if self.random.random() < 0.3:
            service["maxconn"] = self.random.randrange(1, 50)
        for _ in range(self.random.randrange(4)):
            self.add_host(service)
        return service

    def address(self):
        return {"host": self.random.choice(["127.0.0.1", "127.0.0.2", "::1"]),
                "port": self.random.choice(self.live + [1, 2, 3, 4])}

    def taken(self, service):
        return {(host["host"], host["port"]) for host in service["hosts"]}

    def add_host(self, service):
        address = self.address()
        if tuple(address.values()) in self.taken(service):
            return
        self.next_id += 1
        host = {"id": f"h{self.next_id}", **address}
        if self.random.random() < 0.3:
            del host["id"]
        for key, value in [("weight", self.random.randrange(257)), ("enabled", False),
                           ("drain", True), ("backup", True),
                           ("maxconn", self.random.randrange(1, 90))]:
            if self.random.random() < 0.25:
                host[key] = value
        service["hosts"].insert(self.random.randrange(len(service["hosts"]) + 1), host)

    # What HAProxy can do while it runs

    def remove_host(self, service):
        service["hosts"].remove(self.random.choice(service["hosts"]))

    def toggle_enabled(self, service):
        host = self.random.choice(service["hosts"])
        host["enabled"] = not host.get("enabled", True)

    def toggle_drain(self, service):
        host = self.random.choice(service["hosts"])
        host["drain"] = not host.get("drain", False)

    def change_weight(self, service):
        self.random.choice(service["hosts"])["weight"] = self.random.randrange(257)

    def change_maxconn(self, service):
        self.random.choice(service["hosts"])["maxconn"] = self.random.randrange(1, 90)

    def move(self, service):
        host = self.random.choice(service["hosts"])
        address = self.address()
        if tuple(address.values()) not in self.taken(service):
            host.update(address)

    def reorder(self, service):
        self.random.shuffle(service["hosts"])

    def change_hosts(self):
        changes = [self.add_host, self.remove_host, self.toggle_enabled,
                   self.toggle_drain, self.change_weight, self.change_maxconn, self.move,
                   self.reorder]
        for _ in range(self.random.randrange(1, 5)):
            service = self.random.choice(list(self.services.values()))
            change = self.random.choice(changes)
            if service["hosts"] or change in (self.add_host, self.reorder):
                change(service)

    # What it can't, and all of that together

    def change_anything(self):
        for _ in range(self.random.randrange(1, 3)):
            name = self.random.choice(NAMES)
            if name not in self.services:
                self.services[name] = self.service(DYNAMIC + STATIC)
            elif self.random.random() < 0.3 and len(self.services) > 1:
                del self.services[name]
            elif self.random.random() < 0.5 and self.services[name]["hosts"]:
                host = self.random.choice(self.services[name]["hosts"])
                host["backup"] = not host.get("backup", False)
            else:
                self.services[name]["balance"] = self.random.choice(DYNAMIC + STATIC)
        for service in self.services.values():
            if self.random.random() < 0.4:
                self.add_host(service)

    def all_dynamic(self):
        return all(service["balance"] in DYNAMIC for service in self.services.values())

    def text(self):
        return json.dumps({"services": self.services}, indent=1)


# --- The state of a HAProxy


def rows(text, separator):
    lines = [line for line in text.splitlines() if line and line != "1"]
    keys = lines[0].lstrip("# ").split(separator)
    return [dict(zip(keys, line.split(separator))) for line in lines[1:]]


def address(row):
    """A host name of the config and its address are one: only HAProxy started on the
    config remembers the name."""
    return row["srv_addr"], row["srv_port"]


def state(socket):
    """What has to be the same. Not: ids, which a reload gives anew; whether a server in
    maintenance is so by its config; times and counters."""
    servers = {
        (row["be_name"], row["srv_name"]): {
            "address": address(row), "weight": row["srv_uweight"],
            "operation": row["srv_op_state"],
            "administration": int(row["srv_admin_state"]) & 0b1001}
        for row in rows(parts.ask_unix(socket, "show servers state"), " ")}
    for row in rows(parts.ask_unix(socket, "show stat"), ","):
        name = (row["pxname"], row["svname"])
        if name not in servers:
            continue
        servers[name].update({key: row[key] for key in ("slim", "qlimit", "act", "bck")})
        if not servers[name]["administration"] & 1:
            servers[name].update({key: row[key] for key in ("check_rise", "check_fall")})
    listed = re.findall(r"^\d+ \((\S+)\)", parts.ask_unix(socket, "show map"), re.M)
    return servers, {name: entries(socket, name) for name in listed}


def entries(socket, name):
    lines = parts.ask_unix(socket, f"show map {name}").splitlines()
    return [line.split(" ", 1)[1] for line in lines if line]


class Fresh:
    """A HAProxy started on copies of the files, with sockets and ports of its own."""

    def __init__(self, folder, source):
        folder.mkdir()
        self.socket = folder / "s"
        text = (source / "haproxy.cfg").read_text()
        text = re.sub(r"(bind )127\.0\.0\.1:\d+",
                      lambda found: f"{found[1]}127.0.0.1:{parts.free_port()}", text)
        text = re.sub(r"stats socket \S+", f"stats socket {self.socket}", text)
        (folder / "haproxy.cfg").write_text(text)
        (folder / "services.map").write_text((source / "services.map").read_text())
        self.process = subprocess.Popen(
            ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        parts.wait_for(lambda: parts.ask_unix(self.socket, "show version"), "HAProxy")

    def close(self):
        self.process.kill()
        self.process.wait()


def difference(a, b):
    return [(key, side[0].get(key), side[1].get(key)) for side in zip(a, b)
            for key in sorted({*side[0], *side[1]}, key=str)
            if side[0].get(key) != side[1].get(key)]


def assert_as_if_fresh(hatlas, folder):
    """Checks need a moment, and a removed server goes when it is idle."""
    fresh = Fresh(folder, hatlas.out)
    try:
        try:
            parts.wait_for(lambda: state(hatlas.socket) == state(fresh.socket), "equality")
        except AssertionError:
            assert not difference(state(hatlas.socket), state(fresh.socket))
    finally:
        fresh.close()


def apply(hatlas, path, world, number):
    """Writes the registry with a mark that tells when it is in place."""
    marked = copy.deepcopy(world.services)
    marked["marker"] = {"check": {"type": "none"},
                        "hosts": [{"id": "m", "host": "127.0.0.1", "port": 1000 + number}]}
    path.with_suffix(".new").write_text(json.dumps({"services": marked}, indent=1))
    path.with_suffix(".new").rename(path)

    def in_place():
        return ("marker", f"127.0.0.1:{1000 + number}") in state(hatlas.socket)[0]
    parts.wait_for(in_place, "the change in HAProxy")
    parts.wait_for(lambda: f"127.0.0.1:{1000 + number} " in hatlas.config.read_text(),
                   "the change in the file")


@pytest.fixture
def live(backend):
    return [backend(name).port for name in ("one", "two")]


@pytest.mark.parametrize("seed", SEEDS)
def test_any_change_gives_what_a_fresh_start_gives(hatlas, tmp_path, live, seed):
    world = World(seed, live)
    path = tmp_path / "cluster.yaml"
    path.write_text(world.text())
    hatlas.configure(sources=[{"file": str(path)}],
                     guard={"empty_service": "allow", "max_loss": "100%"}).run()
    parts.wait_for(lambda: parts.ask_unix(hatlas.socket, "show version"), "HAProxy")
    apply(hatlas, path, world, 0)
    by_hosts = 0
    for number in range(1, STEPS + 1):
        before = hatlas.reloads()
        hosts_only = world.all_dynamic() and number % 3 != 0
        (world.change_hosts if hosts_only else world.change_anything)()
        apply(hatlas, path, world, number)
        assert_as_if_fresh(hatlas, tmp_path / f"fresh-{number}")
        if hosts_only:
            by_hosts += 1
            assert hatlas.reloads() == before, "hosts change without a reload"
    assert by_hosts > 0
