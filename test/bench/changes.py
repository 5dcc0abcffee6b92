"""What changes cost: until HAProxy answers by them, in a storm, in reloads, and in
instructions by the size of the registry."""
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import time

import common
import parts

CHANGES = 100
WARM_UP = 10


class Watcher:
    """The bare watcher, with a HAProxy on what hatlas renders of its registry."""

    def __init__(self, folder, zookeeper, root):
        config = parts.Hatlas(folder).configure(
            sources=[{"zookeeper": zookeeper.address, "root": root}],
            services=common.UNCHECKED)
        done = config.command("render", "--write", "--timeout", "2m")
        if done.returncode:
            raise AssertionError(done.stderr)
        self.folder, self.port = folder, config.port
        with open(folder / "log", "wb") as log:
            self.haproxy = subprocess.Popen(["haproxy", "-W", "-db", "-f",
                                             str(config.config)], stderr=log)
            self.watcher = subprocess.Popen(
                ["/usr/bin/python3", str(common.FOLDER / "watcher.py"), zookeeper.address,
                 f"{root}/testing/services", str(config.socket)],
                stdout=subprocess.PIPE, stderr=log, text=True)
        if self.watcher.stdout.readline() != "ready\n":
            raise AssertionError("the watcher did not start")

    def close(self):
        for process in (self.watcher, self.haproxy):
            process.kill()
            process.wait()
        self.watcher.stdout.close()
        parts.kill_processes_of(self.folder)


def measure_turns(rivals, times, pause=0.4):
    """Milliseconds of each of some (probe, port), turn by turn. The pause is long enough
    for the check of the file, which follows a change of hatlas's, to be over."""
    for probe, port in rivals:
        parts.wait_for(lambda p=probe, at=port: p.ask(at) == "one", "HAProxy")
    took = [[] for _ in rivals]
    for number in range(WARM_UP + times):
        for (probe, port), mine in zip(rivals, took):
            time.sleep(pause * random.uniform(1, 1.5))
            took_now = probe.turn(port)
            if number >= WARM_UP:
                mine.append(took_now)
    for probe, _ in rivals:
        probe.hang_up()
    return took


@contextlib.contextmanager
def beside_watcher(folder, zookeeper, client, root, bare_root):
    """hatlas, and with it the rivals for measure_turns(): it and the bare watcher, each with
    a copy of the registry, so that a change wakes only one of them."""
    with contextlib.ExitStack() as stack:
        answers = common.Answers(folder / "answers")
        stack.callback(answers.close)
        probes = []
        for at in (root, bare_root):
            probes.append(common.Probe(parts.Atlas(client, at), answers))
            stack.callback(probes[-1].remove)
        hatlas = common.run_hatlas(folder / "hatlas", zookeeper, root)
        stack.callback(hatlas.close)
        watcher = Watcher(folder / "bare", zookeeper, bare_root)
        stack.callback(watcher.close)
        yield hatlas, [(probes[0], hatlas.port), (probes[1], watcher.port)]


def add_turns(table, what, own, bare):
    table.add(what, statistics.median(own), "ms",
              ("bare watcher", statistics.median(bare)), f"median of {len(own)}")
    table.add(f"{what}, p99", common.p99(own), "ms", ("bare watcher", common.p99(bare)))


def bench_change(table, folder, zookeeper, client):
    """From the write of a znode to the first answer by it, through HAProxy."""
    common.fill(client, "/bare", 1000, 5)
    with beside_watcher(folder, zookeeper, client, "/atlas", "/bare") as (hatlas, rivals):
        own, bare = measure_turns(rivals, CHANGES)
        time.sleep(2)  # the file follows
        reloads = hatlas.reloads()
    add_turns(table, "write to answer, Runtime API", own, bare)
    table.add(f"reloads in {CHANGES} changes", reloads)
    answers = common.Answers(folder / "answers-of-reloads")
    probe = common.Probe(parts.Atlas(client, "/atlas"), answers)
    hatlas = common.run_hatlas(folder / "reloads", zookeeper, "/atlas",
                               apply={"runtime": False})
    try:
        took, = measure_turns([(probe, hatlas.port)], CHANGES)
        check, _ = common.milliseconds(lambda: parts.haproxy_accepts(hatlas.config))
    finally:
        hatlas.close()
        answers.close()
        probe.remove()
    table.add("write to answer, by reload", statistics.median(took), "ms",
              ("haproxy -c", check), f"median of {CHANGES}")
    table.add("write to answer, by reload, p99", common.p99(took), "ms")


