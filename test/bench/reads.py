"""What reading and rendering cost: templates to text, first sync, memory, the Atlas
commands."""
import json
import statistics
import subprocess

import common
import parts


def copy_ms(data):
    """What it takes to copy the text once, in milliseconds."""
    source = bytearray(data)
    return common.median_of(101, lambda: common.milliseconds(lambda: bytes(source))[0])


def render_again(hatlas, folder, count, hosts):
    """Milliseconds of rendering after the change of one host, the rest being kept."""
    cluster = folder / "changing.yaml"
    services = common.services(count, hosts)
    hatlas.configure(sources=[{"file": str(cluster)}],
                     outputs=common.only_files(hatlas))

    def write(weight):
        services["service-00007"][0]["weight"] = weight
        draft = folder / "draft.yaml"
        draft.write_text(json.dumps({"services": {
            name: {"hosts": records} for name, records in services.items()}}))
        draft.rename(cluster)
    write(1)
    hatlas.run()
    times = []
    try:
        for weight in range(2, 9):
            parts.wait_for(lambda w=weight: hatlas.count("rendered") == w - 1, "the change")
            write(weight)
        parts.wait_for(lambda: hatlas.count("rendered") == 8, "the change")
        for line in hatlas.log():
            if line["msg"] == "rendered":
                times.append(float(line["ms"]))
    finally:
        hatlas.close()
    return statistics.median(times[1:])


def bench_render(table, folder, *_):
    """The render step of a run (its own log line: templates to text, all outputs), and
    haproxy -c on the file that it wrote."""
    for count, hosts, times in ((1000, 5, 7), (10000, 10, 3)):
        size = f"{count:,} x {hosts}"
        source = common.cluster_file(folder, count, hosts)
        hatlas = common.quiet_hatlas(folder / f"render-{count}",
                                     sources=[{"file": str(source)}])

        def render():
            hatlas.config.unlink(missing_ok=True)
            done = hatlas.command("run", "--once", "--log-level", "debug")
            assert done.returncode == 0, done.stderr
            return common.logged(done.stderr, "rendered")

        def check():
            took, (good, message) = common.milliseconds(
                lambda: parts.haproxy_accepts(hatlas.config))
            assert good, message
            return took

        rendered = common.median_of(times, render)
        checked = common.median_of(times, check)
        whole = common.median_of(times, lambda: common.milliseconds(
            lambda: hatlas.command("render"))[0])
        table.add(f"render, {size}", rendered, "ms", ("haproxy -c", checked))
        text = hatlas.config.read_bytes()
        table.add(f"render after one change, {size}",
                  render_again(hatlas, folder, count, hosts), "ms",
                  ("memcpy of the text", copy_ms(text)))
        table.add(f"`hatlas render` from a file, {size}", whole, "ms",
                  ("haproxy -c", checked))
        table.add(f"bytes of haproxy.cfg a service, {size}", len(text) / count)


def bench_sync(table, folder, zookeeper, _):
    """From opening the connection to the whole catalog with all watches: hatlas's own log
    line, against a pipelined kazoo reader; in turns, so that both see the same server."""
    hatlas = common.quiet_hatlas(
        folder / "sync", sources=[{"zookeeper": zookeeper.address, "root": "/atlas"}])
    own, other, process = [], [], []
    warm_up = 4  # rounds in which the server's own code is still being compiled
    for _ in range(warm_up + 15):
        (hatlas.folder / "catalog.json").unlink(missing_ok=True)
        took, done = common.milliseconds(
            lambda: hatlas.command("run", "--once", "--log-level", "info"))
        assert done.returncode == 0, done.stderr
        own.append(common.logged(done.stderr, "read the registry"))
        process.append(took)
        took, (client, records) = common.milliseconds(
            lambda: common.kazoo_read(zookeeper, "/atlas"))
        client.stop()
        client.close()
        assert records == 5000
        other.append(took)
    sync, kazoo, whole = (statistics.median(times[warm_up:])
                          for times in (own, other, process))
    table.add("first sync, 1,000 x 5", sync, "ms", ("kazoo, pipelined", kazoo))
    table.add("`hatlas run --once`, 1,000 x 5", whole, "ms", ("kazoo, pipelined", kazoo))


