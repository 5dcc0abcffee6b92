"""What the status costs at 1,000 services with 5 hosts each: time of the loop a request,
bytes and time of the page and of one update, memory with and without."""
import json
import statistics
import time

import common
import browser
import parts
import test_status

SERVICES, HOSTS, REPEATS = 1000, 5, 50


def registry(port):
    hosts = [{"host": f"127.0.0.{i + 1}", "port": port, "id": f"host-{i}"}
             for i in range(HOSTS)]
    return {"services": {f"service-{i:04}": {"check": {"type": "none"}, "hosts": list(hosts)}
                         for i in range(SERVICES)}}


def start(folder, cluster, **more):
    hatlas = parts.Hatlas(folder)
    hatlas.configure(sources=[{"file": str(cluster)}], log={"level": "info"}, **more).run()
    hatlas.wait_log("msg=applied")
    time.sleep(15)
    return hatlas


def resident(hatlas):
    return common.memory(hatlas.process.pid)[0]


def measure_requests(table, hatlas):
    for path in ("/metrics", "/status", "/"):
        size = len(test_status.ask(hatlas, path).body)
        before = common.processor_ms(hatlas.process.pid)
        for _ in range(REPEATS):
            test_status.ask(hatlas, path)
        each = (common.processor_ms(hatlas.process.pid) - before) / REPEATS
        table.add(f"GET {path}, CPU of the loop", each, "ms", note=f"{size:,} bytes")


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
    table.add("bytes of a host's change to a page", statistics.median(sizes),
              peer=("first event", whole))
    table.add("write of cluster.yaml to the page", statistics.median(times), "ms")


def measure_page(table, hatlas, folder):
    page = browser.Browser(folder)
    try:
        page.size(1280, 900)
        page.go(f"http://127.0.0.1:{hatlas.status_port}/")
        page.wait("document.documentElement.dataset.ready === 'yes'")
        shown = page.js("performance.now() | 0")
        again = page.js("(() => { const t = performance.now(); arrange();"
                        " return performance.now() - t })()")
        table.add("the page in Chromium, until all is shown", shown, "ms")
        table.add("the page's look through all rows", again, "ms")
    finally:
        page.close()


def bench_status(table, folder, *_):
    backend = parts.Backend("one")
    cluster = folder / "cluster.yaml"
    services = registry(backend.port)
    cluster.write_text(json.dumps(services))
    off = start(folder / "off", cluster, status={"enabled": False})
    without = resident(off)
    off.close()
    hatlas = start(folder / "on", cluster)
    try:
        table.add("resident memory with status", resident(hatlas), "MB",
                  note=f"(without {without:.1f})")
        measure_requests(table, hatlas)
        measure_updates(table, hatlas, cluster, services)
        if browser.PROGRAM:
            measure_page(table, hatlas, folder)
        table.add("resident memory after all that", resident(hatlas), "MB")
    finally:
        hatlas.close()
        backend.close()
