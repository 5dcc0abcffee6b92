"""The figures that hatlas promises, measured side by side with what they are limited by.
With names as arguments only these: render sync memory change storm reload cost."""
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import changes  # noqa: E402
import parts  # noqa: E402

from kazoo.exceptions import NoNodeError  # noqa: E402


class Table:
    """Rows of name, value, limit, ratio, ok."""

    def __init__(self):
        self.rows = []

    def add(self, name, value, limit="", ratio=None, ok=None):
        self.rows.append((name, value, limit, "" if ratio is None else f"{ratio:.2f}",
                          {None: "", True: "yes", False: "NO"}[ok]))
        print(f"  {name}: {value} {limit}", file=sys.stderr)

    def show(self):
        rows = [("name", "value", "limit", "ratio", "ok"), *self.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        rows.insert(1, tuple("-" * width for width in widths))
        for row in rows:
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths))
                  + " |")

    def good(self):
        return all(row[4] != "NO" for row in self.rows)


def first_line(*command):
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0]


def head():
    """What was measured, and on what."""
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    kazoo = first_line("/usr/bin/python3", "-c", "import kazoo; print(kazoo.__version__)")
    package = first_line("dpkg-query", "-W", "-f", "${Version}\n", "zookeeper")
    print(f"hatlas     {first_line(parts.BINARY, '--version')}, release build")
    print(f"HAProxy    {first_line('haproxy', '-v')}")
    print(f"ZooKeeper  {package}, kazoo {kazoo}, one server on loopback")
    print(f"machine    {model.group(1) if model else platform.machine()}, "
          f"{os.cpu_count()} cores, {int(memory.group(1)) >> 20} GiB, "
          f"Linux {platform.release()}")
    print()


def services(count, hosts):
    """A cluster of that size."""
    return {f"service-{s:05}": [
        {"host": f"10.{s >> 8 & 255}.{s & 255}.{h + 1}", "port": 8000 + h}
        for h in range(hosts)] for s in range(count)}


def cluster_file(folder, count, hosts):
    path = folder / f"cluster-{count}.yaml"
    path.write_text(json.dumps({"services": {
        name: {"hosts": records} for name, records in services(count, hosts).items()}}))
    return path


def fill(client, root, count, hosts):
    """Writes the cluster into ZooKeeper, many requests at a time."""
    atlas = parts.Atlas(client, root)
    cluster = services(count, hosts)

    def create(nodes):
        for future in [client.create_async(path, data) for path, data in nodes]:
            future.get()
    create((atlas.path("services", name), b"{}") for name in cluster)
    create((atlas.path("services", name, "hosts"), b"") for name in cluster)
    create((atlas.path("services", name, "hosts", f"{host['host']}:{host['port']}"),
            json.dumps(host).encode()) for name, records in cluster.items()
           for host in records)
    return atlas


def milliseconds(function):
    start = time.perf_counter()
    value = function()
    return (time.perf_counter() - start) * 1000, value


def median_of(times, function):
    return statistics.median(function() for _ in range(times))


def logged(log, message):
    """The field ms of the last line with that message."""
    lines = [parts.parse_logfmt(line) for line in log.splitlines() if "msg=" in line]
    return float([line for line in lines if line["msg"] == message][-1]["ms"])


def quiet_hatlas(folder, **settings):
    """A hatlas that writes its files and tells nobody."""
    hatlas = parts.Hatlas(folder)
    return hatlas.configure(haproxy={"control": "command", "command": ["true"]},
                            **settings)


# --- the figures


def bench_render(table, folder):
    """The render step of a run (its own log line: templates to text, all outputs), and
    haproxy -c on the file that it wrote."""
    for count, hosts, times in ((1000, 5, 7), (10000, 10, 3)):
        size = f"{count:,} x {hosts}"
        source = cluster_file(folder, count, hosts)
        hatlas = quiet_hatlas(folder / f"render-{count}", sources=[{"file": str(source)}])

        def render():
            hatlas.config.unlink(missing_ok=True)
            done = hatlas.command("run", "--once", "--log-level", "debug")
            assert done.returncode == 0, done.stderr
            return logged(done.stderr, "rendered")

        def check():
            took, (good, message) = milliseconds(
                lambda: parts.haproxy_accepts(hatlas.config))
            assert good, message
            return took

        rendered = median_of(times, render)
        checked = median_of(times, check)
        whole = median_of(times, lambda: milliseconds(
            lambda: hatlas.command("render"))[0])
        table.add(f"haproxy -c, {size}", f"{checked:.0f} ms")
        table.add(f"render, {size}", f"{rendered:.1f} ms", "0.2 of haproxy -c",
                  rendered / checked, rendered / checked <= 0.2)
        table.add(f"`hatlas render` as a whole, from a file, {size}", f"{whole:.0f} ms")


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
        try:
            reads += [client.get_async(f"{base}/{name}/hosts/{host}", watch=ignore)
                      for host in hosts.get()]
        except NoNodeError:
            continue
    for read in reads:
        json.loads(read.get()[0])
        records += 1
    return client, records


