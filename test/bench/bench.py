"""Measures hatlas beside what it is limited by, and prints one table. Exits 1 if a limit
is missed. With names as arguments only these."""
import pathlib
import sys
import tempfile
import time

import common
import changes
import parts
import proxy
import reads
import scale
import status

BENCHES = {
    "render": reads.bench_render,
    "sync": reads.bench_sync,
    "memory": reads.bench_memory,
    "atlas": reads.bench_atlas,
    "change": changes.bench_change,
    "storm": changes.bench_storm,
    "reload": changes.bench_reload,
    "cost": changes.bench_cost,
    "requests": proxy.bench_requests,
    "status": status.bench_status,
    "filters": scale.bench_filters,
    "fleet": scale.bench_fleet,
    "scale": scale.bench_scale,
}


def run(names, table, folder):
    """All share one server, which has 1,000 services of 5 hosts at /atlas."""
    zookeeper = common.ZooKeeper(folder / "zookeeper").start()
    try:
        client = zookeeper.client()
        common.fill(client, "/atlas", 1000, 5)
        for name in names:
            print(f"{name}:", file=sys.stderr, flush=True)
            start = time.monotonic()
            BENCHES[name](table, common.subfolder(folder, name), zookeeper, client)
            print(f"  ({time.monotonic() - start:.0f} s)", file=sys.stderr, flush=True)
        client.stop()
        client.close()
    finally:
        zookeeper.kill()
        parts.kill_processes_of(folder)


def main():
    wanted = sys.argv[1:]
    if not wanted or wanted == ["all"]:
        wanted = list(BENCHES)
    if unknown := [name for name in wanted if name not in BENCHES]:
        sys.exit(f"unknown: {' '.join(unknown)}; there are: all {' '.join(BENCHES)}")
    common.show_head()
    table = common.Table()
    with tempfile.TemporaryDirectory(prefix="hb.", ignore_cleanup_errors=True) as folder:
        run(wanted, table, pathlib.Path(folder))
    table.show()
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
