"""A run that is killed, refused by the disk, shared between tasks or grown comes to the tables of an undisturbed one."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowatlas.check import check
from flowatlas.manifest import read_manifest
from flowatlas.schema import TABLES
from kill_storm import kill_storm
from runs import Done, Runs, hashes, one_line, write_prompts

ROWS, SHARD = 10, 4  # three shards, the last one partial


class Place:
    """A folder with a dataset and a run of it."""

    def __init__(self, runs: Runs, folder: Path, model: Path) -> None:
        self.runs, self.folder, self.run_dir = runs, folder, folder / "run"
        self.prompts = write_prompts(folder / "prompts.jsonl", ROWS)
        self.command = [f"model={model}", "dataset=prompts.jsonl", "run.dir=run", f"run.shard_size={SHARD}"]
        self.environment = {"FLOWATLAS_CACHE": str(folder / "cache")}

    def run(self, *more: str, **how: str) -> Done:
        return self.runs(*["run", *self.command, *more], cwd=self.folder, env=self.environment, **how)

    def start(self, *more: str) -> int:
        return self.runs.start(*["run", *self.command, *more], cwd=self.folder, env=self.environment)

    def assert_whole(self, expected: dict[str, str]) -> None:
        """Complete, every byte of every table as expected, no row twice, nothing left over."""
        assert hashes(self.run_dir) == expected
        assert check(self.run_dir) == []
        left = [path.name for path in self.folder.rglob("*.tmp")]
        assert left == []
        assert sorted(path.name for path in self.run_dir.iterdir()) == sorted(
            [*TABLES, "model", "shards", "stats", "plan.json", "manifest.json"]
        )


@pytest.fixture
def place(runs: Runs, tmp_path: Path, models: dict[str, Path]) -> Place:
    return Place(runs, tmp_path, models["gpt2"])


@pytest.fixture(scope="module")
def undisturbed(runs: Runs, tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path]) -> Place:
    place = Place(runs, tmp_path_factory.mktemp("undisturbed"), models["gpt2"])
    done = place.run()
    assert (done.code, done.err) == (0, "")
    return place


@pytest.fixture(scope="module")
def expected(undisturbed: Place) -> dict[str, str]:
    undisturbed.assert_whole(tables := hashes(undisturbed.run_dir))
    return tables


MOMENTS = {
    "open_plan": {0},
    "link": {0},  # the plan is written, but not yet in its place
    "Vocabulary.read_nodes 2": {1, 2},  # the shard before it may be on its way to disk
    "edges/part-00001.parquet": {1},
    "shards/part-00001.json": {1},  # all of its tables are in place
    "prompts/part-00002.parquet": {2},  # the marker before it was the last thing written
    "compute": {3},
    "model/neuron_tokens.parquet": {3},
    "run/manifest.json": {3},
}


@pytest.mark.parametrize(("moment", "n_done"), MOMENTS.items())
def test_killed_and_run_again(place: Place, expected: dict[str, str], moment: str, n_done: set[int]) -> None:
    assert place.run(at=moment).code == -signal.SIGKILL
    assert len(list(place.run_dir.glob("shards/*.json"))) in n_done
    assert not (place.run_dir / "manifest.json").exists()
    kept = {path: path.stat().st_ino for path in place.run_dir.glob("shards/*.json")}
    again = place.run()
    assert (again.code, again.err) == (0, "")
    place.assert_whole(expected)
    assert {path: path.stat().st_ino for path in kept} == kept, "what was done is not done again"


def test_killed_again_and_again_at_any_moment(place: Place, expected: dict[str, str]) -> None:
    draw, killed = random.Random(5), 0
    for _ in range(6):
        done = place.run(at=str(draw.randrange(1, 20)))  # type: ignore[attr-defined]
        if done.code == 0:
            break
        assert done.code == -signal.SIGKILL
        killed += 1
    assert killed >= 2
    assert place.run().code == 0
    place.assert_whole(expected)


def test_killed_from_outside_at_some_time(place: Place, expected: dict[str, str]) -> None:
    pid = place.start()
    time.sleep(random.uniform(0.05, 0.9))
    os.kill(pid, signal.SIGKILL)
    place.runs.wait(pid)  # it may have been faster
    assert place.run().code == 0
    place.assert_whole(expected)


def test_interrupted_says_how_to_go_on(place: Place, expected: dict[str, str]) -> None:
    pid = place.start()
    while not list(place.run_dir.glob("shards/*.json")):
        time.sleep(0.01)
    os.kill(pid, signal.SIGINT)
    done = place.runs.wait(pid)
    assert done.code in (130, 0)  # 0: it was faster
    assert done.code == 0 or one_line(done.err)
    assert place.run().code == 0
    place.assert_whole(expected)


def test_a_second_run_does_nothing(undisturbed: Place) -> None:
    before = hashes(undisturbed.run_dir, "*")
    again = undisturbed.run()
    assert again.code == 0
    assert "10 prompts" in again.out
    assert "load" not in again.moments
    assert hashes(undisturbed.run_dir, "*") == before


@pytest.mark.parametrize("moment", ["edges/part-00001.parquet", "run/manifest.json"])
def test_a_full_disk_is_one_line_and_the_run_goes_on_later(place: Place, expected: dict[str, str], moment: str) -> None:
    full = place.run(at=moment, does="disk_full")
    assert full.code == 1
    assert one_line(full.err)
    assert "No space left on device" in full.err
    assert "same command again" in full.err
    assert not list(place.folder.rglob("*.tmp"))
    assert place.run().code == 0
    place.assert_whole(expected)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, on which about half a run finds room."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk; the tests above make a disk full by words alone")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_that_is_full_then_read_only_then_well(place: Place, expected: dict[str, str], small_disk: Path) -> None:
    def remount(option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", small_disk], check=True)

    place.run_dir = small_disk / "run"
    place.command[2] = f"run.dir={place.run_dir}"
    full = place.run()
    assert (full.code, one_line(full.err)) == (1, True)
    assert "No space left on device" in full.err
    n_done = len(list(place.run_dir.glob("shards/*.json")))
    assert 0 < n_done < 3
    remount("ro")
    refused = place.run()
    assert (refused.code, one_line(refused.err)) == (1, True)
    assert "Read-only file system" in refused.err
    remount("rw,size=9m")
    assert place.run().code == 0
    place.assert_whole(expected)


def test_tasks_one_after_the_other(place: Place, expected: dict[str, str]) -> None:
    assert place.run("run.tasks=3", "run.task=0", at="edges/part-00000.parquet").code == -signal.SIGKILL
    done = place.run("run.tasks=3", "run.task=1")
    assert (done.code, done.err) == (0, "")
    assert done.moments.count("Extractor.__call__") == 3, "it does the shard that the first one lost"
    late = place.run("run.tasks=3", "run.task=2")
    assert (late.code, "load" in late.moments) == (0, False), "it finds nothing to do"
    place.assert_whole(expected)


def test_tasks_killed_at_random_moments(runs: Runs, tmp_path: Path, models: dict[str, Path]) -> None:
    outcome = kill_storm(runs, models["gpt2"], tmp_path, n_kills=8, seed=7)
    assert outcome.differences == []
    assert outcome.killed >= 8  # two at a time


def test_tasks_at_once(place: Place, expected: dict[str, str]) -> None:
    started = [place.start("run.tasks=2", f"run.task={task}") for task in range(2)]
    ended = [place.runs.wait(pid) for pid in started]
    assert [(done.code, done.err) for done in ended] == [(0, "")] * 2
    place.assert_whole(expected)


def test_the_same_run_twice_at_once(place: Place, expected: dict[str, str]) -> None:
    ended = [place.runs.wait(pid) for pid in [place.start(), place.start()]]
    assert [(done.code, done.err) for done in ended] == [(0, "")] * 2
    place.assert_whole(expected)


@pytest.mark.parametrize("first", [6, 8])
def test_a_grown_dataset_is_appended(place: Place, expected: dict[str, str], first: int) -> None:
    write_prompts(place.prompts, first)
    assert place.run().code == 0
    assert read_manifest(place.run_dir)["counts"]["prompts"] == first
    write_prompts(place.prompts, ROWS)
    grown = place.run()
    assert grown.code == 0
    assert grown.moments.count("Extractor.__call__") == 3 - first // SHARD
    place.assert_whole(expected)


def test_a_limit_lifted_is_growth(place: Place, expected: dict[str, str]) -> None:
    assert place.run("run.limit=5").code == 0
    assert place.run().code == 0
    place.assert_whole(expected)
    less = place.run("run.limit=5")
    assert less.code == 2
    assert "run.limit" in less.err


def test_killed_while_growing(place: Place, expected: dict[str, str]) -> None:
    place.run("run.limit=6")
    assert place.run(at="run/plan.json").code == -signal.SIGKILL
    assert place.run().code == 0
    place.assert_whole(expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("row", "rows 0 to 3"),
        ("fewer rows", "over 10 rows"),
        ("weights", "weights hash"),
        ("tokenizer", "a run with tokenizer="),
        ("routes.floor=0.02", "routes.floor=0.01"),
        ("run.shard_size=3", "run.shard_size=4"),
        ("model.dtype=float64", "model.dtype=float32"),
    ],
)
def test_another_run_in_the_same_folder_is_refused(
    undisturbed: Place, models: dict[str, Path], change: str, message: str
) -> None:
    before, rows = hashes(undisturbed.run_dir, "*"), undisturbed.prompts.read_text()
    other = undisturbed.folder / "other.jsonl"
    other.write_text(rows.replace('"id": "p1"', '"id": "q1"') if change == "row" else rows)
    if change == "fewer rows":
        write_prompts(other, 8)
    own = {"weights": [f"model={models['llama']}"], "tokenizer": ["model=./renamed"], "row": [], "fewer rows": []}
    if change == "tokenizer":  # the same weights, but the same word is another token
        renamed = shutil.copytree(models["gpt2"], undisturbed.folder / "renamed") / "tokenizer.json"
        renamed.write_text(
            renamed.read_text().replace('"w1":', '"w1_":').replace('"w2":', '"w1":').replace('"w1_":', '"w2":')
        )
    more = own.get(change, [change])
    refused = undisturbed.run("dataset=other.jsonl", *more)
    assert refused.code == 2
    assert one_line(refused.err)
    assert message in refused.err
    assert "another run.dir" in refused.err
    assert "load" not in refused.moments
    assert hashes(undisturbed.run_dir, "*") == before


@pytest.mark.parametrize("lost", ["lens/part-00001.parquet", "model/vocab.parquet"])
def test_a_file_lost_from_a_complete_run_is_made_again(place: Place, expected: dict[str, str], lost: str) -> None:
    place.run()
    (place.run_dir / lost).unlink()
    assert place.run().code == 0
    place.assert_whole(expected)
