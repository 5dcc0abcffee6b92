"""What changes cost: until HAProxy answers by them, in a storm, in reloads, and in
instructions by the size of the registry."""
import json
import math
import os
import pathlib
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import time

import parts

FOLDER = pathlib.Path(__file__).resolve().parent
CHANGES = 100
UNCHECKED = {"defaults": {"check": {"type": "none"}}}


class Answers:
    """Two hosts that say "one" and "two", fast enough not to be what is measured, and the
    way to ask for one through a sidecar's HAProxy."""

    def __init__(self, folder):
        folder.mkdir()
        self.ports = [parts.free_port(), parts.free_port()]
        config = folder / "answers.cfg"
        config.write_text(
            "global\n    nbthread 1\n"
            "defaults\n    mode http\n    timeout client 1m\n    timeout server 1m\n"
            "    timeout connect 5s\n" + "".join(
                f"frontend {name}\n    bind 127.0.0.1:{port}\n    http-request return "
                f"status 200 content-type text/plain string {name}\n"
                for name, port in zip(("one", "two"), self.ports)))
        self.process = subprocess.Popen(["haproxy", "-db", "-f", str(config)])
        self.connection = None

    def ask(self, port):
        """The body of one answer on a kept connection; "" if there was none."""
        request = b"GET / HTTP/1.1\r\nHost: bench\r\nX-Service: probe\r\n\r\n"
        try:
            if not self.connection:
                self.connection = socket.create_connection(("127.0.0.1", port), 5)
            self.connection.sendall(request)
            answer = self.connection.recv(4096).decode()
        except OSError:
            answer = ""
        if not answer or "connection: close" in answer.lower():
            self.hang_up()
        return answer.rpartition("\r\n\r\n")[2]

    def hang_up(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def wait(self, port, body):
        end = time.perf_counter() + parts.DEADLINE
        while self.ask(port) != body:
            if time.perf_counter() > end:
                raise AssertionError(f"the answer {body!r} never came")
            time.sleep(0.0001)

    def close(self):
        self.hang_up()
        self.process.kill()
        self.process.wait()


class Probe:
    """A service of which one host can be switched off and on: while it is off, the other
    one, a backup, answers. Each is one write of one znode."""

    def __init__(self, atlas, answers):
        self.atlas, self.answers = atlas, answers
        atlas.put_service("probe", check={"type": "none"})
        self.switch(True)
        atlas.put_host("probe", answers.ports[1], host_id="b", backup=True)

    def switch(self, enabled):
        self.atlas.put_host("probe", self.answers.ports[0], host_id="a", enabled=enabled)

    def measure(self, port, pause):
        """Milliseconds from write to changed answer, sorted."""
        times = []
        for number in range(CHANGES + 4):
            enabled = number % 2 == 1
            time.sleep(pause * random.uniform(1, 1.5))
            start = time.perf_counter()
            self.switch(enabled)
            self.answers.wait(port, "one" if enabled else "two")
            times.append((time.perf_counter() - start) * 1000)
        self.answers.hang_up()
        return sorted(times[4:])


def p99(times):
    return times[math.ceil(len(times) * 0.99) - 1]


def run_quietly(hatlas, zookeeper, root, **more):
    settings = {"services": UNCHECKED, "log": {"level": "info"}, **more}
    return hatlas.configure(sources=[{"zookeeper": zookeeper.address, "root": root}],
                            **settings).run()


def measure_hatlas(folder, zookeeper, probe, pause, **more):
    hatlas = parts.Hatlas(folder)
    run_quietly(hatlas, zookeeper, probe.atlas.root, **more)
    try:
        hatlas.wait_answer("probe", "one")
        times = probe.measure(hatlas.port, pause)
        time.sleep(2)  # the file follows
        return times, hatlas.reloads(), hatlas
    finally:
        hatlas.close()


def measure_watcher(hatlas, zookeeper, probe, pause):
    """The watcher drives a HAProxy on the config that hatlas has left."""
    haproxy = subprocess.Popen(["haproxy", "-W", "-db", "-f", str(hatlas.config)])
    watcher = subprocess.Popen(
        ["/usr/bin/python3", str(FOLDER / "watcher.py"), zookeeper.address,
         probe.atlas.path("services"), str(hatlas.socket)],
        stdout=subprocess.PIPE, text=True)
    try:
        hatlas.wait_answer("probe", "one")
        if watcher.stdout.readline() != "ready\n":
            raise AssertionError("the watcher did not start")
        return probe.measure(hatlas.port, pause)
    finally:
        for process in (watcher, haproxy):
            process.kill()
            process.wait()
        watcher.stdout.close()
        parts.kill_processes_of(hatlas.folder)


def bench_change(table, folder, zookeeper, atlas):
    """From the write of a znode to the first answer by it, through HAProxy."""
    answers = Answers(folder / "answers")
    try:
        probe = Probe(atlas, answers)
        runtime, reloads, hatlas = measure_hatlas(folder / "change", zookeeper, probe, 0.3)
        probe.switch(True)
        bare = measure_watcher(hatlas, zookeeper, probe, 0.3)
        probe.switch(True)
        reload, _, _ = measure_hatlas(folder / "reloads", zookeeper, probe, 0.3,
                                      apply={"runtime": False})
    finally:
        answers.close()
        atlas.remove_service("probe")
    limit = statistics.median(bare)
    ratio = statistics.median(runtime) / limit
    size = f"median of {CHANGES} (p99)"
    table.add(f"bare kazoo watcher: write to answer, {size}",
              f"{limit:.1f} ms ({p99(bare):.1f})")
    table.add(f"write to answer, by the Runtime API, {size}",
              f"{statistics.median(runtime):.1f} ms ({p99(runtime):.1f})",
              "1.5 of the watcher", ratio, ratio <= 1.5)
    table.add("reloads in that", f"{reloads}", "0", ok=reloads == 0)
    table.add(f"write to answer, by reloads, {size}",
              f"{statistics.median(reload):.0f} ms ({p99(reload):.0f})")


# --- storm


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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


def bench_storm(table, folder, zookeeper, atlas, services):
    """2,000 changes of hosts in 10 s over 200 services of the 1,000."""
    count, seconds = 2000, 10
    hatlas = parts.Hatlas(folder / "storm")
    storm = Storm(atlas, services)
    run_quietly(hatlas, zookeeper, atlas.root, status={"enabled": False})
    try:
        parts.wait_for(lambda: hatlas.count("applied"), "the first apply")
        parts.wait_for(lambda: storm.actual(hatlas) == storm.expected(), "HAProxy")
        time.sleep(4)  # so that the cache is written
        reloads, cpu = hatlas.reloads(), processor_seconds(hatlas.process.pid)
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
        cpu = processor_seconds(hatlas.process.pid) - cpu
        reloads = hatlas.reloads() - reloads
    finally:
        hatlas.close()
    size = f"{count:,} changes in {last - start:.0f} s over {len(services)} services"
    table.add(f"storm, {size}: reloads", f"{reloads}", "0", ok=reloads == 0)
    table.add("storm: processor time of hatlas", f"{cpu:.2f} s")
    table.add("storm: until HAProxy has the last change", f"{settled * 1000:.0f} ms")


# --- reloads


def bench_reload(table, folder, zookeeper, atlas):
    """100 reloads while wrk keeps 32 connections busy."""
    backend = parts.FastBackend(folder / "fast")
    hatlas = parts.Hatlas(folder / "reload")
    atlas.put_host("fast", backend.port)
    run_quietly(hatlas, zookeeper, atlas.root, apply={"runtime": False})
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
    answered = re.search(r"(\d+) requests in", report).group(1)
    table.add(f"{reloads} reloads under wrk, 32 connections: failed requests",
              f"{failed} of {int(answered):,}", "0", ok=failed == 0)
    table.add("the same: one reload", f"{took / reloads * 1000:.0f} ms")


# --- instructions


def build_preload(folder):
    library = folder / "pidfd.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library),
                    str(FOLDER / "pidfd.c")], check=True)
    return library


