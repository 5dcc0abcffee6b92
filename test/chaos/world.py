"""What the chaos happens to: three ZooKeeper servers that vote, relays before them, hosts
that answer with their port, a sidecar, and the registry as it is meant to be."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import (ConnectionClosedError, ConnectionLoss, NodeExistsError,
                              NoNodeError, OperationTimeoutError, SessionExpiredError)
from kazoo.handlers.threading import KazooTimeoutError

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import parts  # noqa: E402

SLOTS = 4  # ports that each service has hosts on
PORT = 20000
DEAD = 19000  # a port of the hosts' address where nobody listens
ROOT = "/chaos"
AWAY = (ConnectionLoss, ConnectionClosedError, OperationTimeoutError, SessionExpiredError,
        KazooTimeoutError)


class Ensemble:
    """ZooKeeper servers that elect a leader, on ports and in folders of their own."""

    def __init__(self, folder, size=3):
        ports = [(parts.free_port(), parts.free_port()) for _ in range(size)]
        members = "".join(f"server.{number}=127.0.0.1:{talk}:{vote}\n"
                          for number, (talk, vote) in enumerate(ports, 1))
        self.servers = []
        for number in range(1, size + 1):
            server = parts.ZooKeeper(folder / f"zookeeper-{number}",
                                     f"initLimit=40\nsyncLimit=10\n{members}")
            (server.folder / "data" / "myid").write_text(f"{number}\n")
            self.servers.append(server)
        self.paused = set()

    def start(self):
        for server in self.servers:
            server.launch()
        parts.wait_for(lambda: all(server.serves() for server in self.servers),
                       "an ensemble of ZooKeeper servers")

    def addresses(self):
        return ",".join(server.address for server in self.servers)

    def role(self, server):
        """leader, follower, or None while it does not serve."""
        if not server.process or server in self.paused:
            return None
        words = server.ask("srvr", 2).partition("Mode: ")[2].split()
        return words[0] if words else None

    def find(self, role):
        """A server in that role; whichever has it first."""
        return next((one for one in self.servers if self.role(one) == role), None)

    def pause(self, server):
        server.process.send_signal(signal.SIGSTOP)
        self.paused.add(server)

    def go_on(self, server):
        server.process.send_signal(signal.SIGCONT)
        self.paused.discard(server)

    def close(self):
        for server in self.servers:
            server.kill()


class Hosts:
    """One HAProxy that listens on many ports of a loopback address of its own, and answers
    each request with the port that it came to."""

    def __init__(self, folder, count):
        pid = os.getpid()
        self.address = f"127.77.{pid >> 8 & 255}.{pid & 255}"
        folder.mkdir()
        config = folder / "hosts.cfg"
        config.write_text(
            "global\n    maxconn 2000\n    nbthread 1\n"
            "defaults\n    mode http\n    timeout client 5m\n    timeout server 5m\n"
            "    timeout connect 5s\n    timeout http-keep-alive 5m\n"
            f"frontend all\n    bind {self.address}:{PORT}-{PORT + count - 1}\n"
            "    http-request return status 200 content-type text/plain "
            "lf-string %[dst_port]\n")
        self.process = subprocess.Popen(["haproxy", "-db", "-f", str(config)])

    def close(self):
        self.process.kill()
        self.process.wait()


class Registry:
    """The Atlas as it is meant to be, and the writes that bring it there: each is done
    again until ZooKeeper has said yes, so that what is meant and what is there agree
    whenever no write is under way."""

    def __init__(self, ensemble):
        self.client = KazooClient(
            ensemble.addresses(), timeout=4,
            connection_retry={"max_tries": -1, "delay": 0.05, "max_delay": 0.5})
        self.client.start(timeout=parts.DEADLINE)
        self.atlas = parts.Atlas(self.client, ROOT)
        self.services = {}  # name → {"fields": {}, "hosts": {id: record}}
        self.lock = threading.RLock()
        self.stopped = False

    def insist(self, write):
        while not self.stopped:
            try:
                return write()
            except (*AWAY, NodeExistsError):
                time.sleep(0.05)
        return None

    def put_service(self, name, **fields):
        with self.lock:
            self.insist(lambda: self.atlas.put_service(name, **fields))
            self.services.setdefault(name, {"fields": {}, "hosts": {}})["fields"] = fields

    def remove_service(self, name):
        def remove():
            with contextlib.suppress(NoNodeError):
                self.atlas.remove_service(name)
        with self.lock:
            self.insist(remove)
            del self.services[name]

    def put_host(self, service, host_id, record):
        path = self.path(service, host_id)
        with self.lock:
            self.insist(lambda: self.atlas.put(path, record))
            self.services[service]["hosts"][host_id] = record

    def remove_host(self, service, host_id):
        def remove():
            with contextlib.suppress(NoNodeError):
                self.client.delete(self.path(service, host_id))
        with self.lock:
            self.insist(remove)
            del self.services[service]["hosts"][host_id]

    def swap_host(self, service, old_id, new_id, record):
        """One host comes and another goes in the same instant."""
        def swap():
            data = json.dumps(record).encode()
            transaction = self.client.transaction()
            transaction.create(self.path(service, new_id), data)
            transaction.delete(self.path(service, old_id))
            results = transaction.commit()
            done = self.client.exists(self.path(service, new_id))
            if not done and not self.stopped:
                raise ConnectionLoss(results)
        with self.lock:
            self.insist(swap)
            hosts = self.services[service]["hosts"]
            del hosts[old_id]
            hosts[new_id] = record

    def path(self, service, host_id):
        return self.atlas.path("services", service, "hosts", host_id)

    def raw(self, path, data):
        """Any bytes, behind the model's back."""
        self.insist(lambda: self.atlas.put(path, data))

    def raw_remove(self, path):
        def remove():
            with contextlib.suppress(NoNodeError):
                self.client.delete(path, recursive=True)
        self.insist(remove)

    def close(self):
        self.stopped = True
        self.client.stop()
        self.client.close()


