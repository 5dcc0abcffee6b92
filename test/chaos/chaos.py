"""Chaos: faults by a seed while requests run and the registry changes, and after each round
the question whether all is as it is meant to be. README.md says what is asked when."""
import argparse
import pathlib
import random
import shutil
import sys
import tempfile
import time
import traceback

import churn
import faults
import judge
import world as town
from conftest import sanitizer_reports
from world import parts


class World:
    """All of it."""

    def __init__(self, folder, options):
        self.folder = folder
        self.closers = []
        self.ensemble = self.keep(town.Ensemble(folder))
        self.ensemble.start()
        self.hosts = self.keep(town.Hosts(
            folder / "hosts", options.services * town.SLOTS))
        self.registry = self.keep(town.Registry(self.ensemble))
        self.churn = self.keep(churn.Churn(self.registry, self.hosts, options.services,
                                           options.seed, options.changes))
        self.churn.fill()
        self.sidecar = self.keep(town.Sidecar(
            folder / "s", self.ensemble, 4 + options.services // 50))
        self.outages = judge.Outages(self.sidecar)

    def keep(self, thing):
        self.closers.append(thing.close)
        return thing

    def close(self):
        for close in reversed(self.closers):
            try:
                close()
            except Exception:  # the rest must still be ended
                traceback.print_exc()


class Chaos:
    def __init__(self, world, options):
        self.world, self.options = world, options
        self.chance = random.Random(options.seed)
        self.began = time.monotonic()
        self.wrong = []  # what must not be
        self.rounds = []  # (names, seconds to converge, kilobytes, descriptors)
        self.refused = 0  # configs on disk that haproxy -c did not take
        self.seen = 0  # failures of requests already told
        self.bag = []

    # --- telling

    def say(self, text):
        print(f"{time.monotonic() - self.began:8.1f} s  {text}", flush=True)

    def fault(self, text):
        self.wrong.append(text)
        self.say(f"WRONG: {text}")

    # --- rounds

    def kinds(self):
        """The kinds of the next round: each once, then two or three at a time."""
        if self.bag is None:
            kinds = self.usable()
            return self.chance.sample(kinds, min(len(kinds), self.chance.choice([1, 2, 2, 3])))
        if not self.bag:
            self.bag = self.usable()
            self.chance.shuffle(self.bag)
        kind = self.bag.pop()
        if not self.bag:
            self.bag = None
        return [kind]

    def usable(self):
        kinds = self.options.only.split(",") if self.options.only else list(faults.KINDS)
        if "fill disk" in kinds and not self.world.sidecar.disk.mounted:
            kinds.remove("fill disk")
        return kinds

    def round(self, names):
        sidecar = self.world.sidecar
        place = sidecar.logged()
        self.world.churn.go()
        begun = []
        for name in sorted(names, key=lambda name: not faults.KINDS[name].writes):
            one = faults.KINDS[name](self.world, self.chance)
            words = one.begin()
            self.say(f"{name}: {words or 'not possible now'}")
            begun.append((one, words))
            time.sleep(self.chance.uniform(*one.seconds) / (1 if len(names) == 1 else 2))
        for one, _ in reversed(begun):
            one.end()
        ensemble = self.world.ensemble
        parts.wait_for(lambda: all(map(ensemble.role, ensemble.servers)),
                       "ZooKeeper's servers back", self.options.deadline)
        self.settle(names)
        if len(begun) == 1 and begun[0][1]:
            self.evidence(names[0], begun[0][0], place)

    def settle(self, names):
        """All is mended and no change comes: how long until all is as it is meant to be?"""
        mended = time.monotonic()
        self.world.churn.hold()
        self.world.churn.weigh(0)  # the last change, which ZooKeeper took
        last = time.monotonic()
        try:
            parts.wait_for(self.world.outages.over, "HAProxy back", self.options.deadline)
            waited = time.monotonic() - last
            took = waited + judge.Convergence(self.world).wait(self.options.deadline)
        except AssertionError as error:
            self.fault(f"{' + '.join(names)}: {error}")
            raise
        memory = self.quiet()
        self.rounds.append((names, took, *memory))
        stall = self.world.stalls.take()
        self.say(f"  as meant after {took:.2f} s (ZooKeeper took the last change "
                 f"{last - mended:.2f} s after the mending), {memory[0]} kB, "
                 f"{memory[1]} descriptors" +
                 (f"; the machine stalled for {stall:.1f} s" if stall > 0.3 else ""))
        if self.options.limit and took > self.options.limit:
            self.fault(f"{' + '.join(names)}: converged only after {took:.1f} s")
        self.requests()
        self.others()

    def quiet(self):
        """Memory and descriptors, once these are no more than at the first time."""
        most = self.rounds[0][3] + 4 if self.rounds else 1000
        sidecar = self.world.sidecar
        try:
            parts.wait_for(lambda: sidecar.memory()[1] <= most, "", self.options.deadline)
        except AssertionError:
            self.fault(f"descriptors grow: {sidecar.memory()[1]}, first {most - 4}")
        return sidecar.memory()

    def requests(self):
        """Failures that no killed HAProxy explains."""
        failures = self.world.load.failures()
        for one in failures[self.seen:]:
            if not self.world.outages.explain(one):
                self.fault(f"request failed: {one} at {one['ended'] - self.began:.2f} s")
        self.seen = len(failures)

    def others(self):
        world = self.world
        for when, words in world.sampler.faults:
            self.fault(f"config on disk at {when - self.began:.1f} s: {words}")
        self.refused += len(world.sampler.faults)
        world.sampler.faults.clear()
        if world.churn.error:
            raise world.churn.error

    def evidence(self, name, one, place):
        """The log has a line for the event; the last may still be on its way."""
        sidecar = self.world.sidecar
        for text in one.expected():
            try:
                parts.wait_for(lambda text=text: text in sidecar.log_since(place),
                               f"{text!r} in the log", self.options.deadline)
            except AssertionError as error:
                self.fault(f"{name}: {error}")

    def run(self):
        world = self.world
        if not world.sidecar.disk.mounted:
            self.say(f"SKIPPED: fill disk, no right to mount: {world.sidecar.disk.why_not}")
        self.say(f"{self.options.services} services, seed {self.options.seed}")
        judge.Convergence(world).wait(self.options.deadline)
        self.say("HAProxy serves")
        world.load = world.keep(judge.Load(world.sidecar, world.churn.targets(),
                                           self.options, world.folder))
        world.stalls = world.keep(judge.Stalls())
        world.sampler = world.keep(judge.Sampler(world.sidecar, self.options.sample))
        world.churn.start()
        self.round(["calm"])
        while self.bag is not None or self.elapsed() < self.options.seconds:
            self.round(self.kinds())
            if not world.sidecar.running():
                self.fault("hatlas ended by itself")

    def elapsed(self):
        return time.monotonic() - self.began

    def finish(self):
        """Ends what runs, and looks at what was left for the end."""
        world = self.world
        sums = world.load.stop()
        self.requests()
        world.sampler.close()
        self.others()
        if sums["requests"] < 20 * len(self.rounds):
            self.fault("there was hardly any load")
        code = world.sidecar.stop()
        if code != 0:
            self.fault(f"hatlas ended with {code} after SIGTERM")
        for text in sanitizer_reports(world.sidecar):
            self.fault(text)
        return sums


def report(chaos, sums):
    """The table at the end."""
    world, rounds = chaos.world, chaos.rounds
    failures = world.load.failures()
    explained = sum(map(world.outages.explain, failures))
    taken = sorted(seconds for _, seconds, _, _ in rounds)
    rows = [
        ("rounds", len(rounds)),
        ("changes of the registry", world.churn.done),
        ("requests", sums["requests"]),
        ("… failed while a killed HAProxy was away", explained),
        ("… failed for any other cause", len(failures) - explained),
        ("requests: p50, p99, slowest",
         " / ".join(f"{1000 * value:.1f} ms" for value in sums["times"].values())),
        ("HAProxys killed; longest away",
         f"{len(world.outages.times)}; {world.outages.longest():.2f} s"),
        ("configs looked at by haproxy -c; refused",
         f"{world.sampler.count}; {chaos.refused}"),
        ("converged: median, longest", f"{taken[len(taken) // 2]:.2f} / {taken[-1]:.2f} s"),
        ("memory first, last, most",
         "{} / {} / {} kB".format(rounds[0][2], rounds[-1][2], max(r[2] for r in rounds))),
        ("descriptors first, last, most",
         "{} / {} / {}".format(rounds[0][3], rounds[-1][3], max(r[3] for r in rounds))),
    ]
    print()
    for name, value in rows:
        print(f"{name:44} {value}")
    by_kind(rounds)


def by_kind(rounds):
    print("\nfault, alone or with others  rounds  median  longest until converged")
    for kind in faults.KINDS:
        taken = sorted(seconds for names, seconds, _, _ in rounds if kind in names)
        if taken:
            print(f"{kind:27} {len(taken):7}  {taken[len(taken) // 2]:5.2f}s  "
                  f"{taken[-1]:5.2f}s")


def options_of(words):
    parser = argparse.ArgumentParser(prog="test/chaos/run.sh")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--services", type=int, default=100)
    parser.add_argument("--changes", type=float, default=10, help="a second")
    parser.add_argument("--clients", type=int, default=16, help="that ask all the time")
    parser.add_argument("--sample", type=float, default=1.0,
                        help="seconds between two looks at the config on disk")
    parser.add_argument("--limit", type=float, default=5.0,
                        help="seconds within which hatlas has to converge; 0: any")
    parser.add_argument("--deadline", type=float, default=120.0,
                        help="seconds after which the run is given up")
    parser.add_argument("--only", help="these faults, with commas between: " +
                        ", ".join(faults.KINDS))
    parser.add_argument("--keep", action="store_true", help="leave the folder behind")
    return parser.parse_args(words)


def main():
    options = options_of(sys.argv[1:])
    folder = pathlib.Path(tempfile.mkdtemp(prefix="chaos."))
    world = chaos = None
    good = False
    try:
        world = World(folder, options)
        world.sidecar.begin()
        chaos = Chaos(world, options)
        chaos.run()
        report(chaos, chaos.finish())
        good = not chaos.wrong
    except Exception:
        traceback.print_exc()
    finally:
        if world:
            keep_log(world, good)
            world.close()
        if options.keep or not good:
            print(f"logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    for text in chaos.wrong if chaos else []:
        print(f"WRONG: {text}")
    print("all held" if good else "NOT all held")
    return 0 if good else 1


def keep_log(world, good):
    if not good:
        print("--- the end of hatlas's log")
        print(world.sidecar.log_text()[-10000:])


if __name__ == "__main__":
    sys.exit(main())