# --- storm


class Storm:
    """Hosts of some services that come, go, are switched and weighed, many a second."""

    def __init__(self, atlas, services, seed=1):
        self.atlas, self.random = atlas, random.Random(seed)
        self.hosts = {name: {self.key(host): {**host} for host in hosts}
                      for name, hosts in services.items()}
        self.added = 0

    @staticmethod
    def key(host):
        return f"{host['host']}:{host['port']}"

    def change(self):
        name = self.random.choice(list(self.hosts))
        hosts = self.hosts[name]
        kind = self.random.random()
        path = self.atlas.path("services", name, "hosts")
        if kind < 0.1:
            self.added += 1
            host = {"host": "10.99.0.1", "port": 1000 + self.added}
            hosts[self.key(host)] = host
            return self.atlas.client.create_async(f"{path}/{self.key(host)}",
                                                  json.dumps(host).encode())
        key = self.random.choice(list(hosts))
        if kind < 0.2 and len(hosts) > 4:
            del hosts[key]
            return self.atlas.client.delete_async(f"{path}/{key}")
        if kind < 0.5:
            hosts[key]["enabled"] = not hosts[key].get("enabled", True)
        else:
            hosts[key]["weight"] = self.random.randint(1, 256)
        return self.atlas.client.set_async(f"{path}/{key}", json.dumps(hosts[key]).encode())

    def expected(self):
        """(backend, server) → weight, or None for one in maintenance."""
        return {(name, key): host.get("weight", 1) if host.get("enabled", True) else None
                for name, hosts in self.hosts.items() for key, host in hosts.items()}

    def actual(self, hatlas):
        """The same of HAProxy, without servers that are on their way out."""
        text = parts.ask_unix(hatlas.socket, "show servers state")
        found = {}
        for line in text.splitlines()[2:]:
            words = line.split()
            if len(words) > 7 and words[1] in self.hosts:
                disabled = int(words[6]) & 1 != 0
                found[words[1], words[3]] = None if disabled else int(words[7])
        expected = self.expected()
        return {key: value for key, value in found.items()
                if value is not None or key in expected}


def bench_storm(table, folder, zookeeper, client):
    """2,000 changes of hosts in 10 s over 200 services of the 1,000."""
    count, seconds = 2000, 10
    atlas = common.fill(client, "/storm", 1000, 5)
    hatlas = common.run_hatlas(folder / "storm", zookeeper, atlas.root,
                               status={"enabled": False})
    storm = Storm(atlas, common.services(200, 5))
    try:
        parts.wait_for(lambda: hatlas.count("applied"), "the first apply")
        parts.wait_for(lambda: storm.actual(hatlas) == storm.expected(), "HAProxy")
        time.sleep(4)  # so that the cache is written
        reloads, cpu = hatlas.reloads(), common.processor_ms(hatlas.process.pid)
        start = time.perf_counter()
        futures = []
        for number in range(count):
            time.sleep(max(0, start + number * seconds / count - time.perf_counter()))
            futures.append(storm.change())
        for future in futures:
            future.get()
        last = time.perf_counter()
        parts.wait_for(lambda: storm.actual(hatlas) == storm.expected(), "the storm's end")
        settled = time.perf_counter() - last
        time.sleep(1)  # the file follows, and counts too
        cpu = common.processor_ms(hatlas.process.pid) - cpu
        reloads = hatlas.reloads() - reloads
    finally:
        hatlas.close()
    table.add("reloads in the storm", reloads, "",
              note=f"{count:,} changes in {last - start:.0f} s over 200 services")
    table.add("storm: processor time of hatlas", cpu / 1000, "s")
    table.add("storm: until HAProxy has the last change", settled * 1000, "ms")


