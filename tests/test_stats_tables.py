"""The dataset's figures, fidelity, and tokens of components: against plain loops over the rows; and how a site cuts tables."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowatlas.site_stats import write_cut
from planted import changed, edited_run, one_of, stats_of
from synthetic import Shape, rows_of, table_of

SHAPE = Shape(maps=False)


def _ranks(row: dict) -> dict:
    """Answers of other ranks, and some that are the model's own prediction."""
    i = row["prompt_id"]
    return {**row, "answer_rank": (1, 2, 4, 7, 50, 900)[i % 6], "answer_prob": (i % 10) / 9,
            "answer_from": "prediction" if i % 4 == 3 else "dataset"}  # fmt: skip


def _with_writes_of_heads(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    rows = tables["writes"].to_pylist()
    places = {(e["prompt_id"], e["layer"], e["head"], e["dst"]) for e in tables["edges"].to_pylist() if e["head"] >= 0}
    for prompt_id, layer, head, pos in sorted(places):
        for rank in range(1, 5):
            row = {"prompt_id": prompt_id, "layer": layer, "component": "head", "index": head, "pos": pos, "sign": 1}
            rows.append({**row, "rank": rank, "token_id": (pos * head + rank) % 7, "score": 1 / rank})
    targets = changed(tables["targets"], "targets", _ranks)
    return {**tables, "targets": targets, "writes": table_of("writes", rows)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return edited_run(tmp_path_factory.mktemp("tables") / "run", 60, _with_writes_of_heads, SHAPE)


def _last_targets(run: Path, group: str | None) -> list[dict[str, Any]]:
    prompts = {p["prompt_id"]: p for p in rows_of(run, "prompts").to_pylist() if group in (None, p["group"])}
    last: dict[int, dict] = {}
    for row in rows_of(run, "targets").to_pylist():
        known = last.get(row["prompt_id"])
        if row["prompt_id"] in prompts and (known is None or row["target"] >= known["target"]):
            last[row["prompt_id"]] = {**prompts[row["prompt_id"]], **row}
    return [*last.values()]


@pytest.mark.parametrize("group", [None, "a", "b"])
def test_the_figures_of_the_dataset(run, group):
    rows, found = _last_targets(run, group), one_of(run, "dataset", group=group)
    lengths = sorted(row["n_tokens"] for row in rows)
    assert (found["n"], found["tokens_least"], found["tokens_most"]) == (len(rows), lengths[0], lengths[-1])
    assert found["tokens_mean"] == pytest.approx(np.mean(lengths))
    assert found["tokens_median"] == lengths[(len(lengths) - 1) // 2]
    answered = [row for row in rows if row["answer_from"] != "prediction"]
    foils = [row for row in answered if row["foil_id"] is not None]
    assert (found["n_answers"], found["n_foils"]) == (len(answered), len(foils))
    assert found["accuracy"] == pytest.approx(np.mean([row["answer_rank"] == 1 for row in answered]))
    assert found["answer_prob"] == pytest.approx(np.mean([row["answer_prob"] for row in answered]), rel=1e-5)
    assert found["preferred"] == pytest.approx(np.mean([row["answer_prob"] > row["foil_prob"] for row in foils]))
    for name in ("accuracy", "answer_prob", "preferred"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"] or found[name] in (0, 1)
    roles = defaultdict(set)
    for row in rows:
        roles[row["pair_id"]].add(row["role"])
    assert found["n_pairs"] == sum(pair is not None and len(both) > 1 for pair, both in roles.items())


@pytest.mark.parametrize("quantity", ["n_tokens", "answer_prob", "answer_rank"])
@pytest.mark.parametrize("group", [None, "a"])
def test_histograms_count_every_prompt_in_one_bin(run, quantity, group):
    rows = [r for r in _last_targets(run, group) if quantity == "n_tokens" or r["answer_from"] != "prediction"]
    bins = stats_of(run, "histograms", quantity=quantity, group=group)
    assert [b["low"] for b in bins] == [b["low"] for b in stats_of(run, "histograms", quantity=quantity, group=None)]
    for k, bin_ in enumerate(bins):
        high = np.inf if bin_["high"] is None else bin_["high"]
        inside = [
            r
            for r in rows
            if bin_["low"] <= np.float32(r[quantity]) and (np.float32(r[quantity]) < high or k == len(bins) - 1)
        ]
        assert bin_["n"] == len(inside)
    assert sum(bin_["n"] for bin_ in bins) == len(rows)


def test_fidelity_has_the_quantiles_of_the_nodes(run):
    nodes = [n for n in rows_of(run, "nodes").to_pylist() if (n["layer"], n["point"]) == (1, "mid")]
    for measure, values in (
        ("dropped_share", [1 - n["stored_share"] for n in nodes if n["reach_summed"] > 0]),
        ("bias_share", [n["bias_share"] for n in nodes]),
    ):
        found = one_of(run, "fidelity", measure=measure, layer=1, point="mid")
        assert (found["n"], found["mean"]) == (len(values), pytest.approx(np.mean(values), abs=1e-5))
        assert found["most"] == pytest.approx(max(values), abs=1e-5)
        for quantile in (5, 25, 50, 75, 95):
            expected = np.quantile(values, quantile / 100, method="inverted_cdf")
            assert found[f"q{quantile:02}"] == pytest.approx(expected, abs=2e-3)


def test_pairs_of_tokens_that_a_head_moves(run):
    tokens = {p["prompt_id"]: p["token_ids"] for p in rows_of(run, "prompts").to_pylist()}
    shares: defaultdict[tuple[int, int], list[tuple[float, float, int]]] = defaultdict(list)
    for e in rows_of(run, "edges").to_pylist():
        if (e["layer"], e["head"]) == (1, 2):
            ids = tokens[e["prompt_id"]]
            shares[ids[e["src"]], ids[e["dst"]]].append((e["share"], e["attention"], e["prompt_id"]))
    total = sum(share for rows in shares.values() for share, _, _ in rows)
    found = stats_of(run, "token_pairs", pair="moves", component="head", layer=1, index=2)
    assert [row["place"] for row in found] == [*range(1, len(found) + 1)]
    best = sorted((sum(share for share, _, _ in rows) for rows in shares.values()), reverse=True)[: len(found)]
    assert [row["share"] * row["n"] for row in found] == pytest.approx(best, rel=1e-4)
    for row in found:
        rows = shares[row["source_id"], row["to_id"]]
        assert (row["n"], row["n_prompts"]) == (len(rows), len({prompt for _, _, prompt in rows}))
        assert row["part"] == pytest.approx(sum(share for share, _, _ in rows) / total, rel=1e-4)
        assert row["attention"] == pytest.approx(np.mean([attention for _, attention, _ in rows]), rel=1e-4)


def test_tokens_that_a_head_promotes_where_it_reads(run):
    """Each position of a head stands with its largest edge; its most promoted tokens with the token read there."""
    tokens = {p["prompt_id"]: p["token_ids"] for p in rows_of(run, "prompts").to_pylist()}
    largest: dict[tuple, dict] = {}
    for e in sorted(rows_of(run, "edges").to_pylist(), key=lambda e: (-e["share"], e["src"])):
        largest.setdefault((e["prompt_id"], e["layer"], e["head"], e["dst"]), e)
    expected: defaultdict[tuple, float] = defaultdict(float)
    for w in rows_of(run, "writes").to_pylist():
        edge = largest.get((w["prompt_id"], w["layer"], w["index"], w["pos"]))
        if w["component"] == "head" and w["sign"] == 1 and w["rank"] <= 3 and edge:
            expected[w["layer"], w["index"], tokens[w["prompt_id"]][edge["src"]], w["token_id"]] += edge["share"]
    found = stats_of(run, "token_pairs", pair="writes")
    assert found
    for row in found:
        key = row["layer"], row["index"], row["source_id"], row["to_id"]
        assert row["share"] * row["n"] == pytest.approx(expected[key], rel=1e-4)


def test_tokens_that_neurons_fire_at_and_how(run):
    tokens = {p["prompt_id"]: p["token_ids"] for p in rows_of(run, "prompts").to_pylist()}
    rows = [r for r in rows_of(run, "neurons").to_pylist() if (r["layer"], r["neuron"]) == (0, 1)]
    count = Counter(tokens[r["prompt_id"]][r["pos"]] for r in rows)
    for row in stats_of(run, "token_pairs", pair="fires", layer=0, index=1):
        assert (row["n"], row["to_id"], row["score"]) == (count[row["source_id"]], None, None)
    found = one_of(run, "activations", layer=0, neuron=1)
    activations = [r["activation"] for r in rows]
    assert (found["n"], found["n_prompts"]) == (len(rows), len({r["prompt_id"] for r in rows}))
    assert found["positive"] == pytest.approx(np.mean(np.array(activations) > 0))
    assert (found["activation_least"], found["activation_most"]) == pytest.approx((min(activations), max(activations)))
    top = min(rows, key=lambda r: (-r["share"], r["prompt_id"], r["pos"]))
    assert (found["top_prompt"], found["top_pos"]) == (top["prompt_id"], top["pos"])
    assert len(stats_of(run, "activations")) == len(
        {(r["layer"], r["neuron"]) for r in rows_of(run, "neurons").to_pylist()}
    )


def test_promoted_tokens_are_counted_over_positions(run):
    writes = [w for w in rows_of(run, "writes").to_pylist() if (w["component"], w["layer"], w["sign"]) == ("mlp", 1, 1)]
    count, positions = Counter(w["token_id"] for w in writes), {(w["prompt_id"], w["pos"]) for w in writes}
    found = stats_of(run, "promoted", component="mlp", layer=1, sign=1)
    assert [row["n"] for row in found] == sorted(count.values(), reverse=True)[:20]
    for row in found:
        mine = [w for w in writes if w["token_id"] == row["token_id"]]
        assert (row["n"], row["n_all"], row["n_prompts"]) == (
            len(mine),
            len(positions),
            len({w["prompt_id"] for w in mine}),
        )
        assert row["score"] == pytest.approx(np.mean([w["score"] for w in mine]), rel=1e-4)


def test_vectors_are_the_components_in_order(run):
    rows = {
        (r["prompt_id"], r["component"], r["layer"], r["index"]): r["mean_share"]
        for r in rows_of(run, "components").to_pylist()
    }
    found = stats_of(run, "prompt_vectors")
    assert len(found) == len(rows_of(run, "prompts"))
    for row in found:
        i = row["prompt_id"]
        expected = [rows[i, "head", layer, head] for layer in range(3) for head in range(4)]
        assert row["mean_share"] == expected + [rows[i, "mlp", layer, 0] for layer in range(3)]


def _table(n: int, keys: int) -> pa.Table:
    rng = np.random.default_rng(0)
    key = np.sort(rng.integers(0, keys, n))
    return pa.table(
        {"part": pa.array(["x" if k else None for k in key]), "key": pa.array(key), "value": pa.array(rng.random(n))}
    )


@pytest.mark.parametrize("cut", [("part", "key"), ()])
def test_large_tables_are_cut_between_keys(tmp_path, monkeypatch, cut):
    monkeypatch.setattr("flowatlas.site_stats.FILE_BYTES", 20_000)
    table = _table(20_000, 40)
    entry = write_cut(table, tmp_path, "stats/t", cut)
    pieces = [pq.read_table(tmp_path / file["file"]) for file in entry["files"]]
    assert pa.concat_tables(pieces).equals(table)
    assert len(pieces) > 4
    assert [file["rows"] for file in entry["files"]] == [piece.num_rows for piece in pieces]
    assert max(file["bytes"] for file in entry["files"]) < 30_000
    if cut:
        keys = [key for file in entry["files"] for key in file["keys"]]
        assert keys == [[None, 0], *(["x", k] for k in range(1, 40))]  # each in one file, in order
        for file, piece in zip(entry["files"], pieces, strict=True):
            assert {key[1] for key in file["keys"]} == set(piece["key"].to_pylist())


def test_a_key_too_large_for_a_file_is_one_larger_file(tmp_path, monkeypatch):
    monkeypatch.setattr("flowatlas.site_stats.FILE_BYTES", 1_000)
    entry = write_cut(_table(2_000, 2), tmp_path, "t", ("key",))
    assert [file["keys"] for file in entry["files"]] == [[[0]], [[1]]]


def test_small_and_empty_tables_are_one_file(tmp_path):
    for n in (0, 5):
        entry = write_cut(_table(n, 2), tmp_path, f"t{n}", ("key",))
        assert [(file["file"], file["rows"], "keys" in file) for file in entry["files"]] == [
            (f"t{n}.parquet", n, False)
        ]
