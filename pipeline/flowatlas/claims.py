"""Which process does which shard, agreed on by files alone: any number of processes on any nodes, no locks, no server.

Each piece of work has a log of numbered entries, `RUN/claims/<name>.0`, `.1`, `.2`, ... An entry is only ever created,
exclusively (the file server decides who made it), and never changed, renamed or removed while the run goes on. So all
processes agree on the order of entries, whatever their caches show them meanwhile:

    take      a process begins: nobody held the work, or its holder was found dead
    probe     it is about to try one suspicious prompt alone
    publish   it has computed the work and now puts the files in place
    done, fail, drop    its turn is over: finished, failed with a reason, or given back

Whoever believes a holder dead creates the entry that the holder would have created next. If the holder was only slow,
one of the two comes second and knows it: a slow holder that was overtaken cannot publish. Should a process stop for
minutes *while* it publishes and wake up later, two put equal files under equal names: a row is never stored twice.
"""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Protocol

from flowatlas.errors import UnfinishedError
from flowatlas.files import create_exclusively, json_text, read_json
from flowatlas.shards import part_name
from flowatlas.workers import Worker

FOLDER = "claims"
ISOLATE_FAILURES, GIVE_UP_FAILURES = 2, 3  # the third attempt tries the prompts one by one; there is no fourth
ISOLATE_DEATHS, GIVE_UP_DEATHS = 3, 8  # processes die for reasons of their own, so more of them are needed
CRASHES = 2  # a prompt on which so many processes died when they tried it alone is to blame


def claim_name(shard: int, rows_hash: str) -> str:
    """The name under which a shard is claimed; another one when its rows are others (a dataset that has grown)."""
    return f"{part_name(shard)}-{rows_hash[:8]}"


class Store(Protocol):
    """Where entries lie. What it lists or reads may be old; what it creates is created once among all processes."""

    def begun(self) -> set[str]: ...

    def read(self, name: str) -> dict[str, Any] | None: ...

    def create(self, name: str, content: dict[str, Any]) -> bool: ...


