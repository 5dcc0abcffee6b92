"""The invariants: what each failed request is owed to, whether the config on disk is valid,
and whether HAProxy and the files hold what the registry is meant to hold."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

from world import PORT, parts

import haproxy_config

FOLDER = pathlib.Path(__file__).resolve().parent


class Load:
    """The load, and what it says of failed requests."""

    def __init__(self, sidecar, targets, options, folder):
        (folder / "targets.json").write_text(json.dumps(targets))
        self.file = folder / "load.jsonl"
        with open(self.file, "wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(FOLDER / "load.py"), "--port", str(sidecar.port),
                 "--header", "X-Service", "--targets", str(folder / "targets.json"),
                 "--clients", str(options.clients), "--seed", str(options.seed)],
                stdout=out)

    def failures(self):
        lines = [json.loads(line) for line in self.file.read_text().splitlines(True)
                 if line.endswith("\n")]
        return [line for line in lines if "sums" not in line]

    def stop(self):
        """Ends the load, and returns its sums."""
        self.process.terminate()
        if self.process.wait(2 * parts.DEADLINE) != 0:
            raise AssertionError("the load itself broke")
        return json.loads(self.file.read_text().splitlines()[-1])

    def close(self):
        self.process.kill()
        self.process.wait()


class Outages:
    """From the moment an HAProxy is killed until another one serves requests may fail."""

    def __init__(self, sidecar):
        self.sidecar, self.times, self.threads = sidecar, [], []

    def kill(self, pid, what):
        """Kills one process. All that served beside it go with it, unless it is a worker
        that a reload has just replaced."""
        old = self.sidecar.haproxys()
        is_worker = parts.parent(pid) in old
        times = [time.monotonic(), float("inf")]
        self.times.append(times)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        thread = threading.Thread(target=self._watch, args=(pid if is_worker else 0, old, times),
                                  daemon=True)
        thread.start()
        self.threads.append(thread)
        return f"HAProxy's {what}, process {pid}, kill -9"

    def _watch(self, killed, old, times):
        """`killed` is a worker, or 0."""
        while not (self._is_replaced(killed, old) and
                   self.sidecar.get("svc-0000").status == 200):
            time.sleep(0.01)
        times[1] = time.monotonic()

    def _is_replaced(self, killed, old):
        left = [pid for pid in old if os.path.exists(f"/proc/{pid}")]
        newer = self.sidecar.worker()
        return not left or (killed and killed not in left and newer not in (0, killed))

    def over(self):
        return not any(thread.is_alive() for thread in self.threads)

    def explain(self, failure):
        return any(failure["began"] <= end and failure["ended"] >= begin
                   for begin, end in self.times)

    def longest(self):
        return max((end - begin for begin, end in self.times), default=0.0)


class Stalls:
    """How long the machine let a thread wait that only wanted to sleep for 50 ms: what
    takes long while this is long was not hatlas alone."""

    def __init__(self):
        self.longest = 0.0
        self.ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        last = time.monotonic()
        while not self.ended.wait(0.05):
            now = time.monotonic()
            self.longest = max(self.longest, now - last - 0.05)
            last = now

    def take(self):
        """The longest since the last call."""
        longest, self.longest = self.longest, 0.0
        return longest

    def close(self):
        self.ended.set()


class Sampler:
    """Looks again and again, in a thread: is the config on disk valid?"""

    def __init__(self, sidecar, pause):
        self.sidecar, self.pause = sidecar, pause
        self.count, self.faults = 0, []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ended.wait(self.pause):
            self.look()

    def look(self):
        try:
            good, words = parts.haproxy_accepts(self.sidecar.config)
        except subprocess.TimeoutExpired as error:
            good, words = False, str(error)
        self.count += 1
        if not good:
            self.faults.append((time.monotonic(), words.strip()[:2000]))

    def close(self):
        self.ended.set()
        self.thread.join(parts.DEADLINE)


# --- what is meant, and what is


def meant(services):
    """Backend → address → weight, of hosts that take part; those that don't have None."""
    return {name: {f"{record['host']}:{record['port']}": weight(record)
                   for record in service["hosts"].values()}
            for name, service in services.items()}


def weight(record):
    if not record.get("enabled", True):
        return None
    return 0 if record.get("drain") else record.get("weight", 1)


def is_alive(address):
    return int(address.rpartition(":")[2]) >= PORT


def state(sidecar):
    """The same of HAProxy, by its own account."""
    backends = {}
    lines = parts.ask_unix(sidecar.socket, "show servers state").splitlines()
    if len(lines) < 2:
        return {}
    names = lines[1].lstrip("# ").split()
    for line in lines[2:]:
        row = dict(zip(names, line.split()))
        if not row or row["be_name"].startswith("hatlas:"):
            continue
        # Maintenance or drain; the bit between only says what the config said.
        rests = int(row["srv_admin_state"]) & 0x2B
        is_up = row["srv_op_state"] != "0" and not rests
        backends.setdefault(row["be_name"], {})[f"{row['srv_addr']}:{row['srv_port']}"] = (
            int(row["srv_uweight"]) if is_up else None)
    return backends


def written(text):
    """The same of a config."""
    sections = haproxy_config.parse(text)
    backends = {}
    for keyword, name in haproxy_config.names(sections):
        if keyword != "backend" or name.startswith("hatlas:"):
            continue
        backends[name] = {
            words[0]: None if "disabled" in words else int(words[words.index("weight") + 1])
            for words in haproxy_config.servers(sections, name).values()}
    return backends


def routed(sidecar, services):
    """Whether the map on disk knows exactly the services. A key with a colon is no name of
    one."""
    lines = (sidecar.out / "services.map").read_text().splitlines()
    keys = {line.split()[0] for line in lines if not line.startswith("#")}
    return {key for key in keys if ":" not in key} == set(services)


def difference(want, have, strict):
    """The first thing that differs, or None. Where not `strict`, hosts that do not take part
    may be absent, and a dead host is only asked for in the config on disk."""
    def known(hosts):
        return {address: share for address, share in hosts.items()
                if strict or (share is not None and is_alive(address))}
    if not strict:  # a backend without any server is not in HAProxy's list
        want = {name: hosts for name, hosts in want.items() if known(hosts)}
        have = {name: hosts for name, hosts in have.items() if known(hosts)}
    for name in sorted(want.keys() | have.keys()):
        one, other = known(want.get(name, {})), known(have.get(name, {}))
        if one != other or (name in want) != (name in have):
            return f"{name}: meant {one}, found {other}"
    return None


class Convergence:
    """Whether all is as it is meant to be; the last difference, if not."""

    def __init__(self, world):
        self.world, self.why, self.looked = world, "", 0.0

    def reached(self):
        """`looked` is when what is judged was read: judging takes time, too."""
        services, sidecar = self.world.registry.services, self.world.sidecar
        want = meant(services)
        self.why = "hatlas does not run" if not sidecar.running() else ""
        if not self.why:
            self.why = difference(want, state(sidecar), False)
            self.why = self.why and "HAProxy's state: " + self.why
        text = sidecar.config.read_text() if not self.why else ""
        self.looked = time.monotonic()
        if not self.why:
            self.why = difference(want, written(text), True)
            self.why = self.why and "the config on disk: " + self.why
        if not self.why and not routed(sidecar, services):
            self.why = "the map on disk knows other services"
        return not self.why

    def wait(self, deadline):
        """Seconds until it is reached."""
        begin = time.monotonic()
        while not self.reached():
            if time.monotonic() - begin > deadline:
                raise AssertionError(f"not converged within {deadline} s: {self.why}")
            time.sleep(0.05)
        return self.looked - begin
