"""The faults: each begins, lasts for a while and is mended. `begin` returns words for the
time line, or None where it can't be done now; `evidence` are texts that hatlas's log must
have for it."""
import contextlib
import random

from churn import name_of
from world import parts

RUBBISH = [b"", b"{", b"[]", b"null", b"\xff\xfe\0", b'{"host":"a"}', b'{"port":1}',
           b'{"host":"127.0.0.1","port":0}', b'{"host":"127.0.0.1","port":"80 "}',
           b'{"host":"a b","port":80}', b'{"host":"a\\nserver x 127.0.0.1:1","port":80}',
           b'{"host":"127.0.0.1","port":80,"weight":-1}', b"{" * 5000, b"x" * 200000,
           b'{"host":"127.0.0.1","port":80,"enabled":"no"}', b'{"host":"","port":80}',
           b'{"host":"127.0.0.1","port":1e99}', b'{"host":"127.0.0.1","host":1,"port":80}']
NAMES = ["with space", "quote'\"", "${HOME}", "#", "ünïcode", "-", "a" * 300, "or", ";",
         "end\\"]


class Fault:
    seconds = (0.5, 2.0)  # how long it lasts
    evidence = ()
    writes = False  # to the registry: begins before ZooKeeper's faults, ends after them

    def __init__(self, world, chance: random.Random):
        self.world, self.chance = world, chance

    def begin(self):
        raise NotImplementedError

    def end(self):
        pass

    def expected(self):
        """The evidence, once all has come to rest."""
        return self.evidence


class Calm(Fault):
    """Nothing but change: what the others are compared with."""

    evidence = ("msg=applied",)

    def begin(self):
        return "only changes"


# --- ZooKeeper


class KillServer(Fault):
    role = "follower"

    def begin(self):
        self.server = self.world.ensemble.find(self.role)
        if not self.server:
            return None
        self.server.kill()
        return f"the {self.role}, port {self.server.port}, kill -9"

    def end(self):
        if self.server:
            self.server.launch()


class KillLeader(KillServer):
    role = "leader"


class PauseServer(Fault):
    role = "follower"
    seconds = (0.5, 4.0)

    def begin(self):
        self.server = self.world.ensemble.find(self.role)
        if not self.server:
            return None
        self.world.ensemble.pause(self.server)
        return f"the {self.role}, port {self.server.port}, stopped"

    def end(self):
        if self.server:
            self.world.ensemble.go_on(self.server)


class PauseLeader(PauseServer):
    role = "leader"


class PauseMost(Fault):
    """No quorum: nobody serves."""

    seconds = (1.0, 4.0)

    def begin(self):
        ensemble = self.world.ensemble
        running = [server for server in ensemble.servers if ensemble.role(server)]
        self.servers = self.chance.sample(running, min(2, len(running)))
        for server in self.servers:
            ensemble.pause(server)
        return f"{len(self.servers)} of 3 servers stopped"

    def end(self):
        for server in self.servers:
            self.world.ensemble.go_on(server)


# --- the way to ZooKeeper


class Cut(Fault):
    evidence = ("connection to ZooKeeper lost", "connected to ZooKeeper")

    def begin(self):
        for wire in self.world.sidecar.wires:
            wire.cut()
        return "the connection, and all that would follow"

    def end(self):
        for wire in self.world.sidecar.wires:
            wire.mend()


class Interrupt(Cut):
    """Broken, not cut: the next connection holds."""

    seconds = (0.1, 0.3)

    def begin(self):
        for wire in self.world.sidecar.wires:
            wire.interrupt()
        return "the connection, once"


class Slow(Fault):
    seconds = (1.0, 3.0)

    def begin(self):
        delay = self.chance.uniform(0.05, 0.4)
        self.delay(delay)
        return f"the connection, by {1000 * delay:.0f} ms a piece"

    def end(self):
        self.delay(0)

    def delay(self, seconds):
        for wire in self.world.sidecar.wires:
            wire.delay = seconds


class Expire(Cut):
    """A second client with the session's id and password ends it."""

    seconds = (0.0, 0.5)
    evidence = ("the ZooKeeper session is over",)

    def begin(self):
        super().begin()  # or hatlas would take the session back before it is closed
        ended = 0
        for wire in self.world.sidecar.wires:
            if wire.session:
                with contextlib.suppress(AssertionError, OSError):
                    server = self.world.ensemble.find("leader")
                    if server:
                        parts.close_session(server, wire.session, wire.password)
                        ended += 1
            wire.session = None
        return f"{ended} session" if ended else None


