"""Effect against share over a corpus: counted again by hand, and nothing where nothing was removed."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from flowatlas.check import check
from planted import edited_run, one_of, stats_of
from synthetic import Shape, make_run, table_of

REMOVED = 4  # of the heads of a prompt, the first of layer 0


def knocked_out(tables: dict) -> dict:
    """Set to zero a head is missed by twice its mean share, at its mean by once, in odd prompts the other way round; its direct
    effect is against the answer."""
    last, foil = {}, {}
    for row in sorted(tables["targets"].to_pylist(), key=lambda row: row["target"]):
        last[row["prompt_id"]], foil[row["prompt_id"]] = row["target"], row["foil_id"] is not None
    rows, direct = [], []
    for part in tables["components"].to_pylist():
        if part["component"] != "head" or part["layer"] or part["index"] >= REMOVED:
            continue
        prompt = part["prompt_id"]
        direct.append(
            {"prompt_id": prompt, "target": last[prompt], "layer": 0, "component": "head", "index": part["index"],
             "effect_answer": -part["mean_share"], "effect_foil": 0.1 if foil[prompt] else None}
        )  # fmt: skip
        for removal, factor in (("zero", 2), ("mean", 1)):
            effect = factor * part["mean_share"] * (-1 if prompt % 2 else 1)
            rows.append(
                {"prompt_id": prompt, "target": last[prompt], "layer": 0, "component": "head", "index": part["index"],
                 "removal": removal, "route_tau": 0.0, "effect_answer": effect, "effect_foil": None,
                 "effect_logprob": effect / 2, "divergence": 0.1, "answer_rank": 1}
            )  # fmt: skip
    return {**tables, "knockouts": table_of("knockouts", rows), "logit_effects": table_of("logit_effects", direct)}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return edited_run(tmp_path_factory.mktemp("removals") / "run", 40, knocked_out)


def test_means_are_over_the_prompts_it_was_removed_from(run):
    from flowatlas.stats import make

    make(run)
    rows = _rows(run)
    for removal, factor in (("zero", 2), ("mean", 1)):
        found = one_of(run, "knockouts", group=None, removal=removal, layer=0, index=1)
        own = [row for row in rows if row["index"] == 1]
        effects = [factor * row["mean_share"] * (-1 if row["prompt_id"] % 2 else 1) for row in own]
        assert found["n"] == len(own)
        assert found["effect"] == pytest.approx(np.mean(effects), abs=1e-6)
        assert found["size"] == pytest.approx(np.mean(np.abs(effects)), abs=1e-6)
        assert found["mean_share"] == pytest.approx(np.mean([row["mean_share"] for row in own]), abs=1e-6)
        assert found["effect_low"] < found["effect"] < found["effect_high"]
        assert found["effect_gap"] is None
        assert found["n_gap"] == 0
        assert found["direct"] == pytest.approx(-found["mean_share"], abs=1e-6)
        assert found["direct_size"] == pytest.approx(found["mean_share"], abs=1e-6)
    assert check(run) == []


def test_rank_correlations_are_spearmans(run):
    """Sizes go with shares, within every prompt and over the components; signed effects do in half of the prompts only."""
    rows = _rows(run)
    size = one_of(run, "agreement", group=None, removal="mean", measure="mean_share", side="size")
    assert size["rank_correlation"] == pytest.approx(1)
    assert size["n_components"] == len({row["index"] for row in rows})
    by_prompt: dict[int, list[dict]] = {}
    for row in rows:
        by_prompt.setdefault(row["prompt_id"], []).append(row)
    signed, sizes = [], []
    for prompt, own in by_prompt.items():
        share = [row["mean_share"] for row in own]
        if np.ptp(share) > 0:
            sizes.append(stats.spearmanr(share, share)[0])
            signed.append(stats.spearmanr(share, [x * (-1 if prompt % 2 else 1) for x in share])[0])
    assert size["within"] == pytest.approx(np.mean(sizes), abs=1e-5)
    assert size["n"] == len(sizes)
    other = one_of(run, "agreement", group=None, removal="mean", measure="mean_share", side="signed")
    assert other["within"] == pytest.approx(np.mean(signed), abs=1e-5)
    assert other["within_low"] < other["within"] < other["within_high"]
    direct = one_of(run, "agreement", group=None, removal="mean", measure="direct", side="size")
    assert direct["rank_correlation"] == pytest.approx(1)
    assert direct["within"] == pytest.approx(size["within"])
    against = one_of(run, "agreement", group=None, removal="mean", measure="direct", side="signed")
    assert against["within"] == pytest.approx(-other["within"], abs=1e-5)
    groups = {row["group"] for row in stats_of(run, "agreement")}
    assert len(groups) > 1


def test_a_run_that_removed_nothing_has_none(tmp_path):
    run = make_run(tmp_path / "run", shape=Shape(knockouts=False))
    assert stats_of(run, "knockouts") == []
    assert stats_of(run, "agreement") == []


def _rows(run: Path) -> list[dict]:
    import pyarrow.parquet as pq

    parts = sorted((run / "components").glob("*.parquet"))
    rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
    return [row for row in rows if row["component"] == "head" and row["layer"] == 0 and row["index"] < REMOVED]