class Folder:
    """Entries as files of a folder, also of one that nodes share."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begun(self) -> set[str]:
        """The names of work that has entries. Raises UnfinishedError."""
        if not self.path.is_dir():
            return set()
        try:
            return {path.stem for path in self.path.iterdir() if path.suffix == ".0"}
        except OSError as error:
            raise UnfinishedError(f"cannot read {self.path}: {error.strerror}; give the same command again") from error

    def read(self, name: str) -> dict[str, Any] | None:
        """An entry; None when there is none. One that cannot be read (a writer died in it) is an empty `take`."""
        try:
            return read_json(self.path / name)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return {"event": "take", "worker": {"id": f"? {name}"}}

    def create(self, name: str, content: dict[str, Any]) -> bool:
        """True when this call made the entry. Raises UnfinishedError."""
        return create_exclusively(self.path / name, json_text(content), first_wins=True)


@dataclasses.dataclass(frozen=True)
class State:
    """What the log of one piece of work comes to after `n` entries.

    `holder`: whose turn it is; `probing`: the prompt that it tries alone;
    `crashed`: how many died on which prompt; `reason`: of the last failure; `done`: the last turn ended well.
    """

    n: int = 0
    holder: Worker | None = None
    event: str = ""
    failures: int = 0
    deaths: int = 0
    probing: int | None = None
    crashed: tuple[int, ...] = ()
    reason: str = ""

    @property
    def done(self) -> bool:
        return self.event == "done"

    @property
    def isolate(self) -> bool:
        """Whether its prompts are to be tried one by one."""
        return self.failures >= ISOLATE_FAILURES or self.deaths >= ISOLATE_DEATHS

    @property
    def given_up(self) -> bool:
        return self.holder is None and (self.failures >= GIVE_UP_FAILURES or self.deaths >= GIVE_UP_DEATHS)

    @property
    def why(self) -> str:
        """One line of what made it fail."""
        return f"{self.deaths} processes died at it" if self.deaths >= GIVE_UP_DEATHS else self.reason

    def after(self, entry: dict[str, Any]) -> "State":
        """The state after one more entry."""
        event = entry.get("event")
        new = dataclasses.replace(self, n=self.n + 1, event=str(event))
        if event == "take":
            died = self.holder is not None
            lost = (self.probing,) if died and self.probing is not None else ()
            return dataclasses.replace(
                new, holder=Worker.from_json(entry.get("worker")), deaths=self.deaths + died, probing=None,
                crashed=self.crashed + lost,
            )  # fmt: skip
        if event == "probe":
            return dataclasses.replace(new, probing=entry.get("prompt"))
        if event == "publish":
            return dataclasses.replace(new, probing=None)
        new = dataclasses.replace(new, holder=None, probing=None)
        if event == "fail":
            return dataclasses.replace(new, failures=self.failures + 1, reason=str(entry.get("reason", "")))
        return new


class LostError(Exception):
    """Another process took the work over, because it took this one for dead; its own result is to be dropped."""


class Claim:
    """A turn at a piece of work. Raises LostError when it was taken over, UnfinishedError for the disk."""

    def __init__(self, claims: "Claims", name: str, state: State) -> None:
        self.name, self.state = name, state
        self._claims = claims

    def probe(self, prompt: int) -> None:
        """Say that one prompt is about to be tried alone: should this process die of it, the next one knows."""
        self._append({"event": "probe", "prompt": prompt})

    def publish(self) -> None:
        """To be called after computing and before any file is put in its place."""
        self._append({"event": "publish"})

    def done(self) -> None:
        self._append({"event": "done"})

    def fail(self, reason: str) -> None:
        self._append({"event": "fail", "reason": reason})

    def drop(self) -> None:
        """Give the work back; that is a kindness, so nothing that goes wrong with it matters."""
        with contextlib.suppress(LostError, UnfinishedError):
            self._append({"event": "drop"})

    def crashed(self) -> set[int]:
        """Prompts that killed whoever tried them alone."""
        return {prompt for prompt, n in Counter(self.state.crashed).items() if n >= CRASHES}

    def _append(self, entry: dict[str, Any]) -> None:
        if not self._claims.append(self.name, self.state, entry):
            raise LostError(self.name)
        self.state = self.state.after(entry)


class Claims:
    """The logs of a run's work as one process, `me`, sees and extends them; `alive` judges other processes."""

    def __init__(self, store: Store, me: Worker, alive: Callable[[Worker], bool]) -> None:
        self._store, self.me, self._alive = store, me, alive
        self._states: dict[str, State] = {}
        self._random = Random(me.id)

    def state(self, name: str) -> State:
        """The state of a piece of work now."""
        state = self._states.get(name, State())
        while (entry := self._store.read(f"{name}.{state.n}")) is not None:
            state = state.after(entry)
        self._states[name] = state
        return state

    def append(self, name: str, state: State, entry: dict[str, Any]) -> bool:
        """Add an entry after `state`; False when another process has added one there."""
        if not self._store.create(f"{name}.{state.n}", {**entry, "worker": self.me.to_json()}):
            self.state(name)
            return False
        self._states[name] = state.after({**entry, "worker": self.me.to_json()})
        return True

    def take(self, name: str, again: bool = False) -> Claim | None:
        """Begin a turn if the work is free; `again`: also when it was done or given up."""
        state = self.state(name)
        if self._is_free(state, again) and self.append(name, state, {"event": "take"}):
            return Claim(self, name, self._states[name])
        return None

    def take_any(self, names: list[str], own: range) -> Claim | None:
        """Begin a turn at one of `names`; None when none is free.

        First comes what nobody has begun, of the `own` part of the names in order, then of all; then what was dropped
        or its holder lost, at last what has failed.
        """
        begun = self._store.begun() | self._states.keys()
        first = [names[i] for i in own if names[i] not in begun]
        for name in first + self._from_anywhere([name for name in names if name not in begun]):
            if claim := self.take(name):
                return claim
        old = self._from_anywhere([name for name in names if name in begun])
        for name in sorted(old, key=lambda name: self.state(name).failures):
            if claim := self.take(name):
                return claim
        return None

    def any_free(self, names: list[str]) -> bool:
        """Whether `take_any` would find something."""
        begun = self._store.begun() | self._states.keys()
        return any(name not in begun or self._is_free(self.state(name), again=False) for name in names)

    def held(self, names: list[str]) -> list[str]:
        """Those that living processes, this one among them, are at."""
        states = [(name, self.state(name).holder) for name in names]
        return [name for name, holder in states if holder is not None and self._alive(holder)]

    def _is_free(self, state: State, again: bool) -> bool:
        if state.holder is not None:
            return not self._alive(state.holder)
        return again or not (state.done or state.given_up)

    def _from_anywhere(self, names: list[str]) -> list[str]:
        """Begun at a random place, so that many processes that look for work at once do not all reach for the same."""
        first = self._random.randrange(len(names)) if names else 0
        return names[first:] + names[:first]
