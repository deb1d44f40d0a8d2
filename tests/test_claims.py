"""Who does what, agreed on by files: one of many wins, the slow know that they were overtaken, nothing is lost."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from claims_simulation import simulate
from flowatlas.claims import CRASHES, GIVE_UP_DEATHS, GIVE_UP_FAILURES, ISOLATE_DEATHS, Claim, Claims, Folder, LostError
from flowatlas.workers import Worker


class Table:
    """Processes at one folder; `dead` are those whom all others take for dead."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.dead = folder, set()

    def sit(self, name: str) -> Claims:
        return Claims(Folder(self.folder), Worker(name), lambda worker: worker.id not in self.dead)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path / "claims")


def taken(claims: Claims, name: str = "a", again: bool = False) -> Claim:
    claim = claims.take(name, again)
    assert claim is not None
    return claim


def test_only_one_has_it_until_it_is_over(table: Table) -> None:
    one, two = table.sit("one"), table.sit("two")
    claim = taken(one)
    assert two.take("a") is None
    assert one.take("a") is None, "not even the same process twice"
    assert two.held(["a", "b"]) == ["a"]
    assert not two.any_free(["a"])
    claim.publish()
    claim.done()
    assert two.take("a") is None
    assert two.held(["a"]) == []
    assert two.take("a", again=True) is not None


def test_what_is_dropped_or_failed_is_free_again(table: Table) -> None:
    one, two = table.sit("one"), table.sit("two")
    taken(one).drop()
    taken(two).fail("bad luck")
    state = one.state("a")
    assert (state.n, state.failures, state.deaths, state.reason, state.holder) == (4, 1, 0, "bad luck", None)
    assert one.take("a") is not None


def test_a_slow_one_that_was_overtaken_cannot_publish(table: Table) -> None:
    slow, fast = table.sit("slow"), table.sit("fast")
    claim = taken(slow)
    table.dead.add("slow")
    overtaking = taken(fast)
    for late in (claim.publish, claim.done, lambda: claim.fail("x"), lambda: claim.probe(1)):
        with pytest.raises(LostError):
            late()
    claim.drop()  # is no entry either
    overtaking.publish()
    overtaking.done()
    assert (fast.state("a").deaths, fast.state("a").done) == (1, True)


class Unseeing(Folder):
    """A node whose cache does not show it an entry that is there."""

    def read(self, name: str) -> dict[str, Any] | None:
        return None if name == "a.1" else super().read(name)


def test_of_two_who_overtake_one_wins(table: Table) -> None:
    taken(table.sit("gone"))
    table.dead.add("gone")
    taken(table.sit("early"))
    late = Claims(Unseeing(table.folder), Worker("late"), lambda worker: worker.id not in table.dead)
    assert late.take("a") is None
    holder = table.sit("reader").state("a").holder
    assert holder == Worker("early")


def test_fresh_work_comes_first_and_failed_work_last(table: Table) -> None:
    other, names = table.sit("other"), ["failed", "dropped", "held", "mine", "fresh"]
    taken(other, "failed").fail("x")
    taken(other, "dropped").drop()
    taken(other, "held")
    claims = table.sit("me")
    order = []
    while claim := claims.take_any(names, range(3, 4)):
        order.append(claim.name)
    assert order == ["mine", "fresh", "dropped", "failed"]


def test_failures_and_deaths_lead_to_prompts_one_by_one_and_then_to_giving_up(table: Table) -> None:
    claims = table.sit("me")
    for attempt in range(GIVE_UP_FAILURES):
        claim = taken(claims)
        assert claim.state.isolate == (attempt == GIVE_UP_FAILURES - 1)
        claim.fail("x")
    assert claims.state("a").given_up
    assert claims.take("a") is None
    assert claims.take("a", again=True) is not None
    for life in range(GIVE_UP_DEATHS + 1):
        claim = table.sit(f"life {life}").take("b")
        assert claim is not None
        assert claim.state.isolate == (life >= ISOLATE_DEATHS)
        table.dead.add(f"life {life}")
    claim.drop()
    assert claims.state("b").given_up


def test_prompts_on_which_processes_died_are_known(table: Table) -> None:
    for life in range(CRASHES):
        claim = taken(table.sit(f"life {life}"))
        assert claim.crashed() == set()
        claim.probe(3)
        claim.probe(7)
        table.dead.add(f"life {life}")
    claim = taken(table.sit("last"))
    assert claim.crashed() == {7}
    claim.probe(8)
    claim.publish()
    table.dead.add("last")
    assert taken(table.sit("very last")).crashed() == {7}, "it did not die of 8, but publishing"


def test_an_entry_that_was_cut_off_is_of_a_worker_of_whom_nothing_is_known(table: Table) -> None:
    table.folder.mkdir()
    (table.folder / "a.0").touch()
    claims = table.sit("me")
    assert claims.take("a") is None
    assert claims.held(["a"]) == ["a"]
    table.dead.add("? a.0")
    assert claims.take("a") is not None


def test_without_hard_links_still_one_wins(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(source: str, target: str) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_link)
    assert taken(table.sit("one"))
    assert not Folder(table.folder).create("a.0", {"event": "take"})
    assert table.sit("two").state("a").holder == Worker("one")


def test_a_link_whose_answer_was_lost_is_ours(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def asked_twice(source: str, target: str) -> None:
        link(source, target)
        raise FileExistsError

    monkeypatch.setattr(os, "link", asked_twice)
    assert table.sit("one").take("a") is not None
    monkeypatch.setattr(os, "link", link)
    assert table.sit("two").take("a") is None


def test_thousands_of_shards_and_hundreds_of_tasks_that_are_killed_and_stand_still() -> None:
    """`python tests/claims_simulation.py 10000 512` does it at full size."""
    outcome = simulate(3_000, 256, seed=1)
    assert outcome.done == dict.fromkeys(range(3_000), 1), "none lost, none done twice"
    assert outcome.together == 0
    assert outcome.deaths > 100
    assert outcome.taken_over > 5
    assert outcome.idle < 0.02 * (outcome.busy + outcome.idle)
