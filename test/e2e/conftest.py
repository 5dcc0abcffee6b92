"""Fixtures: each starts a real thing on free ports of loopback in a folder of its own and
gives a handle with verbs."""
import itertools
import pathlib
import subprocess

import pytest

import parts


@pytest.fixture(scope="session")
def zookeeper(tmp_path_factory):
    """A server for all tests of a file; each test has its own root in it."""
    server = parts.ZooKeeper(tmp_path_factory.mktemp("zookeeper")).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def client(zookeeper):
    client = zookeeper.client()
    yield client
    client.stop()
    client.close()


@pytest.fixture
def own_zookeeper(tmp_path):
    """A server that the test may kill."""
    server = parts.ZooKeeper(tmp_path / "zookeeper").start()
    yield server
    server.kill()


_roots = itertools.count(1)


@pytest.fixture
def atlas(client):
    """An empty registry of the test's own, and where hatlas finds it."""
    atlas = parts.Atlas(client, f"/atlas-{next(_roots)}")
    return atlas


@pytest.fixture
def source(zookeeper, atlas):
    """The entry of `sources` for the registry, with more keys if given."""
    def make(**more):
        return [{"zookeeper": zookeeper.address, "root": atlas.root, **more}]
    return make


@pytest.fixture
def wire():
    """Makes relays that can be cut."""
    wires = []

    def make(port):
        wires.append(parts.Wire(port))
        return wires[-1]
    yield make
    for made in wires:
        made.close()


@pytest.fixture
def backend():
    """Makes hosts that answer with their name."""
    made = []

    def make(name, **options):
        made.append(parts.Backend(name, **options))
        return made[-1]
    yield make
    for host in made:
        host.close()


@pytest.fixture
def fast_backend(tmp_path):
    host = parts.FastBackend(tmp_path / "backend")
    yield host
    host.close()


@pytest.fixture
def make_hatlas(tmp_path):
    """Makes more than one hatlas."""
    made = []

    def make(name="hatlas"):
        made.append(parts.Hatlas(tmp_path / name))
        return made[-1]
    yield make
    for one in made:
        one.close()
        show_log(one)
    for one in made:
        assert not sanitizer_reports(one)


@pytest.fixture
def hatlas(make_hatlas):
    return make_hatlas()


@pytest.fixture
def cluster(tmp_path):
    """Writes a file of services, for tests that need no registry."""
    def write(text, name="cluster.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path
    return write


@pytest.fixture
def haproxy(tmp_path):
    """Makes HAProxys that hatlas does not start: `haproxy -W -S` on a config."""
    made = []

    def make(config, master_socket):
        with open(tmp_path / "haproxy.log", "ab") as log:
            made.append(subprocess.Popen(
                ["haproxy", "-W", "-S", str(master_socket), "-f", str(config)],
                stdout=log, stderr=log, start_new_session=True))
        return made[-1]
    yield make
    for process in made:
        process.kill()
        process.wait()
    parts.kill_processes_of(tmp_path)


def show_log(hatlas):
    """What hatlas said, for pytest to show beside a failure."""
    for path in sorted(pathlib.Path(hatlas.folder).glob("log.*")):
        text = path.read_text(errors="replace")
        print(f"--- {path.name}\n{text[-20000:]}")


def sanitizer_reports(hatlas):
    """Lines by which the sanitizers name a fault of hatlas."""
    marks = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:")
    return [line for path in pathlib.Path(hatlas.folder).glob("log.*")
            for line in path.read_text(errors="replace").splitlines()
            if any(mark in line for mark in marks)]
