"""Constant change of the registry, by a seed, under one rule: each service that is asked
for keeps a host that is alive, enabled and not draining."""
import random
import threading

from world import DEAD, PORT, SLOTS


def low(number):
    """The first port of the service's hosts."""
    return PORT + number * SLOTS


def name_of(number):
    return f"svc-{number:04}"


def is_single(number):
    """Services that have one host at a time, which is replaced."""
    return number % 5 == 2 and not is_mortal(number)


def is_mortal(number):
    """Services with hosts where nobody listens. Their live hosts stay: HAProxy takes the
    dead for alive until it has checked them, and so would not miss a live one."""
    return number % 4 == 0


class Churn:
    """Writes changes of services and hosts, `rate` a second, while it is not held."""

    def __init__(self, registry, hosts, count, seed, rate=1):
        self.registry, self.address = registry, hosts.address
        self.count, self.rate = count, rate
        self.chance = random.Random(seed)
        self.done = 0
        self.spared = set()  # services that somebody else writes to
        self.passing = 0
        self.going, self.ended = threading.Event(), threading.Event()
        self.idle = threading.Lock()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.error = None

    # --- what is there from the start

    def record(self, port, **fields):
        return {"host": self.address, "port": port, **fields}

    def host_id(self, port):
        return f"{self.address}:{port}"

    def fill(self):
        for number in range(self.count):
            service = name_of(number)
            self.registry.put_service(service)
            for slot in range(1 if is_single(number) else 2):
                self.add(service, low(number) + slot)

    def targets(self):
        """What the load asks for. Services with dead hosts get no POST, which is not tried
        again on another host."""
        return [{"service": name_of(number), "low": low(number), "high": low(number) + SLOTS,
                 "post": not is_mortal(number)} for number in range(self.count)]

    # --- running

    def start(self):
        self.thread.start()
        self.going.set()

    def hold(self):
        """Returns when no write is under way, and none comes until `go`."""
        self.going.clear()
        with self.idle:
            pass

    def go(self):
        self.going.set()

    def close(self):
        self.ended.set()
        self.going.set()

    def _run(self):
        try:
            while not self.ended.wait(self.chance.uniform(0.5, 1.5) / self.rate):
                self.going.wait()
                with self.idle:
                    if self.going.is_set() and not self.ended.is_set():
                        self.step()
        except Exception as error:  # told by the main thread, with its place
            self.error = error
            if not self.ended.is_set():
                raise

    def step(self):
        number = self.chance.randrange(self.count)
        while name_of(number) in self.spared:
            number = self.chance.randrange(self.count)
        self.chance.choice(self.kinds(number))(number)
        self.done += 1

    def kinds(self, number):
        """Each as often as it is likely. All but the last two need no reload."""
        hosts = [self.come] * 5 + [self.leave] * 5 + [self.switch] * 4 + [self.drain] * 3
        if is_mortal(number):
            hosts = [self.die] * 4
        elif is_single(number):
            hosts = [self.swap] * 6
        else:
            hosts += [self.swap] * 3
        return [*hosts, *[self.weigh] * 6, self.service, self.pass_by]

    # --- the state of one service

    def records(self, number):
        return self.registry.services[name_of(number)]["hosts"]

    def serving(self, number):
        """Ids of hosts that new requests may go to, and are alive."""
        return [host_id for host_id, record in self.records(number).items()
                if record["port"] >= PORT and record.get("enabled", True)
                and not record.get("drain")]

    def absent(self, number):
        return [port for port in range(low(number), low(number) + SLOTS)
                if self.host_id(port) not in self.records(number)]

    def spare(self, number):
        """A host without which the service serves on, or None."""
        serving = self.serving(number)
        return self.chance.choice(serving) if len(serving) > 1 else None

    # --- changes

    def add(self, service, port, **fields):
        self.registry.put_host(service, self.host_id(port), self.record(port, **fields))

    def alter(self, number, host_id, **fields):
        record = {**self.records(number)[host_id], **fields}
        self.registry.put_host(name_of(number), host_id, record)

    def weigh(self, number):
        serving = self.serving(number)
        self.alter(number, self.chance.choice(serving), weight=self.chance.randint(1, 100))

    def come(self, number):
        if self.absent(number):
            self.add(name_of(number), self.chance.choice(self.absent(number)))

    def leave(self, number):
        host_id = self.spare(number)
        if host_id:
            self.registry.remove_host(name_of(number), host_id)

    def swap(self, number):
        """Even the only host may be replaced by another at once."""
        absent, serving = self.absent(number), self.serving(number)
        if absent:
            port = self.chance.choice(absent)
            self.registry.swap_host(name_of(number), self.chance.choice(serving),
                                    self.host_id(port), self.record(port))

    def switch(self, number):
        self.toggle(number, "enabled", False)

    def drain(self, number):
        self.toggle(number, "drain", True)

    def toggle(self, number, field, off):
        for host_id, record in self.records(number).items():
            if record.get(field, not off) == off:
                self.alter(number, host_id, **{field: not off})
                return
        host_id = self.spare(number)
        if host_id:
            self.alter(number, host_id, **{field: off})

    def die(self, number):
        """A host where nobody listens comes, or goes."""
        port, service = DEAD + number % 1000, name_of(number)
        if self.host_id(port) in self.records(number):
            self.registry.remove_host(service, self.host_id(port))
        else:
            self.add(service, port)

    def service(self, number):
        """A field of the service: HAProxy must be reloaded."""
        self.registry.put_service(
            name_of(number), retries=self.chance.randint(3, 6),
            balance=self.chance.choice(["roundrobin", "leastconn", "random"]))

    def pass_by(self, number):
        """A service that nobody asks for comes, or goes: a reload too."""
        name = f"pass-{number % 10}"
        if name in self.registry.services:
            self.registry.remove_service(name)
        else:
            self.registry.put_service(name)
            self.add(name, low(number))
