"""The real things that the tests drive: ZooKeeper, hosts, hatlas, HAProxy, and the wire
between them. Each has verbs; none asserts."""
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

DEADLINE = 60  # seconds until a wait gives up; no test's outcome depends on its size
SOURCE = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("HATLAS", SOURCE / "build/dev/hatlas"))


def wait_for(predicate, what="the condition", deadline=DEADLINE):
    """Returns what the predicate gives as soon as that is true."""
    end = time.monotonic() + deadline
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {deadline} s")
        time.sleep(0.01)


_handed_out = set()


def free_port():
    """A free port of loopback, below the range that outgoing connections take theirs from."""
    while True:
        port = random.randrange(15000, 32000)
        if port in _handed_out:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _handed_out.add(port)
        return port


def processes_of(folder):
    """Process ids of the HAProxys whose command line names the folder."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"haproxy" in words[0] and str(folder).encode() in b" ".join(words):
                found.append(int(entry.name))
    return sorted(found)


def kill_processes_of(folder):
    for pid in processes_of(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# --- ZooKeeper


class ZooKeeper:
    """One server with its own folder and port, which survive being killed. `more` are
    lines for its zoo.cfg."""

    JAVA = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-cp",
            "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar",
            "org.apache.zookeeper.server.quorum.QuorumPeerMain"]

    def __init__(self, folder, more=""):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = None
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        (self.folder / "zoo.cfg").write_text(
            "tickTime=500\n"
            f"dataDir={self.folder}/data\n"
            f"clientPort={self.port}\n"
            "clientPortAddress=127.0.0.1\n"
            "admin.enableServer=false\n"
            "4lw.commands.whitelist=*\n"
            "maxClientCnxns=0\n"
            "forceSync=no\n" + more)

    def start(self):
        self.launch()
        wait_for(self.serves, "ZooKeeper")
        return self

    def launch(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.JAVA, str(self.folder / "zoo.cfg")], stdout=log, stderr=log,
                cwd=self.folder)

    def serves(self):
        return self.ask("srvr", 0.5).startswith("Zookeeper version")

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, word, patience=5):
        """One of ZooKeeper's four-letter words; "" where nobody answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), patience) as connection:
                connection.sendall(word.encode())
                parts = []
                while part := connection.recv(65536):
                    parts.append(part)
                return b"".join(parts).decode()
        except OSError:
            return ""

    def sessions(self):
        """Ids of the sessions that the server keeps."""
        dump = wait_for(lambda: self.ask("dump"), "ZooKeeper's list of sessions")
        return {int(found, 16) for found in re.findall(r"0x[0-9a-f]+", dump)}

    def client(self, **options):
        client = KazooClient(self.address, timeout=30, **options)
        client.start(timeout=DEADLINE)
        return client


class Atlas:
    """The registry below one root, as an operator would write it."""

    def __init__(self, client, root, realm="testing"):
        self.client, self.root, self.realm = client, root, realm
        self.client.ensure_path(self.path("services"))

    def path(self, *parts):
        return "/".join([self.root, self.realm, *parts])

    def put(self, path, value):
        """Creates or replaces one znode; a value that is no bytes becomes JSON."""
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        try:
            self.client.set(path, data)
        except NoNodeError:
            self.client.create(path, data, makepath=True)
        return path

    def put_service(self, service, **fields):
        return self.put(self.path("services", service), fields)

    def put_host(self, service, port, host_id=None, **fields):
        record = {"host": "127.0.0.1", "port": port, **fields}
        host_id = host_id or f"{record['host']}:{record['port']}"
        return self.put(self.path("services", service, "hosts", host_id), record)

    def remove_host(self, service, host_id):
        if isinstance(host_id, int):
            host_id = f"127.0.0.1:{host_id}"
        self.client.delete(self.path("services", service, "hosts", host_id))

    def remove_service(self, service):
        self.client.delete(self.path("services", service), recursive=True)


