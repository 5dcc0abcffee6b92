"""Hosts with more to them than parts.Backend, and a sidecar that many tests share."""
import contextlib
import http.client
import json
import pathlib
import socket
import subprocess
import threading
import time

import parts


class Host(parts.Backend):
    """A host whose answers can be changed while it runs: status, seconds it takes, more
    headers, statuses by path. It remembers requests with the names of headers in lower
    case, as HTTP/2 has them."""

    def __init__(self, name, status=200, delay=0, headers=None):
        super().__init__(name, status)
        self.delay, self.headers, self.by_path = delay, headers or {}, {}
        host = self
        handler = self.server.RequestHandlerClass
        handler.disable_nagle_algorithm = True

        def answer(request):
            length = int(request.headers.get("Content-Length", 0))
            request.rfile.read(length)
            time.sleep(host.delay)
            headers = {name.lower(): value for name, value in request.headers.items()}
            host.requests.append((request.command, request.path, headers))
            body = host.name.encode()
            request.send_response(host.by_path.get(request.path, host.status))
            for name, value in host.headers.items():
                request.send_header(name, value)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            if request.command != "HEAD":
                request.wfile.write(body)

        for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"):
            setattr(handler, "do_" + method, answer)

    def asked(self, path="/"):
        return sum(request[1] == path for request in self.requests)

    def record(self, **fields):
        return {"host": "127.0.0.1", "port": self.port, **fields}


class Script:
    """A TCP server that says `greeting` to who connects, and to whatever it hears what
    `answers` has for its beginning; without one it hangs up."""

    def __init__(self, greeting=b"", answers=()):
        self.greeting, self.answers = greeting, answers
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                threading.Thread(target=self._talk, args=(peer,), daemon=True).start()

    def _talk(self, peer):
        with contextlib.suppress(OSError), peer:
            peer.sendall(self.greeting)
            while heard := peer.recv(4096):
                for start, answer in self.answers:
                    if heard.startswith(start):
                        peer.sendall(answer)
                        break
                else:
                    return

    def record(self, **fields):
        return {"host": "127.0.0.1", "port": self.port, **fields}

    def close(self):
        self.listener.close()


class Sidecar(parts.Hatlas):
    """A hatlas with its registry in a file, for all tests of a module."""

    def __init__(self, folder):
        super().__init__(folder)
        self.services = {}
        self.closing = []

    def host(self, name, **options):
        self.closing.append(Host(name, **options))
        return self.closing[-1]

    def script(self, *arguments):
        self.closing.append(Script(*arguments))
        return self.closing[-1]

    def write(self):
        path = self.folder / "cluster.yaml"
        new = self.folder / "new.yaml"
        new.write_text(json.dumps({"services": self.services}))
        new.rename(path)
        return path

    def serve(self, **settings):
        self.configure(sources=[{"file": str(self.write())}], **settings)
        self.run()
        parts.wait_for(lambda: self.get("no-such-service").status == 404, "the sidecar")
        return self

    def close(self):
        super().close()
        for each in self.closing:
            each.close()

    def state(self, service):
        """Server name → its line of `show stat`, as a dict."""
        text = parts.ask_unix(self.socket, "show stat")
        names, *rows = [line.split(",") for line in text.splitlines() if line]
        names[0] = names[0].removeprefix("# ")
        lines = [dict(zip(names, row)) for row in rows]
        return {line["svname"]: line for line in lines if line["pxname"] == service
                and line["svname"] not in ("FRONTEND", "BACKEND")}

    def wait_state(self, service, server, status):
        return parts.wait_for(
            lambda: self.state(service)[server]["status"].startswith(status),
            f"{server} of {service} being {status}")

    def ask(self, port, payload=b"GET / HTTP/1.0\r\n\r\n"):
        """What a local tcp port answers."""
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(payload)
                return connection.makefile("rb").read()
        except OSError:
            return b""

    def curl(self, *arguments, **options):
        done = subprocess.run(["curl", "-sS", "--noproxy", "", *arguments], text=True,
                              capture_output=True, timeout=parts.DEADLINE, check=False,
                              **options)
        return done.stdout


def connection(sidecar):
    return http.client.HTTPConnection("127.0.0.1", sidecar.port, timeout=20)


def ask(connection, path, headers, method="GET"):
    """One request on a connection that is kept."""
    connection.request(method, path, None, headers)
    response = connection.getresponse()
    return parts.Answer(response.status, response.read().decode(),
                        {key.lower(): value for key, value in response.getheaders()})


def certificate(folder, name, signer=None):
    """Writes a certificate for the name, signed by itself or by the signer's files."""
    folder = pathlib.Path(folder)
    key, cert, pem = (folder / f"{name}.{end}" for end in ("key", "crt", "pem"))
    sign = ["-CA", str(signer) + ".crt", "-CAkey", str(signer) + ".key"] if signer else []
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "30", "-keyout", key, "-out", cert, "-subj", f"/CN={name}",
         "-addext", f"subjectAltName=DNS:{name}", *sign],
        check=True, capture_output=True)
    pem.write_bytes(cert.read_bytes() + key.read_bytes())
    return pem
