"""What all benches share: the limits, the table, registries of any size, and the ways to
measure a process."""
import contextlib
import json
import math
import os
import pathlib
import platform
import re
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import parts  # noqa: E402

from kazoo.exceptions import NoNodeError  # noqa: E402

FOLDER = pathlib.Path(__file__).resolve().parent
UNCHECKED = {"defaults": {"check": {"type": "none"}}}

# Every limit there is. Of the ratio to the peer where the row has one, else of the value.
LIMITS = {
    "render, 1,000 x 5": "<= 0.2",
    "render, 10,000 x 10": "<= 0.2",
    "first sync, 1,000 x 5": "<= 0.75",
    "resident memory, 1,000 x 5": "<= 12",
    "resident memory after 50 changes": "<= 12",
    "write to answer, Runtime API": "<= 1.5",
    "reloads in 100 changes": "<= 0",
    "reloads in the storm": "<= 0",
    "failed requests in 100 reloads": "<= 0",
    "requests/s, 10 services": ">= 0.9",
    "requests/s, 100 services": ">= 0.9",
    "requests/s, 1,000 services": ">= 0.9",
    "requests/s, 10,000 services": ">= 0.9",
    "resident memory with status": "<= 12",
    "GET /metrics, CPU of the loop": "<= 10",
}


def text_of(number):
    """Three digits that mean something."""
    if isinstance(number, int) or number == 0 or abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.{max(0, 2 - math.floor(math.log10(abs(number))))}f}"


class Table:
    """One row a figure: what, its value, what it is measured against, their ratio, the
    limit and whether it is kept."""
    HEAD = ("bench", "value", "peer", "ratio", "limit", "")

    def __init__(self):
        self.rows, self.missed = [], []

    def add(self, name, value, unit="", peer=None, note="", ratio=None):
        """`peer` is (what it is, its value in the same unit). The ratio is that of the two,
        if no better one is known."""
        if peer and peer[1] and ratio is None:
            ratio = value / peer[1]
        limit = LIMITS.get(name, "")
        verdict = self.judge(name, ratio if peer else value, limit)
        self.rows.append((
            name, f"{text_of(value)} {unit} {note}".strip(),
            f"{peer[0]}: {text_of(peer[1])}" if peer else "",
            "" if ratio is None else f"{ratio:.2f}", limit, verdict))
        print("  " + "  ".join(filter(None, self.rows[-1])), file=sys.stderr, flush=True)

    def judge(self, name, measured, limit):
        if not limit:
            return ""
        kind, number = limit.split()
        kept = (measured is not None and
                (measured <= float(number) if kind == "<=" else measured >= float(number)))
        if not kept:
            self.missed.append(name)
        return "ok" if kept else "MISSED"

    def show(self):
        rows = [self.HEAD, *self.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(len(self.HEAD))]
        rows.insert(1, tuple("-" * width for width in widths))
        for row in rows:
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths))
                  + " |")
        for name in self.missed:
            print(f"MISSED: {name}")


def first_line(*command):
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0]


def show_head():
    """What is measured, and on what."""
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    ram = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    kazoo = first_line("/usr/bin/python3", "-c", "import kazoo; print(kazoo.__version__)")
    package = first_line("dpkg-query", "-W", "-f", "${Version}\n", "zookeeper")
    print(f"hatlas     {first_line(parts.BINARY, '--version')}, release build, "
          f"{first_line('cc', '--version')}")
    print(f"HAProxy    {first_line('haproxy', '-v')}")
    print(f"ZooKeeper  {package}, one server on loopback; kazoo {kazoo}")
    print(f"machine    {model.group(1) if model else platform.machine()}, "
          f"{os.cpu_count()} cores, {int(ram.group(1)) >> 20} GiB, "
          f"Linux {platform.release()}")
    print(f"load       {' '.join(f'{load:.1f}' for load in os.getloadavg())} before\n",
          flush=True)


def subfolder(folder, name):
    path = folder / name
    path.mkdir()
    return path


# --- registries


def services(count, hosts, zones=False):
    """A cluster of that size; with zones, each host of a service has its own."""
    return {f"service-{s:05}": [
        {"host": f"10.{s >> 8 & 255}.{s & 255}.{h + 1}", "port": 8000 + h,
         **({"zone": f"zone-{h}"} if zones else {})}
        for h in range(hosts)] for s in range(count)}


def cluster_file(folder, count, hosts):
    path = folder / f"cluster-{count}.yaml"
    path.write_text(json.dumps({"services": {
        name: {"hosts": records} for name, records in services(count, hosts).items()}}))
    return path


class ZooKeeper(parts.ZooKeeper):
    """With memory for a hundred thousand records, and as many watches of many clients."""
    JAVA = [word.replace("-Xmx128m", "-Xmx1g") for word in parts.ZooKeeper.JAVA]


