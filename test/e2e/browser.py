"""A headless Chromium, driven by the DevTools protocol over a web socket (RFC 6455), with
nothing but the standard library."""
import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import urllib.parse

import parts

PROGRAM = shutil.which("chromium")


class WebSocket:
    """One connection that sends and receives text."""

    def __init__(self, url):
        where = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((where.hostname, where.port), parts.DEADLINE)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode())
        self.stream = self.socket.makefile("rb")
        if b" 101 " not in self.stream.readline():
            raise AssertionError("no web socket")
        while self.stream.readline() not in (b"\r\n", b""):
            pass

    def send(self, text):
        data = text.encode()
        size = struct.pack(">BB", 0x81, 0x80 | len(data)) if len(data) < 126 else \
            struct.pack(">BBH", 0x81, 0xfe, len(data)) if len(data) < 65536 else \
            struct.pack(">BBQ", 0x81, 0xff, len(data))
        self.socket.sendall(size + bytes(4) + data)  # a mask of zeros changes nothing

    def receive(self):
        data = b""
        while True:
            first, length = self.stream.read(2)
            if length == 126:
                length, = struct.unpack(">H", self.stream.read(2))
            elif length == 127:
                length, = struct.unpack(">Q", self.stream.read(8))
            part = self.stream.read(length)
            if first & 0x0f in (0, 1, 2):
                data += part
                if first & 0x80:
                    return data.decode()

    def close(self):
        self.stream.close()
        self.socket.close()


class Browser:
    """One page: goes somewhere, evaluates, takes pictures. Notes what the page complains
    of: script errors and refusals by its Content-Security-Policy."""

    def __init__(self, folder):
        self.folder = folder
        self.log_path = folder / "chromium.log"
        self.complaints, self.number = [], 0
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                 "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-extensions",
                 "--remote-debugging-port=0", f"--user-data-dir={folder}/profile",
                 "about:blank"], stdout=log, stderr=log, start_new_session=True)
        found = parts.wait_for(lambda: re.search(r"ws://127\.0\.0\.1:(\d+)/",
                                                 self.log_path.read_text()), "Chromium")
        self.socket = WebSocket(parts.wait_for(
            lambda: self._page(int(found.group(1))), "Chromium's page"))
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    @staticmethod
    def _page(port):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            connection.request("GET", "/json")
            pages = json.loads(connection.getresponse().read())
        return next((page["webSocketDebuggerUrl"] for page in pages
                     if page["type"] == "page"), None)

    def ask(self, method, **params):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.receive())
            self._note(message)
            if message.get("id") == self.number:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return message["result"]

    def _note(self, message):
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(message["params"]["exceptionDetails"]))
        if message.get("method") == "Log.entryAdded":
            entry = message["params"]["entry"]
            if entry["source"] in ("security", "javascript", "violation"):
                self.complaints.append(entry["text"])

    def size(self, width, height, dark=False):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=False)
        self.ask("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def go(self, url):
        self.ask("Page.navigate", url=url)

    def js(self, expression):
        """The value of an expression; promises are waited for."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True,
                          awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression):
        """Waits until the expression is true; while a page loads it may not even work."""
        return parts.wait_for(
            lambda: self.js(f"(() => {{ try {{ return !!({expression}) }} catch {{ }} }})()"),
            expression)

    def key(self, name, text=""):
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=name,
                     **({"text": text} if text and kind == "keyDown" else {}))

    def picture(self, path):
        data = self.ask("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        self.socket.close()
        self.process.kill()
        self.process.wait()
