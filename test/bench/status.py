"""What the status costs at 1,000 services with 5 hosts each: time of the loop a request,
bytes and time of the page and of one update, memory with and without."""
import json
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import bench  # noqa: E402
import browser  # noqa: E402
import parts  # noqa: E402
import test_status  # noqa: E402

SERVICES, HOSTS, REPEATS = 1000, 5, 50


def registry(port):
    hosts = [{"host": f"127.0.0.{i + 1}", "port": port, "id": f"host-{i}"}
             for i in range(HOSTS)]
    return {"services": {f"service-{i:04}": {"check": {"type": "none"}, "hosts": list(hosts)}
                         for i in range(SERVICES)}}


def cpu_ms(hatlas):
    """What the process has used so far, by the scheduler's account."""
    text = pathlib.Path(f"/proc/{hatlas.process.pid}/schedstat").read_text()
    return int(text.split()[0]) / 1e6


def resident_mb(hatlas):
    text = pathlib.Path(f"/proc/{hatlas.process.pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def start(folder, cluster, **more):
    hatlas = parts.Hatlas(folder)
    hatlas.configure(sources=[{"file": str(cluster)}], log={"level": "info"}, **more).run()
    hatlas.wait_log("msg=applied")
    return hatlas


def measure_requests(table, hatlas):
    for path, limit in {"/metrics": 10, "/status": None, "/": None}.items():
        size = len(test_status.ask(hatlas, path).body)
        before = cpu_ms(hatlas)
        for _ in range(REPEATS):
            test_status.ask(hatlas, path)
        each = (cpu_ms(hatlas) - before) / REPEATS
        table.add(f"GET {path}, {size} bytes: CPU of the loop", f"{each:.2f} ms",
                  f"at most {limit} ms" if limit else "", each / limit if limit else None,
                  each <= limit if limit else None)


def measure_updates(table, hatlas, cluster, services):
    watcher = test_status.Events(hatlas)
    _, whole = watcher.until(lambda update: update["reset"])
    times, sizes = [], []
    for i in range(20):
        services["services"]["service-0500"]["hosts"][1] = {
            **services["services"]["service-0500"]["hosts"][1], "weight": i + 2}
        began = time.monotonic()
        cluster.write_text(json.dumps(services))
        _, size = watcher.until(lambda update: any(
            host["weight"] == i + 2 for item in update["services"]
            if item["name"] == "service-0500" for host in item["hosts"] if "weight" in host))
        times.append((time.monotonic() - began) * 1000)
        sizes.append(size)
    watcher.close()
    table.add("a watcher's first event", f"{whole} bytes")
    table.add("one host's change: event", f"{statistics.median(sizes):.0f} bytes",
              ratio=statistics.median(sizes) / whole)
    table.add("  from the write of cluster.yaml to the event, median of 20",
              f"{statistics.median(times):.0f} ms")


def measure_page(table, hatlas, folder):
    page = browser.Browser(folder)
    try:
        page.size(1280, 900)
        page.go(f"http://127.0.0.1:{hatlas.status_port}/")
        page.wait("document.documentElement.dataset.ready === 'yes'")
        shown = page.js("performance.now() | 0")
        again = page.js("(() => { const t = performance.now(); arrange();"
                        " return (performance.now() - t).toFixed(1) })()")
        table.add("the page in Chromium: until all is shown", f"{shown} ms")
        table.add("  looking through all rows after an update", f"{again} ms")
    finally:
        page.close()


def main():
    bench.head()
    table = bench.Table()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        backend = parts.Backend("one")
        cluster = folder / "cluster.yaml"
        services = registry(backend.port)
        cluster.write_text(json.dumps(services))
        off = start(folder / "off", cluster, status={"enabled": False})
        time.sleep(15)
        table.add("resident memory without the status", f"{resident_mb(off):.1f} MB")
        off.close()
        hatlas = start(folder / "on", cluster)
        time.sleep(15)
        table.add("resident memory with it, nobody watching", f"{resident_mb(hatlas):.1f} MB",
                  "at most 12 MB", resident_mb(hatlas) / 12, resident_mb(hatlas) <= 12)
        measure_requests(table, hatlas)
        measure_updates(table, hatlas, cluster, services)
        if browser.PROGRAM:
            measure_page(table, hatlas, folder)
        table.add("resident memory after all that", f"{resident_mb(hatlas):.1f} MB")
        hatlas.close()
    table.show()
    return 0 if table.good() else 1


if __name__ == "__main__":
    sys.exit(main())
