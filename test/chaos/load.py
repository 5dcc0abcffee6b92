"""Constant load through one HAProxy, in a process of its own. Every request that does not
give what it must is one line of JSON on standard output, with when it began and ended
(CLOCK_MONOTONIC, which all processes of a machine share). Ends on SIGTERM with a line of
sums.

A request must give status 200 and, as its body, the port of one of the hosts that the
service ever has: another number is an answer of another service."""
import argparse
import asyncio
import json
import random
import signal
import sys
import time

PATIENCE = 60  # seconds until a request counts as failed


class Wrong(Exception):
    """The answer is not what it must be."""


class Load:
    def __init__(self, options):
        self.options = options
        self.targets = json.loads(options.targets)
        self.chance = random.Random(options.seed)
        self.requests = self.failures = 0
        self.times = []
        self.ended = asyncio.Event()

    async def run(self):
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ended.set)
        clients = [self.client(keeps=number % 4 != 0) for number in range(self.options.clients)]
        await asyncio.gather(*clients)
        self.say(sums=True, requests=self.requests, failures=self.failures,
                 times=percentiles(self.times))

    @staticmethod
    def say(**line):
        print(json.dumps(line), flush=True)

    async def client(self, keeps):
        """Asks again and again; one that does not keep its connection opens one for each
        request."""
        connection = None
        while not self.ended.is_set():
            connection = await self.one(connection, keeps)
            await asyncio.sleep(self.options.pause * self.chance.uniform(0.5, 1.5))
        hang_up(connection)

    async def one(self, connection, keeps):
        target = self.chance.choice(self.targets)
        method = "POST" if target["post"] and self.chance.random() < 0.2 else "GET"
        began = time.monotonic()
        kept = connection is not None and not connection[0].at_eof()
        try:
            async with asyncio.timeout(PATIENCE):
                if not kept:
                    hang_up(connection)
                    connection = None
                    connection = await asyncio.open_connection("127.0.0.1",
                                                               self.options.port)
                goes_on = await self.ask(connection, method, target, keeps)
        except (OSError, EOFError, ValueError, Wrong, asyncio.IncompleteReadError) as error:
            self.failures += 1
            self.say(began=began, ended=time.monotonic(), service=target["service"],
                     method=method, kept=kept, error=f"{type(error).__name__}: {error}")
            goes_on = False
        self.requests += 1
        self.note(time.monotonic() - began)
        if not goes_on:
            hang_up(connection)
            return None
        return connection

    async def ask(self, connection, method, target, keeps):
        """One request; whether the connection can take another."""
        reader, writer = connection
        body = b"x=1" if method == "POST" else b""
        lines = [f"{method} / HTTP/1.1", "Host: chaos",
                 f"{self.options.header}: {target['service']}",
                 f"Content-Length: {len(body)}", *([] if keeps else ["Connection: close"])]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(None, 2)[1])
        length = int(head.partition("\r\ncontent-length:")[2].split("\r\n")[0])
        answer = await reader.readexactly(length)
        if status != 200:
            raise Wrong(f"{status} {answer[:200]!r}")
        if not target["low"] <= int(answer) < target["high"]:
            raise Wrong(f"answered by {int(answer)}, a host of another service")
        return keeps and "connection: close" not in head

    def note(self, seconds):
        """Keeps a fair sample of 20,000 times."""
        if len(self.times) < 20000:
            self.times.append(seconds)
        elif (place := self.chance.randrange(self.requests)) < 20000:
            self.times[place] = seconds


def percentiles(times):
    times = sorted(times) or [0.0]
    return {name: times[min(len(times) - 1, int(len(times) * share))]
            for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


def hang_up(connection):
    if connection:
        connection[1].close()


def main():
    words = argparse.ArgumentParser()
    words.add_argument("--port", type=int, required=True)
    words.add_argument("--header", required=True)
    words.add_argument("--targets", required=True, help="file: [{service, low, high, post}]")
    words.add_argument("--clients", type=int, default=16)
    words.add_argument("--pause", type=float, default=0.03)
    words.add_argument("--seed", type=int, default=1)
    options = words.parse_args()
    with open(options.targets, encoding="utf-8") as file:
        options.targets = file.read()
    asyncio.run(Load(options).run())


if __name__ == "__main__":
    sys.exit(main())