def control(hatlas, what):
    subprocess.run(["callgrind_control", what, str(hatlas.process.pid)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def count_instructions(folder, zookeeper, atlas, answers):
    """Of one change: read, rendered, planned, given to HAProxy, verified, written."""
    changes = 4
    hatlas = parts.Hatlas(folder)
    out = folder / "callgrind"
    hatlas.configure(sources=[{"zookeeper": zookeeper.address, "root": atlas.root}],
                     services=UNCHECKED, log={"level": "info"}, status={"enabled": False})
    hatlas.run(prefix=["env", f"LD_PRELOAD={build_preload(folder)}", "valgrind", "-q",
                       "--tool=callgrind", "--instr-atstart=no",
                       f"--callgrind-out-file={out}"])
    server = f" 127.0.0.1:{answers.ports[0]} "
    probe = Probe(atlas, answers)
    try:
        parts.wait_for(lambda: hatlas.get("probe").body == "one", "HAProxy", 600)
        time.sleep(8)  # so that the cache is written
        for number in range(changes + 2):
            if number == 2:
                control(hatlas, "--instr=on")
            probe.switch(number % 2 == 1)
            parts.wait_for(lambda: any(
                server in line and line.endswith(" disabled") == (number % 2 == 0)
                for line in hatlas.config.read_text().splitlines()), "the file", 120)
            time.sleep(1)
        control(hatlas, "--dump")
        text = pathlib.Path(f"{out}.1").read_text()
        if keep := os.environ.get("BENCH_KEEP"):
            pathlib.Path(keep, f"{folder.name}.callgrind").write_text(text)
    finally:
        hatlas.kill()
        parts.kill_processes_of(folder)
    total = re.search(r"^(?:summary|totals): (\d+)", text, re.M)
    return int(total.group(1)) / changes / 1e6


def bench_cost(table, folder, zookeeper, fill):
    """Instructions of one change, by how many services there are."""
    answers = Answers(folder / "answers-of-cost")
    counts = {}
    try:
        for services in (100, 1000, 10000):
            atlas = fill(zookeeper.client(), f"/cost-{services}", services, 5)
            counts[services] = count_instructions(folder / f"cost-{services}", zookeeper,
                                                  atlas, answers)
    finally:
        answers.close()
    for services, count in counts.items():
        ratio = count / counts[100]
        table.add(f"one change, {services:,} x 5: million instructions", f"{count:.1f}",
                  "0.1 of the growth" if services > 100 else "",
                  ratio / (services / 100) if services > 100 else None)