def ignore(_):
    pass


def bench_sync(table, folder, zookeeper, atlas):
    """From opening the connection to the whole catalog with all watches: hatlas's own log
    line, against a pipelined kazoo reader; in turns, so that both see the same server."""
    hatlas = quiet_hatlas(folder / "sync", sources=[{"zookeeper": zookeeper.address,
                                                     "root": atlas.root}])
    own, other, process = [], [], []
    warm_up = 4  # rounds in which the server's own code is still being compiled
    for _ in range(warm_up + 15):
        took, done = milliseconds(
            lambda: hatlas.command("run", "--once", "--log-level", "info"))
        assert done.returncode == 0, done.stderr
        own.append(logged(done.stderr, "read the registry"))
        process.append(took)
        took, (client, records) = milliseconds(lambda: kazoo_read(zookeeper, atlas.root))
        client.stop()
        client.close()
        assert records == 5000
        other.append(took)
    sync, kazoo = (statistics.median(times[warm_up:]) for times in (own, other))
    table.add("kazoo, pipelined, 1,000 x 5", f"{kazoo:.0f} ms")
    table.add("first sync, 1,000 x 5", f"{sync:.0f} ms", "0.75 of kazoo", sync / kazoo,
              sync / kazoo <= 0.75)
    table.add("`hatlas run --once` as a whole, 1,000 x 5",
              f"{statistics.median(process[warm_up:]):.0f} ms")


def memory(pid):
    """Resident and proportional megabytes of a process."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return [int(re.search(rf"^{key}:\s+(\d+) kB", text, re.M).group(1)) / 1024
            for key in ("Rss", "Pss")]


def bench_memory(table, folder, zookeeper, atlas, backend):
    """hatlas run with a supervised HAProxy, after the first apply and after 50 changes."""
    hatlas = parts.Hatlas(folder / "memory").configure(
        sources=[{"zookeeper": zookeeper.address, "root": atlas.root}],
        log={"level": "info"})
    hatlas.run()
    try:
        parts.wait_for(lambda: hatlas.count("applied"), "the first apply")
        rss, pss = memory(hatlas.process.pid)
        table.add("resident memory of run, 1,000 x 5", f"{rss:.1f} MB (Pss {pss:.1f})",
                  "12 MB", rss / 12, rss <= 12)
        for number in range(50):
            atlas.put_host("service-00001", backend.port, host_id="more", weight=number)
        parts.wait_for(lambda: "weight 49" in hatlas.config.read_text(), "the changes")
        rss, pss = memory(hatlas.process.pid)
        table.add("the same after 50 changes", f"{rss:.1f} MB (Pss {pss:.1f})", "12 MB",
                  rss / 12, rss <= 12)
        atlas.remove_host("service-00001", "more")
    finally:
        hatlas.close()


def main():
    names = ["render", "sync", "memory", "change", "storm", "reload", "cost"]
    wanted = sys.argv[1:] or names
    table = Table()
    head()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hb."))
    zookeeper = parts.ZooKeeper(folder / "zookeeper").start()
    host = parts.Backend("one")
    try:
        client = zookeeper.client()
        atlas = fill(client, "/atlas", 1000, 5)
        steps = {
            "render": lambda: bench_render(table, folder),
            "sync": lambda: bench_sync(table, folder, zookeeper, atlas),
            "memory": lambda: bench_memory(table, folder, zookeeper, atlas, host),
            "change": lambda: changes.bench_change(table, folder, zookeeper, atlas),
            "storm": lambda: changes.bench_storm(table, folder, zookeeper, atlas,
                                                 services(200, 5)),
            "reload": lambda: changes.bench_reload(table, folder, zookeeper,
                                                   fill(client, "/few", 10, 5)),
            "cost": lambda: changes.bench_cost(table, folder, zookeeper, fill),
        }
        for name in wanted:
            steps[name]()
        client.stop()
    finally:
        zookeeper.kill()
        parts.kill_processes_of(folder)
        parts.remove(folder)
    table.show()
    return 0 if table.good() else 1


if __name__ == "__main__":
    sys.exit(main())
