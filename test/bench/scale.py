"""Many services, many sidecars: what 10,000 services with 10 hosts each cost one sidecar,
what 50 sidecars cost a server, and what they save who want less."""
import calendar
import re
import statistics
import time

import changes
import common
import parts

SIDECARS = 50

WANTED = {
    "everything": {},
    "one zone of 5": {"hosts": {"zones": ["zone-1"]}},
    "100 services": {"include": ["service-000*"]},
    "10 services": {"include": ["service-0000*"]},
    "10 services, one zone of 5": {"include": ["service-0000*"],
                                   "hosts": {"zones": ["zone-1"]}},
}


def bench_filters(table, folder, zookeeper, client):
    """Watches, first read and memory of a sidecar by what it wants of 1,000 x 5."""
    common.fill(client, "/zones", 1000, 5, zones=True)
    for number, (what, wanted) in enumerate(WANTED.items()):
        hatlas = common.run_hatlas(folder / str(number), zookeeper, "/zones",
                                   services=wanted)
        try:
            line = parts.parse_logfmt(hatlas.wait_log("read the registry"))
            hatlas.wait_log("msg=applied")
            rss, pss = common.memory(hatlas.process.pid)
        finally:
            hatlas.close()
        table.add(f"watches, {what}", int(line["watches"]),
                  note=f"({line['services']} services, {line['hosts']} hosts, first read "
                       f"{float(line['ms']):.0f} ms, {rss:.1f} MB, Pss {pss:.1f})")


# --- many sidecars


class Fleet:
    """Sidecars without HAProxy: they read, render and write. All on one machine, so that
    the last one's time has the processor time of all in it."""

    def __init__(self, folder, zookeeper, root, services=None):
        self.sidecars = []
        for number in range(SIDECARS):
            hatlas = parts.Hatlas(folder / str(number))
            hatlas.configure(
                sources=[{"zookeeper": zookeeper.address, "root": root}],
                services=services or {}, log={"level": "info"}, status={"enabled": False},
                outputs=common.only_files(hatlas))
            self.sidecars.append(hatlas)

    def start(self):
        for hatlas in self.sidecars:
            hatlas.run()
        for hatlas in self.sidecars:
            hatlas.wait_log("msg=applied")

    def times_of(self, message):
        """When each said so last, in seconds since 1970."""
        return [log_time([line for line in hatlas.log() if line["msg"] == message][-1])
                for hatlas in self.sidecars]

    def wait_text(self, text):
        for hatlas in self.sidecars:
            parts.wait_for(lambda h=hatlas: text in h.config.read_text(), text)

    def pss(self):
        return sum(common.memory(hatlas.process.pid)[1] for hatlas in self.sidecars)

    def close(self):
        for hatlas in self.sidecars:
            hatlas.kill()


def log_time(line):
    stamp, _, rest = line["time"].partition(".")
    return (calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S"))
            + float("0." + rest.rstrip("Z")))


def watches(zookeeper):
    return int(re.search(r"zk_watch_count\t(\d+)", zookeeper.ask("mntr")).group(1))


def measure_fan_out(table, fleet, zookeeper, atlas, name):
    read, written, count = [], [], 40
    path = atlas.path("services", "service-00001", "hosts", "10.0.1.1:8000")
    before = common.processor_seconds(zookeeper.process.pid)
    for number in range(count):
        time.sleep(0.3)
        start = time.time()
        atlas.put(path, {"host": "10.0.1.1", "port": 8000, "weight": number + 2})
        fleet.wait_text(f" 10.0.1.1:8000 weight {number + 2}")
        read.append((max(fleet.times_of("host changed")) - start) * 1000)
        written.append((max(fleet.times_of("applied")) - start) * 1000)
    used = common.processor_seconds(zookeeper.process.pid) - before
    table.add(f"{name}: write until all have read it", statistics.median(read), "ms",
              note=f"median of {count}")
    table.add(f"{name}: write until all have their file", statistics.median(written), "ms",
              note=f"median of {count}")
    return used / count


def bench_fleet(table, folder, *_):
    """50 sidecars of 1,000 x 5 on one server of their own."""
    zookeeper = common.ZooKeeper(folder / "zookeeper").start()
    try:
        client = zookeeper.client()
        atlas = common.fill(client, "/atlas", 1000, 5)
        common.kazoo_read(zookeeper, "/atlas")[0].stop()
        everything = Fleet(folder / "all", zookeeper, "/atlas")
        measure_fleet(table, f"{SIDECARS} sidecars", everything, zookeeper, atlas)
        few = Fleet(folder / "few", zookeeper, "/atlas", {"include": ["service-0000*"]})
        measure_fleet(table, f"{SIDECARS} sidecars of 10 services", few, zookeeper, atlas)
        client.stop()
        client.close()
    finally:
        zookeeper.kill()