def bench_memory(table, folder, zookeeper, client):
    """hatlas run with a supervised HAProxy, after the first apply and after 50 changes."""
    atlas = parts.Atlas(client, "/atlas")
    hatlas = common.run_hatlas(folder / "memory", zookeeper, "/atlas", services={})
    try:
        parts.wait_for(lambda: hatlas.count("applied"), "the first apply")
        rss, pss = common.memory(hatlas.process.pid)
        table.add("resident memory, 1,000 x 5", rss, "MB", note=f"(Pss {pss:.1f})")
        for number in range(50):
            atlas.put_host("service-00001", 9, host_id="more", weight=number)
        parts.wait_for(lambda: "weight 49" in hatlas.config.read_text(), "the changes")
        rss, pss = common.memory(hatlas.process.pid)
        table.add("resident memory after 50 changes", rss, "MB", note=f"(Pss {pss:.1f})")
    finally:
        hatlas.close()
        atlas.remove_host("service-00001", "more")


# --- the Atlas commands

RUNS = 5

KAZOO_LS = """
import sys
from kazoo.client import KazooClient
client = KazooClient(sys.argv[1])
client.start()
services = client.get_children(sys.argv[2])
lists = [(name, client.get_children_async(f"{sys.argv[2]}/{name}/hosts"))
         for name in services]
gets = [client.get_async(f"{sys.argv[2]}/{name}/hosts/{host}")
        for name, answer in lists for host in answer.get()]
assert len([answer.get() for answer in gets]) == int(sys.argv[3])
client.stop()
"""

KAZOO_IMPORT = """
import json, sys
from kazoo.client import KazooClient
cluster = json.load(open(sys.argv[3]))["services"]
client = KazooClient(sys.argv[1])
client.start()
client.ensure_path(sys.argv[2])
requests, waiting = client.transaction(), []

def add(path, data):
    global requests
    requests.create(path, data)
    if len(requests.operations) >= 2000:
        waiting.append(requests.commit_async())
        requests = client.transaction()

for name, service in cluster.items():
    path = f"{sys.argv[2]}/{name}"
    add(path, b"{}")
    add(f"{path}/hosts", b"")
    for host in service["hosts"]:
        add(f"{path}/hosts/{host['host']}:{host['port']}", json.dumps(host).encode())
waiting.append(requests.commit_async())
for commit in waiting:
    assert not any(isinstance(result, Exception) for result in commit.get())
client.stop()
"""


def seconds_of(*command):
    took, _ = common.milliseconds(
        lambda: subprocess.run(command, check=True, capture_output=True))
    return took / 1000


def hatlas_command(zookeeper, root, *words):
    return seconds_of(parts.BINARY, *words, "--realm", "testing", "--source",
                      f"zookeeper:{zookeeper.address}{root}")


def kazoo_command(zookeeper, root, program, last):
    return seconds_of("/usr/bin/python3", "-c", program, zookeeper.address,
                      f"{root}/testing/services", str(last))


def zkcli_ls(zookeeper, root):
    """Only the names: zkCli has no way to read many records."""
    java = [word for word in zookeeper.JAVA if "QuorumPeer" not in word]
    return seconds_of(*java, "org.apache.zookeeper.ZooKeeperMain", "-server",
                      zookeeper.address, "ls", "-R", f"{root}/testing/services")


def bench_atlas(table, folder, zookeeper, _):
    """hatlas ls and import as whole processes, beside what else reads and writes."""
    ls = common.median_of(RUNS, lambda: hatlas_command(zookeeper, "/atlas", "ls", "-l"))
    kazoo = common.median_of(
        RUNS, lambda: kazoo_command(zookeeper, "/atlas", KAZOO_LS, 5000))
    zkcli = common.median_of(3, lambda: zkcli_ls(zookeeper, "/atlas"))
    table.add("`hatlas ls -l`, 1,000 x 5", ls, "s", ("kazoo, pipelined", kazoo))
    table.add("`hatlas ls -l`, zkCli's names", ls, "s", ("zkCli ls -R", zkcli))
    path = folder / "import.json"
    path.write_text(json.dumps({"services": {
        name: {"hosts": hosts} for name, hosts in common.services(1000, 10).items()}}))
    own, other = [], []
    for number in range(RUNS):
        own.append(hatlas_command(zookeeper, f"/own-{number}", "import", str(path)))
        other.append(kazoo_command(zookeeper, f"/other-{number}", KAZOO_IMPORT, path))
    table.add("`hatlas import`, 10,000 hosts", statistics.median(own), "s",
              ("kazoo, transactions", statistics.median(other)))
    again = common.median_of(
        RUNS, lambda: hatlas_command(zookeeper, "/own-0", "import", str(path)))
    read = common.median_of(
        RUNS, lambda: kazoo_command(zookeeper, "/own-0", KAZOO_LS, 10000))
    table.add("`hatlas import` again: nothing to do", again, "s", ("kazoo reads it", read))