class Disk:
    """A small file system for what hatlas writes, which can be filled."""

    def __init__(self, folder, megabytes):
        self.folder, self.full = folder, threading.Event()
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "chaos", str(folder)],
            capture_output=True, text=True, check=False)
        self.mounted = done.returncode == 0
        self.why_not = done.stderr.strip()

    def fill(self):
        """Full until it is emptied, whatever files come and go."""
        self.full.set()
        threading.Thread(target=self._fill, daemon=True).start()

    def _fill(self):
        with open(self.folder / "filler", "wb", buffering=0) as filler:
            while self.full.is_set():
                with contextlib.suppress(OSError):
                    while filler.write(b"\0" * 4096) == 4096:
                        pass
                time.sleep(0.02)
            filler.truncate(0)

    def empty(self):
        self.full.clear()
        parts.wait_for(lambda: (self.folder / "filler").stat().st_size == 0, "an empty disk")

    def close(self):
        self.full.clear()
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)


class Sidecar(parts.Hatlas):
    """A hatlas behind relays, whose folder of outputs is a disk of its own."""

    def __init__(self, folder, ensemble, megabytes):
        folder.mkdir(parents=True)
        self.disk = Disk(folder / "out", megabytes)
        super().__init__(folder)
        self.wires = [parts.Wire(server.port) for server in ensemble.servers]

    def begin(self, **more):
        self.configure(
            sources=[{"zookeeper": ",".join(wire.address for wire in self.wires),
                      "root": ROOT, "session_timeout": "6s"}],
            apply={"min_reload_interval": "2s"},
            # The guard may keep empty services, but not what a swap of hosts replaced.
            guard={"empty_service": "keep", "max_loss": "100%"},
            cache=str(self.out / "catalog.json"), **more).run()

    def logged(self):
        """How far the log has come, for `log_since`."""
        return self.logs, self.log_file.stat().st_size

    def log_since(self, place):
        number, offset = place
        texts = [(self.folder / f"log.{later}").read_bytes()
                 for later in range(number, self.logs + 1)]
        return b"".join([texts[0][offset:], *texts[1:]]).decode(errors="replace")

    def haproxys(self):
        """Process ids of the HAProxys that serve: not those that only check a file."""
        found = []
        for pid in parts.processes_of(self.folder):
            with contextlib.suppress(OSError):
                if b"-W" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    found.append(pid)
        return found

    def master_pid(self):
        """Process id of the master, 0 while there is none."""
        pids = self.haproxys()
        return next((pid for pid in pids if parts.parent(pid) not in pids), 0)

    def worker(self):
        """Process id of the worker that serves, 0 if nobody says."""
        for line in parts.ask_unix(self.socket, "show info").splitlines():
            if line.startswith("Pid: "):
                return int(line[5:])
        return 0

    def memory(self):
        """Resident kilobytes, and open descriptors."""
        pid = self.process.pid
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        resident = int(status.partition("VmRSS:")[2].split()[0])
        return resident, len(os.listdir(f"/proc/{pid}/fd"))

    def close(self):
        super().close()
        for wire in self.wires:
            wire.close()
        self.disk.close()
