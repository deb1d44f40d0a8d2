"""What one process of a run does: shard after shard, as long as one is missing that no other process is at.

A task of several (`run.tasks`) ends when all that is missing is held by others. A process that does a whole run waits for
them instead, and takes over what they lose: when it ends well, the run is complete.
"""

import time
import traceback
from pathlib import Path
from typing import Protocol

from flowatlas import signals
from flowatlas.claims import Claim, Claims, LostError, claim_name
from flowatlas.config import RunConfig
from flowatlas.errors import UnfinishedError
from flowatlas.files import write_json_atomically
from flowatlas.plan import Plan
from flowatlas.poison import ERRORS, first_line
from flowatlas.shards import RECORDS, Ledger, record_path

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between two looks at what others do


class Work(Protocol):
    """What a task has done to shards. Each may raise InputErrors and UnfinishedError, which end the task."""

    def ready(self) -> None:
        """Called before the first claim (it loads the model: nobody should wait for a shard that waits for that)."""

    def do(self, shard: int, claim: Claim) -> None:
        """Compute a claimed shard and have it written, perhaps later; raises LostError, or one of ERRORS when it failed."""

    def settle(self) -> bool:
        """Wait until everything is written; False when it was already."""
        ...

    def check(self, error: BaseException) -> None:
        """Raises UnfinishedError when, after an error, this process cannot go on."""


class Task:
    """A process of a run in `run_dir`, with its claims and its work."""

    def __init__(self, run_dir: Path, plan: Plan, config: RunConfig, claims: Claims, work: Work) -> None:
        self.run_dir, self.plan, self.ledger, self.claims = run_dir, plan, Ledger(run_dir), claims
        self._config, self._work = config, work
        self._is_ready = False
        self._shards = {claim_name(shard, plan.shard_hashes[shard]): shard for shard in range(len(plan.shards))}
        self._damaged: set[str] = set()  # done, but their files are not there any more
        self._landed: set[str] = set()  # done, though this node does not list their markers yet
        self._given_up: dict[str, int] = {}  # and how many entries their claims had when that was noticed first
        self._pause = _FIRST_PAUSE

    def work(self) -> bool:
        """Do what can be done; True when no shard of the run is missing, False when others are at what is.

        Raises UnfinishedError for shards that are given up, StoppedError after the scheduler's warning.
        """
        while missing := self._missing():
            if signals.warned():
                if self._work.settle():
                    continue  # and count again
                signals.stop_if_warned(f"{len(missing)} of {len(self._shards)} shards are not done")
            self._get_ready(missing)
            if claim := self._next(missing):
                self._pause = _FIRST_PAUSE
                self._attempt(claim)
            elif self._work.settle():
                continue  # what is missing may have been on its way to disk
            elif not self.claims.held(missing):
                self._look_closer(missing)
            elif self._config.tasks is not None:
                return False
            else:
                self.wait(f"{len(missing)} shards")
        return True

    def wait(self, what: str) -> None:
        """Leave others time for what they are at; longer from one call to the next."""
        if self._pause == _FIRST_PAUSE:
            print(f"{self.run_dir}: waiting for other processes, which are at {what}", flush=True)
        time.sleep(self._pause)
        self._pause = min(self._pause * 1.5, _LONGEST_PAUSE)

    def _missing(self) -> list[str]:
        """Names of the shards to be done. Files are looked into only when every shard has a marker: there may be many."""
        marked, landed = self.ledger.marked(), self._landed
        missing = [name for name, shard in self._shards.items() if shard not in marked and name not in landed]
        if not missing:
            missing = [name for name, shard in self._shards.items() if self.ledger.finished(shard) is None]
            self._damaged = set(missing)
        return missing

    def _get_ready(self, missing: list[str]) -> None:
        again = self._damaged or self._config.resume == "failed"
        if not self._is_ready and (again or self.claims.any_free(missing)):
            self._work.ready()
            self._is_ready = True

    def _next(self, missing: list[str]) -> Claim | None:
        task, tasks = self._config.task or 0, self._config.tasks or 1
        own = range(len(missing) * task // tasks, len(missing) * (task + 1) // tasks)
        return self.claims.take_any(missing, own) or self._next_again(missing)

    def _next_again(self, missing: list[str]) -> Claim | None:
        """One that was done and is damaged, or was given up and is to be tried once more (by one process, not by each)."""
        for name in missing:
            state = self.claims.state(name)
            retry = state.given_up and self._given_up.setdefault(name, state.n) == state.n
            if name in self._damaged or (retry and self._config.resume == "failed"):
                self._damaged.discard(name)
                if claim := self.claims.take(name, again=True):
                    return claim
        return None

    def _attempt(self, claim: Claim) -> None:
        shard = self._shards[claim.name]
        try:
            self._work.do(shard, claim)
        except LostError:
            pass  # whoever took it over does it
        except ERRORS as error:
            self._failed(claim, record_path(self.run_dir, shard), error)
        except BaseException:
            claim.drop()
            raise

    def _failed(self, claim: Claim, record: Path, error: BaseException) -> None:
        details = {"reason": first_line(error), "worker": str(self.claims.me), "log": self.claims.me.log}
        try:
            write_json_atomically(record, {**details, "traceback": "".join(traceback.format_exception(error))})
            self._work.check(error)
            claim.fail(first_line(error))
        except LostError:
            pass
        except BaseException:
            claim.drop()
            raise

    def _look_closer(self, missing: list[str]) -> None:
        """Nobody is at what is missing, and it is not free: it was done, or given up.

        Raises UnfinishedError for what was given up.
        """
        states = {name: self.claims.state(name) for name in missing}
        for name, state in states.items():
            if state.done:  # its marker is not listed yet, or it was removed
                is_there = self.ledger.finished(self._shards[name]) is not None
                (self._landed if is_there else self._damaged).add(name)
        if not all(state.given_up for state in states.values()):
            return
        some = "; ".join(f"shard {self._shards[name]}: {state.why}" for name, state in list(states.items())[:3])
        raise UnfinishedError(
            f"{len(states)} shards failed ({some}); what is known of them is in {self.run_dir / RECORDS}, and "
            "run.resume=failed with the same command tries them again"
        )
