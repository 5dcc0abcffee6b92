"""Soak: many changes at an even pace, and whether memory, descriptors and the time that a
change takes stay as they are. Prints one line an interval."""
import argparse
import pathlib
import shutil
import sys
import tempfile
import time

import judge
from chaos import World
from churn import Churn, is_mortal, is_single, name_of
from world import parts


class Steady(Churn):
    """Nearly all changes are of hosts, and need no reload."""

    def kinds(self, number):
        seldom = self.chance.random() < 0.005
        return [self.service] if seldom else super().kinds(number)[:-2]


class Soak:
    def __init__(self, world, options):
        self.world, self.options = world, options
        self.churn = Steady(world.registry, world.hosts, options.services,
                            options.seed)
        self.measured = [number for number in range(options.services)
                         if not is_single(number) and not is_mortal(number)]
        self.times = []  # of this interval
        self.rows = []  # (minutes, changes, kilobytes, descriptors, p50, p99, reloads, CPU)

    def run(self):
        options = self.options
        self.began = time.monotonic()
        next_row = options.interval
        for number in range(options.changes):
            due = number * options.seconds / options.changes
            time.sleep(max(0.0, self.began + due - time.monotonic()))
            if number % options.measure == 0:
                self.times.append(self.measure())
            else:
                self.churn.step()
            if time.monotonic() - self.began >= next_row:
                self.row(number + 1)
                next_row += options.interval
        self.row(options.changes)
        judge.Convergence(self.world).wait(parts.DEADLINE)

    def measure(self):
        """Seconds from the write of a znode until HAProxy says that it is so."""
        churn, sidecar = self.churn, self.world.sidecar
        number = churn.chance.choice(self.measured)
        host_id = churn.chance.choice(churn.serving(number))
        weight = churn.records(number)[host_id].get("weight", 1) % 100 + 1
        begin = time.perf_counter()
        churn.alter(number, host_id, weight=weight)

        def is_so():
            answer = parts.ask_unix(sidecar.socket, f"show servers state {name_of(number)}")
            return any(f" {host_id} " in line and line.split()[7] == str(weight)
                       for line in answer.splitlines())
        while not is_so():
            if time.perf_counter() - begin > parts.DEADLINE:
                raise AssertionError(f"{name_of(number)}/{host_id} never got its weight")
            time.sleep(0.001)
        return time.perf_counter() - begin

    def row(self, changes):
        sidecar = self.world.sidecar
        times = sorted(self.times) or [0.0]
        self.times = []
        stat = pathlib.Path(f"/proc/{sidecar.process.pid}/stat").read_text().split()
        self.rows.append((
            (time.monotonic() - self.began) / 60, changes, *sidecar.memory(),
            1000 * times[len(times) // 2], 1000 * times[int(len(times) * 0.99)],
            sidecar.reloads(), (int(stat[13]) + int(stat[14])) / 100))
        if len(self.rows) == 1:
            print("minute  changes      kB  descriptors  p50 ms  p99 ms  reloads  CPU s")
        print("{:6.1f} {:8} {:7} {:12} {:7.1f} {:7.1f} {:8} {:6.1f}".format(*self.rows[-1]),
              flush=True)

    def verdicts(self):
        """What is not flat from the tenth minute on, or from a third of a shorter run."""
        start = min(10.0, self.options.seconds / 60 / 3)
        rows = [row for row in self.rows if row[0] >= start]
        half = len(rows) // 2
        if not half:
            return ["too short to tell"]
        wrong = []
        for place, name, share, more in ((2, "memory", 1.05, 512), (3, "descriptors", 1, 4),
                                         (4, "p50", 1.5, 20)):
            first, last = (sorted(row[place] for row in part)[len(part) // 2]
                           for part in (rows[:half], rows[half:]))
            print(f"{name}: median {first:.0f} in the first half from minute "
                  f"{start:.1f} on, {last:.0f} in the second")
            if last > share * first + more:
                wrong.append(f"{name} grows")
        return wrong


def options_of(words):
    parser = argparse.ArgumentParser(prog="test/chaos/run.sh --soak")
    parser.add_argument("--changes", type=int, default=100000)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=60, help="seconds a line")
    parser.add_argument("--measure", type=int, default=10, help="time one change in so many")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(words)


def main():
    options = options_of(sys.argv[1:])
    folder = pathlib.Path(tempfile.mkdtemp(prefix="soak."))
    world = None
    wrong = ["it did not come to its end"]
    try:
        world = World(folder, options)
        world.sidecar.begin(log={"level": "info"})
        judge.Convergence(world).wait(parts.DEADLINE)
        soak = Soak(world, options)
        soak.run()
        wrong = soak.verdicts()
        if world.sidecar.stop() != 0:
            wrong.append("hatlas did not end well")
    finally:
        if world:
            world.close()
        if wrong:
            print(f"logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print("flat" if not wrong else "NOT flat: " + "; ".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
