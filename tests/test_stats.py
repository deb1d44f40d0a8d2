"""Importance, activity, stability and contrasts: against plain loops over the rows, and with differences put in."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from flowatlas.schema import TABLES
from flowatlas.schema_stats import STATS_TABLES
from flowatlas.stats import make
from planted import changed, edited_run, one_of, stats_of
from synthetic import Shape, make_run, rows_of

TOLERANCE = 1e-5


def _routes(row: dict) -> dict:
    """A route_tau that differs by prompt and head (the made-up runs have none)."""
    return {**row, "route_tau": (row["prompt_id"] * 7 + row["index"] * 5 + row["layer"]) % 11 / 20}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stats") / "run"
    return edited_run(
        folder, 60, lambda tables: {**tables, "components": changed(tables["components"], "components", _routes)}
    )


def _values(
    run: Path, group: str | None, name: str = "mean_share", component: str = "head", layer: int = 1, index: int = 2
) -> np.ndarray:
    """A component's values over the prompts of a group, in the order of the prompts."""
    members = {p["prompt_id"] for p in rows_of(run, "prompts").to_pylist() if group in (None, p["group"])}
    rows = [r for r in rows_of(run, "components").to_pylist() if r["prompt_id"] in members and r["layer"] == layer]
    return np.array([r[name] for r in rows if r["component"] == component and r["index"] == index])


@pytest.mark.parametrize("group", [None, "a", "b"])
def test_importance_is_the_mean_over_prompts(run, group):
    row = one_of(run, "importance", group=group, component="head", layer=1, index=2)
    for name in ("mean_share", "target_share"):
        values = _values(run, group, name)
        assert (row["n"], row[name]) == (len(values), pytest.approx(values.mean(), rel=TOLERANCE))
        reference = stats.bootstrap(
            (values,), np.mean, method="percentile", n_resamples=5000, rng=0
        ).confidence_interval
        width = reference.high - reference.low
        assert row[f"{name}_low"] == pytest.approx(reference.low, abs=0.15 * width)
        assert row[f"{name}_high"] == pytest.approx(reference.high, abs=0.15 * width)
    assert row["n_stored"] == np.sum(_values(run, group, "route_tau") > 0)


def test_attention_blocks_are_the_sum_of_their_heads(run):
    heads = stats_of(run, "importance", group="a", component="head", layer=2)
    block = one_of(run, "importance", group="a", component="attn", layer=2)
    for name in ("mean_share", "target_share"):
        assert block[name] == pytest.approx(sum(head[name] for head in heads), rel=TOLERANCE)
    taus = np.stack([_values(run, "a", "route_tau", layer=2, index=index) for index in range(4)])
    activity = stats_of(run, "activity", group="a", component="attn", layer=2)
    assert [row["n_active"] for row in activity] == [
        int(np.sum(taus.max(0) > np.float32(row["tau"]))) for row in activity
    ]


def test_direct_effects_are_those_of_the_last_target(run):
    row = one_of(run, "importance", group=None, component="head", layer=1, index=1)
    prompts = rows_of(run, "prompts").to_pylist()
    with_foil = [p for p in prompts if p["foil_text"]]
    assert (row["n_effect"], row["effect"]) == (len(prompts), 0.5)
    assert (row["n_gap"], row["effect_gap"]) == (len(with_foil), 1.0)
    other = one_of(run, "importance", group=None, component="head", layer=0, index=0)
    assert (other["n_effect"], other["effect"], other["effect_low"]) == (0, None, None)


def test_activity_counts_prompts_above_each_threshold(run):
    rows = stats_of(run, "activity", group="b", component="head", layer=1, index=2)
    taus, shares = _values(run, "b", "route_tau"), _values(run, "b")
    assert len(rows) == 5
    assert rows[0]["tau"] == pytest.approx(0.05)  # the run's floor
    for row in rows:
        active = taus > np.float32(row["tau"])
        assert (row["n"], row["n_active"]) == (len(taus), active.sum())
        assert row["frequency"] == pytest.approx(active.mean())
        assert row["frequency_low"] <= row["frequency"] <= row["frequency_high"]
        expected = shares[active].mean() if active.any() else None
        assert row["share_when_active"] == (expected if expected is None else pytest.approx(expected, rel=TOLERANCE))
        if active.sum() > 1:
            ends = stats.t.interval(0.95, active.sum() - 1, expected, stats.sem(shares[active]))
            found = (row["share_when_active_low"], row["share_when_active_high"])
            assert found == pytest.approx((max(ends[0], 0), min(ends[1], 1)), abs=1e-4)
    assert rows[0]["n_active"] > rows[3]["n_active"] > 1


