"""Many tasks of a cluster, simulated: do the claims lose a shard, do one twice, or leave machines idle?

`python tests/claims_simulation.py 10000 512` prints what comes of 10,000 shards and 512 tasks. The code that decides is the
real one (`flowatlas.claims`); made up are the clock, the cluster and the file server:

* what a node lists is up to half a minute old, and an entry that another node has made is not found for some seconds;
  only creating is decided by the server;
* every operation takes time, and is counted as idle time of its task;
* tasks are killed without a word at any moment, also between `publish` and `done`; most are started again, some never;
* some stand still for longer than it takes to be declared dead, and then go on as if nothing had happened;
* when all have ended, one last process does what is left (the closing job).
"""

import dataclasses
import heapq
import sys
from collections import Counter
from collections.abc import Generator
from random import Random
from typing import Any

from flowatlas.claims import Claim, Claims, LostError
from flowatlas.workers import DEAD, Worker

LOAD, SHARD, WRITE = 60.0, 120.0, 3.0  # seconds: loading a model, computing a shard (on average), writing it
LISTING_AGE, UNSEEN = 30.0, 5.0  # seconds for which a listing is kept, and an entry of another node stays unseen
LIST, READ, CREATE = 0.2, 0.002, 0.01  # seconds that an operation takes
LIFE, STILL = 3600.0, 400.0  # seconds: a task's mean life, and how long one stands still
RESTARTED, STANDS_STILL = 0.8, 0.01  # probabilities: of a new life after a death, and of standing still in a shard
RESTART = 120.0

Event = tuple[float, int, Generator[float, None, Any]]  # when, whose, and the process that goes on then


@dataclasses.dataclass
class Outcome:
    """`done`: how often each shard was finished; `together`: moments at which two were publishing one shard."""

    done: Counter[int]
    together: int = 0
    deaths: int = 0
    taken_over: int = 0
    busy: float = 0.0
    idle: float = 0.0
    hours: float = 0.0


class Server:
    """Entries as they are, when each was made and by whom."""

    def __init__(self) -> None:
        self.now = 0.0
        self.entries: dict[str, tuple[dict[str, Any], float, str]] = {}
        self.begun: set[str] = set()
        self.marked: set[int] = set()
        self._listing: tuple[float, frozenset[str], frozenset[int]] = (-LISTING_AGE, frozenset(), frozenset())

    def listing(self) -> tuple[float, frozenset[str], frozenset[int]]:
        """What nodes see of the folders: for simplicity all of them the same, equally old."""
        if self.now - self._listing[0] >= LISTING_AGE:
            self._listing = self.now, frozenset(self.begun), frozenset(self.marked)
        return self._listing


class Node:
    """The claims' folder as one task sees it; `spent` adds up what its operations take."""

    def __init__(self, server: Server, me: str) -> None:
        self.server, self.me, self.spent = server, me, 0.0
        self._known: set[str] = set()

    def begun(self) -> set[str]:
        self.spent += LIST
        return set(self.server.listing()[1])

    def read(self, name: str) -> dict[str, Any] | None:
        self.spent += READ
        content, made, by = self.server.entries.get(name, (None, 0.0, ""))
        seen = by == self.me or name in self._known or self.server.now - made >= UNSEEN
        return content if seen else None

    def create(self, name: str, content: dict[str, Any]) -> bool:
        self.spent += CREATE
        if name in self.server.entries:
            self._known.add(name)  # the server's refusal is news
            return False
        self.server.entries[name] = content, self.server.now, self.me
        if name.endswith(".0"):
            self.server.begun.add(name.removesuffix(".0"))
        return True


