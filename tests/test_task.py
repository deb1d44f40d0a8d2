"""Shards that fail, kill or are warned: what a run makes of them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flowatlas.check import check
from runs import Done, hashes, one_line
from synthetic import rows_of

SHARD = "run.shard_size=4"  # shards of 4, 4 and 2 prompts


@pytest.fixture(scope="module")
def expected(runs, models, tmp_path_factory) -> dict[str, str]:
    from runs import write_prompts

    folder = tmp_path_factory.mktemp("undisturbed")
    write_prompts(folder / "prompts.jsonl", 10)
    done = runs("run", f"model={models['gpt2']}", "dataset=prompts.jsonl", "run.dir=run", SHARD, cwd=folder)
    assert done.code == 0
    return hashes(folder / "run")


def rejects(folder: Path) -> list[tuple[int, str, str]]:
    return [(row["prompt_id"], row["reason"], row["detail"]) for row in rows_of(folder / "run", "rejects").to_pylist()]


def entries(folder: Path, names: str = "part-*") -> list[str]:
    """Every event of the claims, of the shards' unless told otherwise, one shard after the other."""
    found = (folder / "run" / "claims").glob(f"{names}.*[0-9]")
    return [json.loads(path.read_text())["event"] for path in sorted(found)]


def test_a_shard_that_fails_once_is_tried_again(run: Callable[..., Done], tmp_path: Path, expected: dict) -> None:
    done = run(SHARD, at="Extractor.__call__ 1", does="fail")
    assert (done.code, done.err) == (0, "")
    assert hashes(tmp_path / "run") == expected
    assert not (tmp_path / "run" / "errors").exists()


def test_a_poisoned_prompt_ends_in_rejects_alone(run: Callable[..., Done], tmp_path: Path, expected: dict) -> None:
    done = run(SHARD, at="prompt 5", does="fail")
    assert (done.code, done.err) == (0, "")
    assert "9 prompts, 1 rejected (failed 1)" in done.out
    assert rejects(tmp_path) == [(5, "failed", "out of luck")]
    assert check(tmp_path / "run") == []
    other = {name: digest for name, digest in hashes(tmp_path / "run").items() if "00001" not in name}
    shards = [name for name in other if not name.startswith(("model/", "stats/"))]  # these are of all prompts together
    assert {name: expected[name] for name in shards} == {name: other[name] for name in shards}


def test_a_prompt_that_kills_its_process_ends_in_rejects(run: Callable[..., Done], tmp_path: Path) -> None:
    lives = 0
    while (done := run(SHARD, at="prompt 5", does="die")).code < 0:
        lives += 1
        assert lives < 8
    assert (done.code, done.err) == (0, "")
    assert lives == 5, "three in its batch, two alone"
    assert rejects(tmp_path) == [(5, "crashed", "every process that tried it alone died")]
    assert check(tmp_path / "run") == []


def test_a_broken_machine_fails_no_shard(run: Callable[..., Done], tmp_path: Path, expected: dict) -> None:
    broken = run(SHARD, at="Extractor.__call__", does="fail")
    assert (broken.code, one_line(broken.err)) == (1, True)
    assert "nothing can be computed any more after an error (out of luck)" in broken.err
    assert entries(tmp_path) == ["take", "drop"]
    assert run(SHARD).code == 0
    assert hashes(tmp_path / "run") == expected


def test_a_shard_that_cannot_be_done_is_given_up_and_tried_again_on_demand(
    run: Callable[..., Done], tmp_path: Path, expected: dict, capsys: pytest.CaptureFixture
) -> None:
    from flowatlas.cli import main

    failed = run(SHARD, "run.tasks=2", "run.task=0", at="batch of 4", does="fail")
    assert (failed.code, one_line(failed.err)) == (1, True)
    assert "2 shards failed (shard 0: out of luck; shard 1: out of luck)" in failed.err
    assert "run.resume=failed" in failed.err
    assert len(list((tmp_path / "run" / "shards").glob("*.json"))) == 1, "the others are done"
    record = tmp_path / "run" / "errors" / "part-00000.json"
    assert "RuntimeError: out of luck" in json.loads(record.read_text())["traceback"]
    assert main(["status", str(tmp_path / "run"), "--watch"]) == 1
    out = capsys.readouterr().out
    assert f"shard 0: out of luck (given up; see {record})" in out
    assert out.splitlines()[-1].startswith("stuck: what is missing was given up")
    again = run(SHARD)
    assert (again.code, "load" in again.moments) == (1, False), "not by itself"
    resumed = run(SHARD, "run.resume=failed")
    assert (resumed.code, resumed.err) == (0, "")
    assert hashes(tmp_path / "run") == expected
    assert not (tmp_path / "run" / "errors").exists()


def test_what_is_claimed_as_done_but_has_no_marker_is_done_again(
    run: Callable[..., Done], tmp_path: Path, expected: dict
) -> None:
    assert run(SHARD, at="edges/part-00002.parquet").code < 0
    (tmp_path / "run" / "shards" / "part-00000.json").unlink()
    again = run(SHARD)
    assert (again.code, again.err) == (0, "")
    assert again.moments.count("Extractor.__call__") == 2
    assert hashes(tmp_path / "run") == expected


def test_a_warning_lets_the_shard_end_and_no_other_begin(
    run: Callable[..., Done], tmp_path: Path, expected: dict
) -> None:
    warned = run(SHARD, at="Extractor.__call__ 1", does="SIGUSR1")
    assert (warned.code, one_line(warned.err)) == (75, True)
    assert "1 of 3 shards are not done" in warned.err
    assert entries(tmp_path) == ["take", "publish", "done"] * 2
    assert run(SHARD).code == 0
    assert hashes(tmp_path / "run") == expected


def test_a_warning_in_the_last_shard_ends_well(run: Callable[..., Done], tmp_path: Path, expected: dict) -> None:
    assert run(SHARD, at="Extractor.__call__ 2", does="SIGUSR1").code == 0
    assert hashes(tmp_path / "run") == expected


def test_what_is_being_written_when_the_end_comes_is_still_written(
    run: Callable[..., Done], tmp_path: Path, expected: dict
) -> None:
    ended = run(SHARD, at="edges/part-00002.parquet", does="SIGTERM")
    assert (ended.code, one_line(ended.err)) == (143, True)
    assert entries(tmp_path) == ["take", "publish", "done"] * 3
    late = run(SHARD)
    assert (late.code, "Extractor.__call__" in late.moments) == (0, False)
    assert hashes(tmp_path / "run") == expected


@pytest.mark.parametrize("moment", ["Extractor.__call__ 1", "run/manifest.json"])
def test_termination_gives_back_what_is_at_hand(
    run: Callable[..., Done], tmp_path: Path, expected: dict, moment: str
) -> None:
    ended = run(SHARD, at=moment, does="SIGTERM")
    assert (ended.code, one_line(ended.err)) == (143, True)
    assert entries(tmp_path, "*").count("drop") == 1
    assert not list((tmp_path / "run").rglob("*.tmp"))
    assert run(SHARD).code == 0
    assert hashes(tmp_path / "run") == expected


def test_when_the_warnings_time_is_over_the_shard_is_given_back() -> None:
    program = (
        "import os, signal, time; from flowatlas import signals\n"
        "signals.catch(); signals.set_warning(signals._MARGIN + 0.2)\n"
        "os.kill(os.getpid(), signal.SIGUSR1); assert signals.warned()\n"
        "try: time.sleep(60)\n"
        "except signals.Terminated: print('ended')\n"
        "os.kill(os.getpid(), signal.SIGTERM); print('once')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.stdout == "ended\nonce\n"