def test_stability_is_the_rank_correlation_of_frequencies(run):
    rows = stats_of(run, "stability", group=None, component="head")
    assert len(rows) == 10
    for row in rows:
        both = [
            [r["n_active"] for r in stats_of(run, "activity", group=None, component="head", tau=row[tau])]
            for tau in ("tau_a", "tau_b")
        ]
        assert row["n_components"] == 12
        ordered = min(map(np.ptp, both)) > 0
        assert row["rank_correlation"] == (
            pytest.approx(stats.spearmanr(both[0], both[1])[0], abs=1e-5) if ordered else None
        )


def test_neurons_are_counted_where_they_are_stored(run):
    """Each stored MLP has neuron 1 with share 0.1; where it is not stored it counts 0."""
    rows = [r for r in rows_of(run, "neurons").to_pylist() if r["layer"] == 0]
    lengths = {p["prompt_id"]: p["n_tokens"] for p in rows_of(run, "prompts").to_pylist()}
    shares = {id_: sum(r["share"] for r in rows if r["prompt_id"] == id_) / n for id_, n in lengths.items()}
    row = one_of(run, "importance", group=None, component="neuron", layer=0, index=1)
    assert row["mean_share"] == pytest.approx(np.mean([*shares.values()]), rel=TOLERANCE)
    assert (row["n"], row["effect"], row["expert"]) == (len(lengths), None, -1)


def _effects(tables: dict) -> dict:
    """Neuron 1 of layer 0 has an effect in every third prompt, and no foil in every second of them."""
    ids = [i for i in tables["prompts"]["prompt_id"].to_pylist() if i % 3 == 0]
    n, ends = len(ids), {p["prompt_id"]: p["targets"][-1] for p in tables["prompts"].to_pylist()}
    columns = {
        "prompt_id": ids,
        "target": [ends[i] for i in ids],
        "layer": [0] * n,
        "expert": [-1] * n,
        "neuron": [1] * n,
    }
    columns |= {"effect_answer": [i / 10 for i in ids], "effect_foil": [None if i % 2 else 1.0 for i in ids]}
    return {**tables, "neuron_effects": TABLES["neuron_effects"].from_columns(columns)}


def test_effects_of_neurons_are_means_over_the_prompts_that_have_one(tmp_path):
    run = edited_run(tmp_path / "run", 60, _effects)
    groups = {p["prompt_id"]: p["group"] for p in rows_of(run, "prompts").to_pylist()}
    for group in (None, "a"):
        ids = [i for i, its in groups.items() if i % 3 == 0 and group in (None, its)]
        gaps = [i / 10 - 1 for i in ids if i % 2 == 0]
        row = one_of(run, "importance", group=group, component="neuron", layer=0, index=1)
        assert (row["n_effect"], row["n_gap"]) == (len(ids), len(gaps))
        assert row["effect"] == pytest.approx(np.mean(ids) / 10, rel=TOLERANCE)
        assert row["effect_gap"] == pytest.approx(np.mean(gaps), rel=TOLERANCE)
        assert row["effect_low"] < row["effect"] < row["effect_high"]
    assert {r["measure"] for r in stats_of(run, "contrasts", component="neuron")} == {"mean_share", "target_share"}