class Wire:
    """A TCP relay that can be cut, and slowed by `delay` seconds a piece. It notes the id
    and password of the last ZooKeeper session that was opened through it (the server's
    first answer: length, protocol, time-out, session id, password)."""

    def __init__(self, port):
        self.to, self.up, self.delay, self.pairs = port, True, 0, []
        self.session = self.password = None
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Breaks what is connected; what comes later is closed at once."""
        self.up = False
        self.interrupt()

    def mend(self):
        self.up = True

    def interrupt(self):
        """Breaks what is connected, once."""
        pairs, self.pairs = self.pairs, []
        for end in (end for pair in pairs for end in pair):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self):
        self.listener.close()
        self.cut()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                self._connect(near)

    def _connect(self, near):
        try:
            if not self.up:
                raise OSError("cut")
            far = socket.create_connection(("127.0.0.1", self.to), 5)
            far.settimeout(None)
        except OSError:
            near.close()
            return
        self.pairs.append((near, far))
        self.connections += 1
        threading.Thread(target=self._relay, args=(near, far, False), daemon=True).start()
        threading.Thread(target=self._relay, args=(far, near, True), daemon=True).start()

    def _relay(self, source, target, sniff):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if sniff and len(data) >= 40:
                    self._sniff(data)
                sniff = False
                if self.delay:
                    time.sleep(self.delay)
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _sniff(self, data):
        _, _, timeout, session, size = struct.unpack_from(">iiiqi", data)
        if timeout > 0 and size == 16:
            self.session, self.password = session, data[24:40]


def close_session(zookeeper, session, password):
    """Ends a session as its owner would: joins it from a second connection and closes it."""
    with socket.create_connection(("127.0.0.1", zookeeper.port), 5) as connection:
        join = struct.pack(">iqiqi", 0, 0, 10000, session, 16) + password + b"\0"
        connection.sendall(struct.pack(">i", len(join)) + join)
        size, = struct.unpack(">i", _read(connection, 4))
        answer = _read(connection, size)
        joined, = struct.unpack_from(">q", answer, 8)
        if joined != session:
            raise AssertionError("ZooKeeper does not know the session")
        connection.sendall(struct.pack(">iii", 8, 1, -11))  # closeSession
        _read(connection, 4)
    wait_for(lambda: session & (2**64 - 1) not in zookeeper.sessions(), "end of session")


def _read(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise AssertionError("ZooKeeper hung up")
        data += part
    return data


# --- hosts of services


class Backend:
    """A tiny HTTP host that answers with its own name, and remembers what it was asked."""

    def __init__(self, name, status=200, delay=0):
        self.name, self.status, self.delay, self.requests = name, status, delay, []
        backend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length", 0))
                self.rfile.read(length)
                backend.requests.append((self.command, self.path, dict(self.headers)))
                time.sleep(backend.delay)
                body = backend.name.encode()
                self.send_response(backend.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass  # health checks hang up as soon as they are connected

        self.port = free_port()
        self.server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class FastBackend:
    """A host that keeps up with wrk: an HAProxy that answers by itself."""

    def __init__(self, folder):
        self.port = free_port()
        folder = pathlib.Path(folder)
        folder.mkdir()
        config = folder / "backend.cfg"
        config.write_text(
            "global\n    maxconn 4000\n    nbthread 1\n"
            "defaults\n    mode http\n    timeout client 1m\n    timeout server 1m\n"
            "    timeout connect 5s\n"
            f"frontend all\n    bind 127.0.0.1:{self.port}\n"
            "    http-request return status 200 content-type text/plain string fast\n")
        self.process = subprocess.Popen(["haproxy", "-db", "-f", str(config)])

    def close(self):
        self.process.kill()
        self.process.wait()


# --- hatlas


class Answer:
    """What a request gave."""

    def __init__(self, status, body, headers):
        self.status, self.body, self.headers = status, body, headers

    def __repr__(self):
        return f"{self.status} {self.body!r}"

    def json(self):
        return json.loads(self.body)


class Hatlas:
    """One hatlas with its own folder: writes hatlas.yaml, runs subcommands, runs the
    sidecar and collects its log."""

    def __init__(self, folder, binary=BINARY):
        self.folder, self.binary = pathlib.Path(folder), binary
        self.folder.mkdir(parents=True, exist_ok=True)
        self.out = self.folder / "out"
        self.out.mkdir(exist_ok=True)
        self.file = self.folder / "hatlas.yaml"
        self.port, self.stats_port, self.status_port = (free_port() for _ in range(3))
        self.config = self.out / "haproxy.cfg"
        self.socket = self.folder / "h.sock"  # names of sockets must be short
        self.master_socket = self.folder / "m.sock"
        self.process = None
        self.logs = 0

    def settings(self, **more):
        """Settings that keep everything in the folder and on free ports, with `more` laid
        over them: hatlas.yaml as a dict."""
        settings = {
            "realm": "testing",
            "node": {"name": "node-1", "zone": "here"},
            "routing": {"header": "X-Service", "bind": f"127.0.0.1:{self.port}"},
            "outputs": [
                {"template": "haproxy.cfg", "path": str(self.config), "check": "haproxy"},
                {"template": "services.map", "path": str(self.out / "services.map")}],
            "haproxy": {"control": "supervise", "socket": str(self.socket),
                        "master_socket": str(self.master_socket),
                        "stats": f"127.0.0.1:{self.stats_port}"},
            "apply": {"min_reload_interval": "0"},
            "guard": {"empty_service": "allow"},
            "cache": str(self.folder / "catalog.json"),
            "status": {"listen": f"127.0.0.1:{self.status_port}"},
            "log": {"level": "debug"},
        }
        for key, value in more.items():
            old = settings.get(key)
            both = isinstance(old, dict) and isinstance(value, dict)
            settings[key] = {**old, **value} if both else value
        return settings

    def configure(self, **more):
        """Writes hatlas.yaml. JSON is YAML, and needs no library here."""
        self.file.write_text(json.dumps(self.settings(**more), indent=2) + "\n")
        return self

    @staticmethod
    def variables(more=None):
        """The environment without what would change hatlas's settings."""
        own = {key: value for key, value in os.environ.items()
               if not key.startswith("HATLAS")}
        return {**own, **(more or {})}

    def command(self, *arguments, config=True, stdin=None, **environment):
        """Runs a subcommand to its end."""
        own = ["--config", str(self.file)] if config else []
        return subprocess.run(
            [self.binary, *own_first(arguments, own)], cwd=self.folder, text=True,
            capture_output=True, timeout=2 * DEADLINE, stdin=stdin or subprocess.DEVNULL,
            env=self.variables(environment))

    def run(self, *arguments, prefix=()):
        """Starts the sidecar."""
        self.logs += 1
        self.log_file = self.folder / f"log.{self.logs}"
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [*prefix, self.binary, "run", "--config", str(self.file), *arguments],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                env=self.variables(), start_new_session=True)
        return self

    def log(self):
        """The log of the last run, one dict a line: time, level, msg and its fields."""
        text = self.log_file.read_text(errors="replace")
        return [parse_logfmt(line) for line in text.splitlines() if "msg=" in line]

    def log_text(self):
        return self.log_file.read_text(errors="replace")

    def count(self, message):
        return sum(line.get("msg") == message for line in self.log())

    def wait_log(self, text):
        """Waits until some line of the log contains the text; returns that line."""
        def found():
            if not self.running() and text not in self.log_text():
                raise AssertionError(f"hatlas ended before it said {text!r}")
            lines = [line for line in self.log_text().splitlines() if text in line]
            return lines and lines[-1]
        return wait_for(found, f"{text!r} in the log")

    def running(self):
        return self.process is not None and self.process.poll() is None

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """Ends the sidecar and returns its exit code."""
        self.send(number)
        return self.process.wait(DEADLINE)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.running():
            self.send(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        kill_processes_of(self.folder)

    # --- through the sidecar's HAProxy

    def get(self, service, path="/", method="GET", headers=None, body=None):
        """One request with the header that names the service (None: without). Where
        HAProxy does not answer the status is 0."""
        headers = dict(headers or {})
        if service is not None:
            headers["X-Service"] = service
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.read().decode(),
                          {key.lower(): value for key, value in response.getheaders()})
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, str(error), {})
        finally:
            connection.close()

    def wait_answer(self, service, body):
        """Waits until the service answers with the body (or with the status, if that is a
        number)."""
        def answered():
            answer = self.get(service)
            return answer if body in (answer.status, answer.body) else None
        return wait_for(answered, f"answer {body!r} of {service}")

    def who(self, service, requests=8):
        """The set of bodies that some requests give."""
        return {self.get(service).body for _ in range(requests)}

    def wait_who(self, service, bodies):
        return wait_for(lambda: self.who(service) == set(bodies),
                        f"{service} answered by exactly {sorted(bodies)}")

    def masters(self):
        """Process ids of the HAProxy masters of this folder."""
        pids = processes_of(self.folder)
        return [pid for pid in pids if parent(pid) not in pids]

    def reloads(self):
        """How often HAProxy's master was reloaded, by its own account."""
        found = re.search(r"^\d+\s+master\s+(\d+)", self.master("show proc"), re.M)
        return int(found.group(1)) if found else 0

    def master(self, command):
        """Asks the master socket; waits while the master starts anew."""
        return wait_for(lambda: ask_unix(self.master_socket, command), "master socket")


def own_first(arguments, own):
    return [arguments[0], *own, *arguments[1:]] if arguments else own


def parent(pid):
    with contextlib.suppress(OSError):
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[1])
    return 0


def ask_unix(path, command):
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(path))
            connection.sendall(command.encode() + b"\n")
            connection.shutdown(socket.SHUT_WR)  # else a master waits for more
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
            return b"".join(parts).decode()
    except OSError:
        return ""


def parse_logfmt(line):
    """One line of the log as a dict."""
    pairs = re.findall(r'([\w.]+)=("(?:[^"\\]|\\.)*"|\S*)', line)
    return {key: re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
            for key, value in pairs}


def haproxy_accepts(path):
    """Whether `haproxy -c` takes the file; HAProxy's words are the second value. Exit code
    2 is a valid config without a listener."""
    done = subprocess.run(["haproxy", "-c", "-f", str(path)], text=True,
                          capture_output=True, timeout=DEADLINE)
    return done.returncode in (0, 2), done.stderr + done.stdout


def tree(folder):
    """All files below a folder with what would change if somebody touched them."""
    def state(path):
        stat = path.lstat()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size
    return {str(path): state(path) for path in pathlib.Path(folder).rglob("*")}


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)