# --- reloads


def bench_reload(table, folder, zookeeper, client):
    """100 reloads while wrk keeps 32 connections busy."""
    atlas = common.fill(client, "/few", 10, 5)
    backend = parts.FastBackend(folder / "fast")
    atlas.put_host("fast", backend.port)
    hatlas = common.run_hatlas(folder / "reload", zookeeper, atlas.root,
                               apply={"runtime": False})
    try:
        hatlas.wait_answer("fast", "fast")
        before = hatlas.reloads()
        wrk = subprocess.Popen(
            ["wrk", "-t1", "-c32", "-d1h", "-H", "X-Service: fast",
             f"http://127.0.0.1:{hatlas.port}/"], stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        start = time.perf_counter()
        for number in range(1, CHANGES + 1):
            atlas.put_host("fast", backend.port, weight=1 + number)
            parts.wait_for(lambda: hatlas.reloads() >= before + number, "the reload")
        took = time.perf_counter() - start
        time.sleep(1)
        wrk.send_signal(signal.SIGINT)
        report = wrk.communicate()[0]
        reloads = hatlas.reloads() - before
    finally:
        hatlas.close()
        backend.close()
    failed = sum(int(number) for line in report.splitlines()
                 if "Socket errors" in line or "Non-2xx" in line
                 for number in re.findall(r"\d+", line.partition("2xx or 3xx")[2] or line))
    answered = int(re.search(r"(\d+) requests in", report).group(1))
    if not answered:
        raise AssertionError(report)
    table.add(f"failed requests in {reloads} reloads", failed,
              note=f"of {answered:,}, 32 connections")
    table.add("one reload under that load", took / reloads * 1000, "ms")


# --- instructions


def build_preload(folder):
    library = folder / "pidfd.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library),
                    str(common.FOLDER / "pidfd.c")], check=True)
    return library


def control(hatlas, what):
    subprocess.run(["callgrind_control", what, str(hatlas.process.pid)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def count_instructions(folder, zookeeper, atlas, answers):
    """Of one change: read, rendered, planned, given to HAProxy, verified, written. In
    millions. BENCH_KEEP names a folder for callgrind's own files."""
    changes = 4
    folder.mkdir()
    out = folder / "callgrind"
    probe = common.Probe(atlas, answers)
    server = f" 127.0.0.1:{answers.ports[0]} "
    hatlas = common.run_hatlas(
        folder, zookeeper, atlas.root, status={"enabled": False},
        prefix=["env", f"LD_PRELOAD={build_preload(folder)}", "valgrind", "-q",
                "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"])
    try:
        parts.wait_for(lambda: hatlas.get(probe.name).body == "one", "HAProxy", 600)
        time.sleep(8)  # so that the cache is written
        for number in range(changes + 2):
            if number == 2:
                control(hatlas, "--instr=on")
            probe.switch(number % 2 == 1)
            parts.wait_for(lambda: any(
                server in line and line.endswith(" disabled") != probe.enabled
                for line in hatlas.config.read_text().splitlines()), "the file", 240)
            time.sleep(1)
        control(hatlas, "--dump")
        text = pathlib.Path(f"{out}.1").read_text()
        if keep := os.environ.get("BENCH_KEEP"):
            pathlib.Path(keep, f"{folder.name}.callgrind").write_text(text)
    finally:
        hatlas.kill()
        parts.kill_processes_of(folder)
        probe.remove()
    total = re.search(r"^(?:summary|totals): (\d+)", text, re.M)
    return int(total.group(1)) / changes / 1e6


def bench_cost(table, folder, zookeeper, client):
    """Instructions of one change, by how many services there are."""
    answers = common.Answers(folder / "answers-of-cost")
    first = None
    try:
        for size in (100, 1000, 10000):
            atlas = common.fill(client, f"/cost-{size}", size, 5)
            count = count_instructions(folder / f"cost-{size}", zookeeper, atlas, answers)
            table.add(f"one change, {size:,} x 5", count, "million instructions",
                      ("at 100 x 5", first) if first else None)
            first = first or count
    finally:
        answers.close()