def measure_fleet(table, name, fleet, zookeeper, atlas):
    pid = zookeeper.process.pid
    cpu, rss = common.processor_seconds(pid), common.memory(pid)[0]
    try:
        took, _ = common.milliseconds(fleet.start)
        cpu = common.processor_seconds(pid) - cpu
        table.add(f"{name}: until all have read all", took / 1000, "s")
        table.add(f"{name}: the server's time for a first read", cpu / SIDECARS * 1000,
                  "ms each")
        table.add(f"{name}: watches of the server", watches(zookeeper),
                  note=f"(its memory: {rss:.0f} → {common.memory(pid)[0]:.0f} MB)")
        change = measure_fan_out(table, fleet, zookeeper, atlas, name)
        table.add(f"{name}: the server's time for a change", change / SIDECARS * 1e6,
                  "us each")
        table.add(f"{name}: Pss of a sidecar", fleet.pss() / SIDECARS, "MB")
    finally:
        fleet.close()


# --- many services


def bench_scale(table, folder, *_):
    """10,000 services with 10 hosts each, and 120,000 znodes, on a server of their own."""
    zookeeper = common.ZooKeeper(folder / "zookeeper").start()
    try:
        client = zookeeper.client()
        for root in ("/big", "/bare"):
            common.fill(client, root, 10000, 10)
        measure_big_sync(table, folder, zookeeper)
        measure_big_run(table, folder, zookeeper, client)
        answers = common.Answers(folder / "answers-of-cost")
        count = changes.count_instructions(folder / "cost-big", zookeeper,
                                           parts.Atlas(client, "/big"), answers)
        answers.close()
        table.add("one change, 10,000 x 10", count, "million instructions")
        restart_from_cache(table, folder, zookeeper, client)
    finally:
        zookeeper.kill()


def measure_big_sync(table, folder, zookeeper):
    hatlas = common.quiet_hatlas(
        folder / "sync", sources=[{"zookeeper": zookeeper.address, "root": "/big"}])
    own, other = [], []
    for _ in range(4):
        (hatlas.folder / "catalog.json").unlink(missing_ok=True)
        done = hatlas.command("run", "--once", "--log-level", "info")
        assert done.returncode == 0, done.stderr
        own.append(common.logged(done.stderr, "read the registry"))
        took, (client, _) = common.milliseconds(
            lambda: common.kazoo_read(zookeeper, "/big"))
        client.stop()
        client.close()
        other.append(took)
    table.add("first sync, 10,000 x 10", statistics.median(own[1:]), "ms",
              ("kazoo, pipelined", statistics.median(other[1:])))


def measure_big_run(table, folder, zookeeper, client):
    own = common.subfolder(folder, "run")
    with changes.beside_watcher(own, zookeeper, client, "/big", "/bare") as (hatlas, rivals):
        parts.wait_for(lambda: hatlas.count("applied"), "the first apply", 120)
        took, bare = changes.measure_turns(rivals, 15, 1.5)
        changes.add_turns(table, "write to answer, 10,000 x 10", took, bare)
        time.sleep(15)
        rss, pss = common.memory(hatlas.process.pid)
        table.add("resident memory, 10,000 x 10", rss, "MB", note=f"(Pss {pss:.1f})")


def restart_from_cache(table, folder, zookeeper, client):
    """With neither a server nor the files of the last run."""
    answers = common.Answers(folder / "answers")
    probe = common.Probe(parts.Atlas(client, "/big"), answers)
    hatlas = common.run_hatlas(folder / "cache", zookeeper, "/big")
    try:
        parts.wait_for(lambda: probe.ask(hatlas.port) == "one", "HAProxy")
        parts.wait_for((folder / "cache" / "catalog.json").exists, "the cache")
        time.sleep(3)
        probe.hang_up()
        client.stop()
        zookeeper.kill()
        hatlas.close()
        check, _ = common.milliseconds(lambda: parts.haproxy_accepts(hatlas.config))
        for path in hatlas.out.iterdir():
            path.unlink()
        started, _ = common.milliseconds(lambda: (hatlas.run(), probe.wait(hatlas.port)))
    finally:
        probe.hang_up()
        hatlas.close()
        answers.close()
    table.add("restart from the cache, 10,000 x 10", started, "ms", ("haproxy -c", check),
              "to the first answer")