def test_neurons_are_compared_group_by_group(run):
    rows = [r for r in rows_of(run, "neurons").to_pylist() if (r["layer"], r["neuron"]) == (0, 1)]
    prompts = rows_of(run, "prompts").to_pylist()
    means = {}
    for group in ("a", "b"):
        members = [p for p in prompts if p["group"] == group]
        means[group] = np.mean(
            [sum(r["share"] for r in rows if r["prompt_id"] == p["prompt_id"]) / p["n_tokens"] for p in members]
        )
    row = one_of(
        run, "contrasts", contrast="groups", a="a", b="b", measure="mean_share", component="neuron", layer=0, index=1
    )
    assert row["difference"] == pytest.approx(means["a"] - means["b"], abs=1e-6)
    assert row["q"] is not None


def _planted(tables: dict) -> dict:
    """Head L1H2 carries more in group a; head L0H0 more in the clean prompts; nothing else differs."""
    prompts = {p["prompt_id"]: p for p in tables["prompts"].to_pylist()}
    rng = np.random.default_rng(int(tables["prompts"]["prompt_id"][0].as_py()))

    def change(row: dict) -> dict:
        prompt, part = prompts[row["prompt_id"]], (row["component"], row["layer"], row["index"])
        share = 0.2 + 0.02 * rng.random()
        share += 0.1 * (part == ("head", 1, 2) and prompt["group"] == "a")
        share += 0.05 * (part == ("head", 0, 0) and prompt["role"] == "clean")
        active = part == ("head", 1, 2) and prompt["group"] == "a"
        return {**row, "mean_share": share, "target_share": share, "route_tau": 0.4 if active else 0.01}

    return {**tables, "components": changed(tables["components"], "components", change)}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return edited_run(tmp_path_factory.mktemp("planted") / "run", 90, _planted)


def test_a_head_of_one_group_is_found_and_no_other(planted):
    rows = stats_of(planted, "contrasts", contrast="rest", a="a", measure="mean_share")
    found = {(r["component"], r["layer"], r["index"]) for r in rows if r["specific"]}
    assert found == {("head", 1, 2), ("attn", 1, 0)}  # its block with it
    row = next(r for r in rows if (r["component"], r["layer"], r["index"]) == ("head", 1, 2))
    assert row["difference"] == pytest.approx(0.1, abs=0.005)
    assert row["difference_low"] < 0.1 < row["difference_high"] or row["difference"] == pytest.approx(0.1, abs=2e-3)
    assert (row["frequency_a"], row["frequency_b"]) == (1, 0)
    assert row["q"] < 1e-6
    assert row["standardised"] > 5
    others = [r for r in rows if r["component"] == "head" and r["layer"] == 2]
    assert min(r["q"] for r in others) > 0.01


def test_a_head_of_clean_prompts_is_found_within_pairs(planted):
    rows = stats_of(planted, "contrasts", contrast="roles", group=None, measure="mean_share", component="head")
    assert {(r["a"], r["b"]) for r in rows} == {("clean", "corrupt")}
    found = [(r["layer"], r["index"]) for r in rows if r["q"] <= 0.01]
    assert found == [(0, 0)]
    row = next(r for r in rows if (r["layer"], r["index"]) == (0, 0))
    assert row["difference"] == pytest.approx(row["mean_a"] - row["mean_b"], abs=1e-6)
    assert row["difference"] == pytest.approx(0.05, abs=0.005)


def test_a_contrast_of_pairs_is_the_paired_mean(planted):
    prompts = {p["pair_id"] + p["role"]: p["prompt_id"] for p in rows_of(planted, "prompts").to_pylist()}
    shares = {
        r["prompt_id"]: r["mean_share"]
        for r in rows_of(planted, "components").to_pylist()
        if (r["component"], r["layer"], r["index"]) == ("mlp", 1, 0)
    }
    pairs = [key.removesuffix("clean") for key in prompts if key.endswith("clean")]
    differences = np.array(
        [shares[prompts[p + "clean"]] - shares[prompts[p + "corrupt"]] for p in pairs if p + "corrupt" in prompts]
    )
    row = one_of(planted, "contrasts", contrast="roles", group=None, measure="mean_share", component="mlp", layer=1)
    assert (row["n_a"], row["n_b"]) == (len(differences), len(differences))
    assert row["difference"] == pytest.approx(differences.mean(), abs=1e-6)
    assert row["standardised"] == pytest.approx(differences.mean() / differences.std(ddof=1), rel=1e-3)
    assert row["p"] == pytest.approx(stats.ttest_1samp(differences, 0)[1], abs=0.03)