class Simulation:
    """A heap of (time, process), each process a generator of the seconds until it goes on."""

    def __init__(self, n_shards: int, n_tasks: int, seed: int) -> None:
        self.n_shards, self.n_tasks, self.random = n_shards, n_tasks, Random(seed)
        self.server, self.outcome = Server(), Outcome(Counter())
        self.beat: dict[str, float] = {}  # when a process was last known to live; its lives have different names
        self.publishing: Counter[str] = Counter()
        self._missing_of, self._missing_now = -1.0, [""]

    def run(self) -> Outcome:
        events: list[Event] = []
        for task in range(self.n_tasks):
            heapq.heappush(events, (self.random.uniform(0, 300), task, self._task(task)))
        while events:
            self._go_through(events)
            if len(self.server.marked) < self.n_shards:
                heapq.heappush(events, (self.server.now, 0, self._process("closing", 0, waits=True)))
        self.outcome.hours = self.server.now / 3600
        return self.outcome

    def _go_through(self, events: list[Event]) -> None:
        while events:
            self.server.now, number, process = heapq.heappop(events)
            wait = next(process, None)
            if wait is not None:
                heapq.heappush(events, (self.server.now + wait, number, process))

    def _task(self, number: int) -> Generator[float]:
        """The lives of a task of the array."""
        life = 0
        while True:
            died = yield from self._process(f"{number}.{life}", number)
            if not died or self.random.random() > RESTARTED:
                return
            life += 1
            yield RESTART

    def _process(self, name: str, task: int, waits: bool = False) -> Generator[float, None, bool]:
        """One life; True when it was killed."""
        born = self.server.now
        death = born + self.random.expovariate(1 / LIFE)
        node = Node(self.server, name)
        claims = Claims(node, Worker(name), self._alive)
        steps = self._work(claims, node, name, task, waits)
        died = False
        for wait in steps:
            if self.server.now + wait > death:
                self.beat[name] = death
                yield max(death - self.server.now, 0.0)
                steps.close()
                self.outcome.deaths += 1
                died = True
                break
            yield wait
        self.beat.setdefault(name, self.server.now)
        return died

    def _work(self, claims: Claims, node: Node, name: str, task: int, waits: bool) -> Generator[float]:
        yield LOAD
        while missing := self._missing(node):
            tasks = 1 if waits else self.n_tasks
            own = range(len(missing) * task // tasks, len(missing) * (task + 1) // tasks)
            claim = claims.take_any(missing, own)
            idle, node.spent = node.spent, 0.0
            if claim is None:
                if not waits and claims.held(missing):
                    return
                idle += 5.0
            self.outcome.idle += idle
            yield idle
            if claim is not None:
                yield from self._shard(claim, name)

    def _missing(self, node: Node) -> list[str]:
        node.spent += LIST
        seen, _, marked = self.server.listing()
        if len(self.server.marked) == self.n_shards:
            return []
        if self._missing_of != seen:
            self._missing_of, self._missing_now = seen, [f"s{n}" for n in range(self.n_shards) if n not in marked]
        return self._missing_now

    def _shard(self, claim: Claim, name: str) -> Generator[float]:
        seconds = self.random.lognormvariate(0, 0.5) * SHARD
        yield seconds
        if self.random.random() < STANDS_STILL:
            self.beat[name] = self.server.now
            yield STILL
            del self.beat[name]
        try:
            claim.publish()
        except LostError:
            self.outcome.taken_over += 1
            return
        self.publishing[claim.name] += 1
        self.outcome.together += self.publishing[claim.name] > 1
        try:
            yield WRITE
        finally:  # also when it is killed here
            self.publishing[claim.name] -= 1
        shard = int(claim.name[1:])
        self.outcome.done[shard] += 1
        self.outcome.busy += seconds
        self.server.marked.add(shard)
        claim.done()

    def _alive(self, worker: Worker) -> bool:
        """As `workers.Watch`: whoever has shown no life for `DEAD` seconds is dead; standing still looks the same."""
        return self.server.now - self.beat.get(worker.id, self.server.now) < DEAD


def simulate(n_shards: int, n_tasks: int, seed: int = 0) -> Outcome:
    """What comes of a run."""
    return Simulation(n_shards, n_tasks, seed).run()


if __name__ == "__main__":
    outcome = simulate(*map(int, sys.argv[1:]))
    once = sum(n == 1 for n in outcome.done.values())
    print(f"{once} shards finished once, {len(outcome.done) - once} more than once, {outcome.hours:.1f} h")
    print(f"{outcome.deaths} tasks killed; {outcome.taken_over} stood still, were overtaken and knew it")
    print(
        f"at {outcome.together} moments two published one shard; idle {outcome.idle / (outcome.busy + outcome.idle):.2%}"
    )
