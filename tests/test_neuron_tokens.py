"""The tokens of stored neurons: by layer, expert and neuron, and the same with a cache as without."""

import pyarrow.parquet as pq
import pytest

from extraction import extract, load, prompt
from flowatlas import lens, neuron_tokens
from flowatlas.schema import TABLES
from tiny import make_model

K = 4


@pytest.fixture(scope="module", params=["gemma2", "qwen2_moe"])
def folder(request, tmp_path_factory):
    return make_model(tmp_path_factory.mktemp(request.param) / "model", request.param)


def store(run_dir, rows):
    """A run's `neurons` with these rows only."""
    (run_dir / "neurons").mkdir(parents=True)
    columns = {column.name: [row[column.name] for row in rows] for column in TABLES["neurons"].columns}
    pq.write_table(TABLES["neurons"].from_columns(columns), run_dir / "neurons" / "part-00000.parquet")


def tokens(run_dir, model):
    neuron_tokens.write_neuron_tokens(run_dir, model, "hash", K)
    return pq.read_table(run_dir / "model" / "neuron_tokens.parquet").to_pylist()


def test_every_stored_neuron_has_the_tokens_of_its_own_direction(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWATLAS_CACHE", str(tmp_path / "cache"))
    model = load(folder)[0]
    rows = extract(folder, [prompt((0, 7, 91, 23, 7)), prompt((0, 12, 4), None, 1)])["neurons"]
    wanted = {(row["layer"], row["expert"], row["neuron"]) for row in rows}
    assert len({expert for _, expert, _ in wanted}) == 1 or model.located.family.experts is not None
    store(tmp_path / "run", rows)
    found = tokens(tmp_path / "run", model)
    assert {(row["layer"], row["expert"], row["neuron"]) for row in found} == wanted
    assert len(found) == len(wanted) * 2 * K
    for row in found:
        value = model.value_vectors(row["layer"], row["expert"])[row["neuron"]]
        scores = lens.static_scores(model.final, value[None])[0]
        ranked = scores.sort(descending=row["sign"] == 1, stable=True)
        assert row["score"] == pytest.approx(float(ranked.values[row["rank"] - 1]), abs=1e-5)
        assert row["score"] == pytest.approx(float(scores[row["token_id"]]), abs=1e-5)


def test_a_cache_of_other_neurons_changes_nothing(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWATLAS_CACHE", str(tmp_path / "cache"))
    model = load(folder)[0]
    rows = extract(folder, [prompt((0, 7, 91, 23, 7))])["neurons"]
    store(tmp_path / "one", rows[::2])
    store(tmp_path / "all", rows)
    store(tmp_path / "fresh", rows)
    tokens(tmp_path / "one", model)
    by_cache = tokens(tmp_path / "all", model)
    monkeypatch.setenv("FLOWATLAS_CACHE", str(tmp_path / "other"))
    assert by_cache == tokens(tmp_path / "fresh", model)