def test_contrasts_of_groups_compare_means(run):
    row = one_of(
        run, "contrasts", contrast="groups", a="a", b="b", measure="mean_share", component="head", layer=1, index=2
    )
    a, b = _values(run, "a"), _values(run, "b")
    assert (row["n_a"], row["n_b"]) == (len(a), len(b))
    assert row["difference"] == pytest.approx(a.mean() - b.mean(), abs=1e-6)
    assert row["p"] == pytest.approx(stats.ttest_ind(a, b)[1], abs=0.03)
    rest = one_of(run, "contrasts", contrast="rest", a="a", measure="mean_share", component="head", layer=1, index=2)
    outside = np.setdiff1d(_values(run, None), a)
    assert (rest["n_b"], rest["mean_b"]) == (len(outside), pytest.approx(outside.mean(), rel=TOLERANCE))
    assert rest["b"] is None


def test_bins_of_prompts_change_intervals_little_and_means_not_at_all(tmp_path, monkeypatch):
    """A run of more prompts than there are units of drawing: here 20 for 92 prompts in three groups."""
    one, binned = (make_run(tmp_path / name, 100) for name in ("one", "binned"))
    make(one)
    monkeypatch.setattr("flowatlas.corpus.BINS", 20)
    for table, names in (("importance", ("mean_share", "target_share")), ("contrasts", ("difference",))):
        rows = [stats_of(run, table, component="head") for run in (one, binned)]
        for name in names:
            assert [r[name] for r in rows[1]] == pytest.approx([r[name] for r in rows[0]], abs=1e-6)
            widths = [np.mean([r[f"{name}_high"] - r[f"{name}_low"] for r in found]) for found in rows]
            assert widths[1] == pytest.approx(widths[0], rel=0.15)
    contrasts = [stats_of(run, "contrasts", component="head", contrast="rest") for run in (one, binned)]
    p = [np.array([r["p"] for r in rows]) for rows in contrasts]
    assert p[1] == pytest.approx(p[0], abs=0.05)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_runs_of_few_prompts(tmp_path, n):
    run = make_run(tmp_path / "run", n)
    rows = stats_of(run, "importance", group=None, component="head")
    assert {row["n"] for row in rows} == {n}
    assert all((row["mean_share_low"] is None) == (n == 1) for row in rows)
    assert len(stats_of(run, "prompt_map")) == n


def test_without_groups_and_pairs_there_are_no_contrasts(tmp_path):
    def bare(row: dict) -> dict:
        return {**row, "group": None, "pair_id": None, "role": None}

    run = edited_run(tmp_path / "run", 20, lambda t: {**t, "prompts": changed(t["prompts"], "prompts", bare)})
    assert stats_of(run, "contrasts") == []
    assert {row["group"] for row in stats_of(run, "importance")} == {None}


def test_every_value_fits_its_declaration(run):
    """Types, nulls and ranges are those that the schema says."""
    make(run)
    for name, declared in STATS_TABLES.items():
        table = pq.read_table(run / "stats" / f"{name}.parquet")
        assert table.schema.equals(declared.schema, check_metadata=True)
        assert table.num_rows, name
        for column in declared.columns:
            whole = table[column.name].combine_chunks()
            listed = pa.types.is_list(column.type)
            values = (whole.flatten() if listed else whole).to_pylist()
            nulls = column.type.value_field.nullable if listed else column.null
            assert nulls or None not in values, (name, column.name)
            if column.range in ("0..1", "-1..1"):
                low = float(column.range.partition("..")[0])
                assert all(v is None or low - 1e-6 <= v <= 1 + 1e-6 for v in values), (name, column.name)


def test_the_same_run_gives_the_same_statistics(tmp_path):
    runs = [make_run(tmp_path / name, 40, shape=Shape(seed=3)) for name in ("one", "two")]
    made = [make(run).marker["tables"] for run in runs]
    assert made[0] == made[1]