def fill(client, root, count, hosts, zones=False):
    """Writes the cluster into ZooKeeper, many requests at a time."""
    atlas = parts.Atlas(client, root)
    cluster = services(count, hosts, zones)

    def create(nodes):
        waiting = []
        for path, data in nodes:
            waiting.append(client.create_async(path, data))
            if len(waiting) == 2000:
                for future in waiting:
                    future.get()
                waiting.clear()
        for future in waiting:
            future.get()
    create((atlas.path("services", name), b"{}") for name in cluster)
    create((atlas.path("services", name, "hosts"), b"") for name in cluster)
    create((atlas.path("services", name, "hosts", f"{host['host']}:{host['port']}"),
            json.dumps(host).encode()) for name, records in cluster.items()
           for host in records)
    return atlas


def ignore(_):
    pass


def kazoo_read(zookeeper, root):
    """Reads the tree with a watch on everything, each request sent as soon as its path is
    known. Returns how many records there were. The client's start counts, as hatlas's
    connecting does; the start of the interpreter does not."""
    client = zookeeper.client()
    base = f"{root}/testing/services"
    records = 0
    names = client.get_children(base, watch=ignore)
    lists = [(name, client.get_async(f"{base}/{name}", watch=ignore),
              client.get_children_async(f"{base}/{name}/hosts", watch=ignore))
             for name in names]
    reads = []
    for name, service, hosts in lists:
        json.loads(service.get()[0])
        with contextlib.suppress(NoNodeError):
            reads += [client.get_async(f"{base}/{name}/hosts/{host}", watch=ignore)
                      for host in hosts.get()]
    for read in reads:
        json.loads(read.get()[0])
        records += 1
    return client, records


# --- measuring


def milliseconds(function):
    start = time.perf_counter()
    value = function()
    return (time.perf_counter() - start) * 1000, value


def median_of(times, function):
    return statistics.median(function() for _ in range(times))


def p99(times):
    return sorted(times)[math.ceil(len(times) * 0.99) - 1]


def logged(log, message):
    """The field ms of the last line with that message."""
    lines = [parts.parse_logfmt(line) for line in log.splitlines() if "msg=" in line]
    found = [line for line in lines if line["msg"] == message]
    if not found:
        raise AssertionError(f"no {message!r} in the log:\n{log}")
    return float(found[-1]["ms"])


def processor_seconds(pid):
    """Of a process, to the tick; of a single thread use processor_ms()."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def processor_ms(pid):
    """Of a process's first thread, by the scheduler's account."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def memory(pid):
    """Resident and proportional megabytes of a process."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return [int(re.search(rf"^{key}:\s+(\d+) kB", text, re.M).group(1)) / 1024
            for key in ("Rss", "Pss")]


def quiet_hatlas(folder, **settings):
    """A hatlas that writes its files and tells nobody."""
    hatlas = parts.Hatlas(folder)
    return hatlas.configure(haproxy={"control": "command", "command": ["true"]},
                            **settings)


def only_files(hatlas):
    """Outputs of which none is the config of a HAProxy that has to be told."""
    return [{"template": "haproxy.cfg", "path": str(hatlas.config), "check": "none"},
            {"template": "services.map", "path": str(hatlas.out / "services.map")}]


def run_hatlas(folder, zookeeper, root, prefix=(), **more):
    """A running hatlas of that registry, with its HAProxy."""
    hatlas = parts.Hatlas(folder)
    settings = {"services": UNCHECKED, "log": {"level": "info"}, **more}
    return hatlas.configure(sources=[{"zookeeper": zookeeper.address, "root": root}],
                            **settings).run(prefix=prefix)


class Answers:
    """Two hosts that say "one" and "two", fast enough not to be what is measured."""

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

    def close(self):
        self.process.kill()
        self.process.wait()


class Probe:
    """A service in the middle of the others, of which one host can be switched off and on:
    while it is off, the other one, a backup, answers. Each is one write of one znode."""

    def __init__(self, atlas, answers):
        self.atlas, self.ports, self.connection = atlas, answers.ports, None
        self.enabled = True
        others = sorted(atlas.client.get_children(atlas.path("services")))
        self.name = f"{others[len(others) // 2]}-probe"
        atlas.put_service(self.name, check={"type": "none"})
        self.switch(True)
        atlas.put_host(self.name, answers.ports[1], host_id="b", backup=True)

    def remove(self):
        self.atlas.remove_service(self.name)

    def switch(self, enabled):
        self.atlas.put_host(self.name, self.ports[0], host_id="a", enabled=enabled)
        self.enabled = enabled

    def ask(self, port):
        """The body of one answer on a kept connection; "" if there was none."""
        request = f"GET / HTTP/1.1\r\nHost: bench\r\nX-Service: {self.name}\r\n\r\n"
        try:
            if not self.connection:
                self.connection = socket.create_connection(("127.0.0.1", port), 5)
            self.connection.sendall(request.encode())
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

    def wait(self, port):
        """Until HAProxy answers by the last switch."""
        body = "one" if self.enabled else "two"
        end = time.perf_counter() + parts.DEADLINE
        while self.ask(port) != body:
            if time.perf_counter() > end:
                raise AssertionError(f"the answer {body!r} never came")
            time.sleep(0.0001)

    def turn(self, port):
        """Milliseconds from a write to the answer by it."""
        def change():
            self.switch(not self.enabled)
            self.wait(port)
        return milliseconds(change)[0]
