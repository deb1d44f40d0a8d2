"""`run.dry=true`: its figures against those of the run itself (bytes; seconds only as arithmetic), and that it writes nothing."""

import re

import pytest

from flowatlas.dry import Sample, extrapolated


def test_every_batch_costs_what_the_nearest_sample_did():
    samples = [Sample(n_prompts=10, length=10, seconds=1.0, n_bytes=1000), Sample(2, 100, 4.0, 400)]
    seconds, n_bytes = extrapolated([(10, 10), (5, 20), (2, 100), (1, 90)], samples)
    # tokens: 100 and 100 at 0.01 s; 200 and 90 at 0.02 s. prompts: 10 and 5 of 100 bytes; 2 and 1 of 200 bytes
    assert seconds == pytest.approx(1 + 1 + 4 + 1.8)
    assert n_bytes == pytest.approx(1500 + 600)


def megabytes(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found, text
    return float(found[1])


def test_the_disk_is_foretold_and_nothing_is_written(runs, tmp_path, models):
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "it"]
    data = tmp_path / "prompts.txt"
    data.write_text("\n".join(" ".join(words[: 2 + i % 7]) for i in range(90)) + "\n")
    args = (
        "run",
        f"model={models['gpt2']}",
        f"dataset={data}",
        "run.dir=run",
        "run.shard_size=30",
        "run.batch_tokens=64",
    )
    dry = runs(*args, "run.dry=true", cwd=tmp_path)
    assert (dry.code, dry.err) == (0, "")
    assert not (tmp_path / "run").exists()
    told = megabytes(r"disk +about ([\d.]+) MB", dry.out)
    done = runs(*args, cwd=tmp_path)
    stored = megabytes(r"([\d.]+) MB", done.out)
    assert told == pytest.approx(stored, rel=0.3, abs=0.1)
