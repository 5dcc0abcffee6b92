"""What the shipped template costs a request: requests a second and p99 through it, at 10 to
10,000 services, beside two configs made by hand with one backend, turn by turn: a bare one,
and one with the same retries, for which HAProxy copies each request. Then reload and
`haproxy -c`. HAProxy, wrk and the host have one thread each."""
import json
import re
import signal
import statistics
import subprocess
import time

import common
import parts

SIZES, ROUNDS, SECONDS, HOSTS = (10, 100, 1000, 10000), 5, 3, 5

BY_HAND = """\
global
    nbthread 1
    stats socket {socket} level admin expose-fd listeners
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend all
    bind 127.0.0.1:{port}
    default_backend teams
backend teams
{more}
    server one 127.0.0.1:{host} check
"""

RETRIES = "    retry-on conn-failure empty-response response-timeout 502 503 504"


class Proxy:
    """A master with one worker on a config."""

    def __init__(self, config, port, folder):
        self.port, self.socket = port, folder / "m.sock"
        self.process = subprocess.Popen(
            ["haproxy", "-W", "-S", str(self.socket), "-f", str(config)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        parts.wait_for(self.worker, "HAProxy")

    def worker(self):
        found = re.search(r"^(\d+)\s+worker\s+0", parts.ask_unix(self.socket, "show proc"),
                          re.M)
        return found and found.group(1)

    def reload(self):
        old, start = self.worker(), time.perf_counter()
        parts.ask_unix(self.socket, "reload")
        parts.wait_for(lambda: self.worker() not in (None, old), "a new worker")
        return (time.perf_counter() - start) * 1000

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def wrk(port, service):
    said = subprocess.run(
        ["wrk", "-t1", "-c32", f"-d{SECONDS}", "--latency", "-H",
         f"Runscope-Service: {service}", f"http://127.0.0.1:{port}/"],
        text=True, capture_output=True, check=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise AssertionError(said)
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()
    p99 = float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1)), p99


def cluster(folder, count, host):
    """That many services; only the last has a host that is there, and only it is checked:
    what checks cost depends on nothing here."""
    services = {name: {"check": {"type": "none"}, "hosts": hosts}
                for name, hosts in common.services(count, HOSTS).items()}
    last = f"service-{count - 1:05}"
    services[last] = {"hosts": [{"host": "127.0.0.1", "port": host}]}
    path = folder / "cluster.yaml"
    path.write_text(json.dumps({"services": services}))
    return path, last


def shipped(folder, count, host):
    hatlas = parts.Hatlas(folder)
    path, last = cluster(folder, count, host)
    hatlas.configure(sources=[{"file": str(path)}],
                     routing={"header": "Runscope-Service",
                              "bind": f"127.0.0.1:{hatlas.port}"},
                     haproxy={"threads": 1, "socket": str(hatlas.socket)})
    done = hatlas.command("render", "--write")
    if done.returncode:
        raise AssertionError(done.stderr)
    return hatlas, last


def by_hand(folder, name, host, more):
    """A running HAProxy with one backend."""
    own, port = common.subfolder(folder, name), parts.free_port()
    (own / "h.cfg").write_text(BY_HAND.format(port=port, host=host, more=more,
                                              socket=own / "b.sock"))
    return Proxy(own / "h.cfg", port, own)


def measure(table, folder, count, host):
    hatlas, last = shipped(folder, count, host)
    proxies = [Proxy(hatlas.config, hatlas.port, folder),
               by_hand(folder, "bare", host, ""), by_hand(folder, "same", host, RETRIES)]
    try:
        parts.wait_for(lambda: hatlas.get(None, headers={"Runscope-Service": last}).status
                       == 200, "an answer")
        runs = [[wrk(proxy.port, last) for proxy in proxies] for _ in range(ROUNDS)]
        reloaded = statistics.median(proxies[0].reload() for _ in range(3))
    finally:
        for proxy in proxies:
            proxy.stop()
    checked, _ = common.milliseconds(lambda: parts.haproxy_accepts(hatlas.config))
    (rate, p99), (bare, bare_p99), (same, _) = [
        [statistics.median(run[which][what] for run in runs) for what in (0, 1)]
        for which in range(3)]

    def ratio(which):
        return statistics.median(run[0][0] / run[which][0] for run in runs)
    size = f"{count:,} services"
    table.add(f"requests/s, {size}", rate, peer=("by hand, same retries", same),
              ratio=ratio(2))
    table.add(f"requests/s, bare, {size}", rate, peer=("by hand, bare", bare),
              ratio=ratio(1))
    table.add(f"requests' p99, {size}", p99, "ms", ("by hand, bare", bare_p99))
    table.add(f"a reload of HAProxy, {size}", reloaded, "ms", ("haproxy -c", checked))


def bench_requests(table, folder, *_):
    host = parts.FastBackend(folder / "host")
    try:
        for count in SIZES:
            measure(table, common.subfolder(folder, str(count)), count, host.port)
    finally:
        host.close()
