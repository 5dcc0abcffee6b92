"""The Atlas commands side by side with what else reads and writes a registry: hatlas ls
against zkCli and kazoo, hatlas import against kazoo with transactions. Of the same server,
in the same run. Needs a release build: HATLAS=build/release/hatlas test/bench/atlas.py"""
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import bench  # first: it knows where parts is
import parts

RUNS = 5


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def ls(zookeeper, root):
    done = subprocess.run([parts.BINARY, "ls", "-l", "--realm", "testing", "--source",
                           f"zookeeper:{zookeeper.address}{root}"], check=True,
                          capture_output=True)
    assert done.stdout.count(b"\n") == 5001


KAZOO = """
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


def kazoo_ls(zookeeper, root, count=5000):
    subprocess.run(["/usr/bin/python3", "-c", KAZOO, zookeeper.address,
                    f"{root}/testing/services", str(count)], check=True)


def zkcli_ls(zookeeper, root):
    """Only the names: zkCli has no way to read many records."""
    java = [word for word in zookeeper.JAVA if "QuorumPeer" not in word]
    done = subprocess.run([*java, "org.apache.zookeeper.ZooKeeperMain", "-server",
                           zookeeper.address, "ls", "-R", f"{root}/testing/services"],
                          check=True, capture_output=True)
    assert done.stdout.count(b"/hosts/") == 5000


def bench_ls(table, zookeeper, client):
    bench.fill(client, "/ls", 1000, 5)
    took = {name: statistics.median(seconds(lambda f=f: f(zookeeper, "/ls"))
                                    for _ in range(RUNS))
            for name, f in (("hatlas", ls), ("kazoo", kazoo_ls), ("zkCli", zkcli_ls))}
    table.add("hatlas ls -l, 1,000 x 5", f"{took['hatlas']:.2f} s")
    table.add("  kazoo, pipelined", f"{took['kazoo']:.2f} s", "",
              took["hatlas"] / took["kazoo"])
    table.add("  zkCli ls -R (names only)", f"{took['zkCli']:.2f} s", "",
              took["hatlas"] / took["zkCli"])


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


def bench_import(table, zookeeper, client, folder):
    cluster = {name: {"hosts": hosts} for name, hosts in bench.services(1000, 10).items()}
    path = folder / "cluster.json"
    path.write_text(json.dumps({"services": cluster}))

    def hatlas_import(root):
        subprocess.run([parts.BINARY, "import", path, "--realm", "testing", "--source",
                        f"zookeeper:{zookeeper.address}{root}"], check=True,
                       capture_output=True)
        assert len(client.get_children(f"{root}/testing/services/service-00999/hosts")) == 10
    ours, theirs = [], []
    for i in range(RUNS):
        ours.append(seconds(lambda i=i: hatlas_import(f"/ours-{i}")))
        theirs.append(seconds(lambda i=i: subprocess.run(
            ["/usr/bin/python3", "-c", KAZOO_IMPORT, zookeeper.address,
             f"/theirs-{i}/testing/services", path], check=True)))
    ours, theirs = statistics.median(ours), statistics.median(theirs)
    table.add("hatlas import, 10,000 hosts", f"{ours:.2f} s")
    table.add("  kazoo with transactions", f"{theirs:.2f} s", "", ours / theirs)
    again = statistics.median(seconds(lambda: hatlas_import("/ours-0")) for _ in range(RUNS))
    read = statistics.median(seconds(lambda: kazoo_ls(zookeeper, "/ours-0", 10000))
                             for _ in range(RUNS))
    table.add("  the same again (reads, nothing to do)", f"{again:.2f} s")
    table.add("  kazoo reads the same", f"{read:.2f} s", "", again / read)


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hatlas-bench-"))
    bench.head()
    table = bench.Table()
    zookeeper = parts.ZooKeeper(folder / "zookeeper").start()
    try:
        client = zookeeper.client()
        bench_ls(table, zookeeper, client)
        bench_import(table, zookeeper, client, folder)
        client.stop()
        client.close()
    finally:
        zookeeper.kill()
        shutil.rmtree(folder, ignore_errors=True)
    table.show()


if __name__ == "__main__":
    sys.exit(main())