# --- hatlas and HAProxy


class KillHatlas(Fault):
    seconds = (0.0, 2.0)
    evidence = ("hatlas runs", "adopted the HAProxy of an earlier hatlas")

    def begin(self):
        self.world.sidecar.kill()
        self.world.sampler.look()
        return "kill -9"

    def end(self):
        self.world.sidecar.run()


class KillWorker(Fault):
    seconds = (0.0, 0.5)
    evidence = ("HAProxy died, it is started again", "HAProxy runs")

    def begin(self):
        self.master, pid = self.world.sidecar.master_pid(), self.world.sidecar.worker()
        return self.world.outages.kill(pid, "worker") if self.master and pid else None

    def expected(self):
        """In the middle of a reload the killed one may have been of yesterday: then the
        master lives on."""
        return () if self.world.sidecar.master_pid() == self.master else self.evidence


class KillMaster(KillWorker):
    def begin(self):
        self.master = self.world.sidecar.master_pid()
        return self.world.outages.kill(self.master, "master") if self.master else None


# --- the machine and the registry


class FillDisk(Fault):
    seconds = (0.5, 2.0)
    evidence = ("No space left on device",)
    writes = True

    def begin(self):
        """Files follow changes once these pause: so they do."""
        churn = self.world.churn
        self.place = self.world.sidecar.logged()
        self.world.sidecar.disk.fill()
        done = churn.done
        parts.wait_for(lambda: churn.done > done + 5, "changes")
        churn.hold()
        return "no block left where the config is"

    def end(self):
        with contextlib.suppress(AssertionError):  # told as lacking evidence
            parts.wait_for(lambda: self.evidence[0] in self.world.sidecar.log_since(self.place),
                           "", 20)
        self.world.sidecar.disk.empty()


class Garbage(Fault):
    """Records that are none, names that are none, and good records overwritten by bad ones
    in services that have another host."""

    seconds = (1.0, 2.0)
    writes = True

    def begin(self):
        registry, churn = self.world.registry, self.world.churn
        self.paths, self.spoilt = [], []
        churn.hold()
        try:
            numbers = self.chance.sample(range(churn.count), min(20, churn.count))
            churn.spared.update(name_of(number) for number in numbers)
        finally:
            churn.go()
        for at, number in enumerate(numbers):
            rubbish = RUBBISH[at % len(RUBBISH)]
            self.spoil(number, rubbish)
            self.write(registry.path(name_of(number), f"bad-{at}"), rubbish)
        self.write(registry.atlas.path("services", "rubbish"), b"{")
        for at, name in enumerate(NAMES):
            good = b'{"host":"127.0.0.1","port":9}'
            self.write(registry.atlas.path("services", "rubbish", "hosts", name), good)
            service = registry.atlas.path("services", name)
            self.write(service, b"{}")
            self.write(f"{service}/hosts/h{at}", good)
        self.evidence = (registry.path(name_of(numbers[0]), "bad-0"),)
        return f"{len(self.paths)} znodes, {len(self.spoilt)} of them good before"

    def write(self, path, data):
        self.world.registry.raw(path, data)
        self.paths.append(path)

    def spoil(self, number, rubbish):
        host_id = self.world.churn.spare(number)
        if host_id:
            self.world.registry.raw(self.world.registry.path(name_of(number), host_id),
                                    rubbish)
            self.spoilt.append((name_of(number), host_id))

    def end(self):
        registry = self.world.registry
        for path in reversed(self.paths):
            registry.raw_remove(path)
        for service, host_id in self.spoilt:
            registry.put_host(service, host_id, registry.services[service]["hosts"][host_id])
        self.world.churn.spared.clear()


KINDS = {
    "calm": Calm,
    "cut": Cut,
    "interrupt": Interrupt,
    "slow": Slow,
    "expire": Expire,
    "kill leader": KillLeader,
    "kill follower": KillServer,
    "pause leader": PauseLeader,
    "pause follower": PauseServer,
    "pause quorum": PauseMost,
    "kill hatlas": KillHatlas,
    "kill worker": KillWorker,
    "kill master": KillMaster,
    "fill disk": FillDisk,
    "garbage": Garbage,
}
