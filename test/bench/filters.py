"""Watches, memory and first read of a sidecar at 1,000 services with 5 hosts each, for
what it may want of them. HAProxy's own memory is not counted."""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import bench  # noqa: E402
from bench import parts  # noqa: E402

SERVICES, ZONES = 1000, 5
WANTED = {
    "everything": {},
    "one zone of 5": {"hosts": {"zones": ["zone-1"]}},
    "100 services": {"include": ["service-000*"]},
    "10 services": {"include": ["service-0000*"]},
    "10 services, one zone of 5": {"include": ["service-0000*"],
                                   "hosts": {"zones": ["zone-1"]}},
}


def fill(client, root):
    """As the bench does, with a zone for each host of a service."""
    atlas = parts.Atlas(client, root)
    requests = []
    for s in range(SERVICES):
        path = atlas.path("services", f"service-{s:05}")
        requests += [client.create_async(path, b"{}"),
                     client.create_async(f"{path}/hosts")]
        for h in range(ZONES):
            host = f"10.{s >> 8}.{s & 255}.{h + 1}"
            record = f'{{"host":"{host}","port":8000,"zone":"zone-{h}"}}'
            requests.append(client.create_async(f"{path}/hosts/{host}:8000",
                                                record.encode()))
    for request in requests:
        request.get()


def measure(folder, address, services):
    hatlas = parts.Hatlas(folder)
    hatlas.configure(sources=[{"zookeeper": address, "root": "/atlas"}],
                     services=services, log={"level": "info"})
    hatlas.run()
    try:
        line = parts.parse_logfmt(hatlas.wait_log("read the registry"))
        hatlas.wait_log("msg=applied")
        return [line["watches"], line["services"], line["hosts"], f"{float(line['ms']):.0f}",
                *(f"{size:.1f}" for size in bench.memory(hatlas.process.pid))]
    finally:
        hatlas.close()


def main():
    bench.head()
    print("| wanted | watches | services | hosts | first read, ms | resident MB | Pss MB |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        server = parts.ZooKeeper(folder / "zookeeper").start()
        try:
            client = server.client()
            fill(client, "/atlas")
            measure(folder / "warm", server.address, {})
            for number, (what, services) in enumerate(WANTED.items()):
                row = measure(folder / str(number), server.address, services)
                print("| " + " | ".join([what, *row]) + " |", flush=True)
            client.stop()
        finally:
            server.kill()


if __name__ == "__main__":
    main()
