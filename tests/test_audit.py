"""The audit: a planted circuit is found and a random one is not; its curves are what a literal count gives."""

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import flowatlas
from flowatlas import audit, audit_store
from flowatlas.audit import Settings
from flowatlas.audit_curves import curves, described
from flowatlas.audit_sets import Members, sets, thresholds
from flowatlas.check import check
from flowatlas.corpus import to_table
from flowatlas.errors import ConfigError, RunConflict
from flowatlas.schema_audit import AUDIT_TABLES, CHOSEN, MODES
from flowatlas.site_data import RunReader
from flowatlas.stored_prompts import StoredPrompt
from flowatlas.target_routes import Taus
from handmade import INDUCTION, PREVIOUS_TOKEN, save_model, save_prompts
from runs import Runs

SETTINGS = Settings(prompts=24, draws=3)


@pytest.fixture(scope="module")
def planted(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audited run of the model whose circuit was put in by hand."""
    folder = tmp_path_factory.mktemp("planted")
    model, prompts = save_model(folder / "model"), save_prompts(folder / "prompts.jsonl", 12)
    settings = (f"model={model}", f"dataset={prompts}", "run.dir=run", "knockouts.store=true")
    done = runs("run", *settings, cwd=folder)
    assert done.code == 0, done.err
    done = runs("audit", "run", "--prompts", "24", "--draws", "3", cwd=folder)
    assert done.code == 0, done.err
    assert "keep: " in done.out
    assert "24 prompts" in done.out
    return folder / "run"


def rows_of(run: Path, **where) -> list[dict]:
    rows = pq.read_table(run / "audit" / "curves.parquet").to_pylist()
    return [row for row in rows if all(row[name] == value for name, value in where.items())]


def test_a_planted_circuit_is_found_and_a_random_one_is_not(planted):
    """Two heads of eight do the induction. Where the route is about as small as they are, it holds nearly all of the answer and
    random sets of its size do not; and without it nearly all is gone."""
    of_induction = {"group": "repeated", "measure": "logit"}
    kept = rows_of(planted, mode="keep", chosen="route", **of_induction)
    small = max((row for row in kept if row["part"] > 0.8), key=lambda row: row["tau"])
    assert small["n_heads"] < 4.5
    same = {"tau": small["tau"], **of_induction}
    (random,), (removed,), (others,) = (
        rows_of(planted, mode=mode, chosen=rule, **same)
        for mode, rule in (("keep", "random"), ("remove", "route"), ("remove", "random"))
    )
    assert random["part_high"] < small["part_low"]
    assert random["part"] < 0.6
    assert removed["part"] > 0.8 > others["part_high"]
    for rival in (random, others):
        assert rival["advantage_low"] > 0
        assert rival["p"] < 0.01
        assert rival["q"] < 0.05


def test_the_planted_heads_are_missed_most(planted):
    """Knock-outs name the two heads, and shares rank heads as their removal does."""
    with flowatlas.open(planted) as run:
        found = run.sql(
            "SELECT layer, index FROM stats.knockouts WHERE component = 'head' AND removal = 'mean' "
            "AND \"group\" = 'repeated' ORDER BY effect DESC LIMIT 2"
        ).fetchall()
        assert set(found) == {PREVIOUS_TOKEN, INDUCTION}
        assert run.sql("SELECT count(*) FROM audit.curves").fetchall()[0][0] > 0


def test_curves_are_means_over_prompts(planted):
    """Counted again, prompt by prompt."""
    trials = pq.read_table(planted / "audit" / "trials.parquet").to_pylist()
    ends = {row["prompt_id"]: row for row in pq.read_table(planted / "audit" / "ends.parquet").to_pylist()}
    taus = sorted({row["tau"] for row in trials})
    for mode, chosen in (("keep", "random"), ("remove", "direct"), ("remove", "route")):
        (row,) = rows_of(planted, group=None, mode=mode, chosen=chosen, measure="logprob", tau=taus[2])
        own = [t for t in trials if (t["mode"], t["chosen"], t["tau"]) == (mode, chosen, taus[2])]
        draws = 3 if chosen == "random" else 1
        assert len(own) == len(ends) * draws
        assert row["n"] == len(ends)
        value = np.mean([t["answer_logprob"] for t in own])
        whole, none = (np.mean([end[f"answer_logprob_{at}"] for end in ends.values()]) for at in ("whole", "none"))
        gone = value - none if mode == "keep" else whole - value
        assert row["value"] == pytest.approx(value, rel=1e-5)
        assert row["part"] == pytest.approx(gone / (whole - none), rel=1e-4)
        route = [t for t in trials if (t["mode"], t["chosen"], t["tau"]) == (mode, "route", taus[2])]
        better = np.mean([t["answer_logprob"] for t in route]) - value
        if chosen != "route":
            assert row["advantage"] == pytest.approx(better if mode == "keep" else -better, abs=1e-5)
        else:
            assert row["advantage"] is None
    nothing = [t for t in trials if t["mode"] == "remove" and t["n_heads"] == t["n_mlps"] == 0]
    for trial in nothing:
        assert trial["answer_logit"] == ends[trial["prompt_id"]]["answer_logit_whole"]


def test_rivals_have_as_many_heads_and_mlps(planted):
    trials = pq.read_table(planted / "audit" / "trials.parquet").to_pylist()
    sizes: dict[tuple, set] = {}
    for row in trials:
        sizes.setdefault((row["prompt_id"], row["tau"]), set()).add((row["n_heads"], row["n_mlps"]))
    assert all(len(found) == 1 for found in sizes.values())
    assert len({size for found in sizes.values() for size in found}) > 1


def test_sets_are_nested_and_chosen_as_they_say():
    rng = np.random.default_rng(0)
    taus, direct = (Taus(rng.random((3, 4)), rng.random(3) - 0.5) for _ in range(2))
    attention = rng.random((3, 4))
    prompt = StoredPrompt(7, None, [1, 2], 1, 0, None, taus, taus, direct)
    by_tau = [{(c.rule, c.draw): c.members for c in sets(prompt, attention, tau, 2, 0)} for tau in (0.1, 0.4, 0.7)]
    for found in by_tau:
        route = found["route", 0]
        n = int(route.heads.sum())
        assert set(zip(*np.nonzero(found["attention", 0].heads), strict=True)) == {
            tuple(place) for place in np.argwhere(attention > np.sort(attention, axis=None)[-n - 1])
        }
        assert (found["attention", 0].mlps == route.mlps).all()
        assert found["direct", 0].mlps.sum() == route.mlps.sum()
    for key in by_tau[0]:
        for wide, narrow in itertools.pairwise(by_tau):
            assert (narrow[key].heads <= wide[key].heads).all()
            assert (narrow[key].mlps <= wide[key].mlps).all()
    assert by_tau[1]["random", 0].key != by_tau[1]["random", 1].key
    everything = Members(np.ones((3, 4), bool), np.ones(3, bool))
    assert (~everything).key == Members(np.zeros((3, 4), bool), np.zeros(3, bool)).key
    assert thresholds(0.01) == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64])
    assert thresholds(0.5) == [0.5]


def test_an_interrupted_audit_goes_on(planted, monkeypatch):
    """The parts that were tried are kept; the result is that of an undisturbed one, byte for byte."""
    settings = Settings(prompts=20, draws=1)
    undisturbed = audit.make(planted, settings, progress=False)
    expected = [(planted / "audit" / f"{name}.parquet").read_bytes() for name in ("trials", "ends", "curves")]
    (planted / "audit" / "audit.json").unlink()
    made, real = [], audit.Trials.tables

    def fails_later(self, prompts):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append([prompt.prompt_id for prompt in prompts])
        return real(self, prompts)

    monkeypatch.setattr(audit.Trials, "tables", fails_later)
    with pytest.raises(KeyboardInterrupt):
        audit.make(planted, settings, progress=False)
    monkeypatch.setattr(audit.Trials, "tables", lambda self, prompts: made.append(1) or real(self, prompts))
    again = audit.make(planted, settings, progress=False)
    assert len(made) == 3  # three parts in all
    assert [(planted / "audit" / f"{name}.parquet").read_bytes() for name in ("trials", "ends", "curves")] == expected
    assert again.marker["tables"] == undisturbed.marker["tables"]
    assert not (planted / audit.PARTS).exists()
    assert audit.make(planted, settings, progress=False).marker == again.marker  # nothing is done twice
    assert len(made) == 3
    assert check(planted) == []
    audit.make(planted, SETTINGS, progress=False)


def test_what_is_refused(planted, models, tmp_path):
    with pytest.raises(ConfigError, match="--draws 0"):
        Settings(draws=0)
    with pytest.raises(RunConflict, match="other weights"):
        audit.make(planted, Settings(prompts=2), model=str(models["gpt2"]), progress=False)


def test_an_audit_of_other_shards_is_stale(planted):
    reader = RunReader(planted)
    assert audit_store.current(reader) is not None
    marker = planted / "audit" / "audit.json"
    before = marker.read_text()
    marker.write_text(json.dumps({**json.loads(before), "made_from": "other"}))
    assert audit_store.current(reader) is None
    assert any("flowatlas audit" in problem for problem in check(planted))
    marker.write_text(before)
    curves_file = planted / "audit" / "curves.parquet"
    whole = curves_file.read_bytes()
    curves_file.write_bytes(whole[:9] + bytes([whole[9] ^ 1]) + whole[10:])
    assert any("audit/curves.parquet is not the file" in problem for problem in check(planted))
    curves_file.write_bytes(whole)


def test_where_the_ends_are_alike_there_is_no_part():
    """A model that answers by chance: the way between the ends is none, and no part of it is given."""
    rng = np.random.default_rng(1)
    ends = [
        {"prompt_id": k, "group": None, "n_heads": 4, "n_mlps": 2, "foil_logit_whole": None, "foil_logit_none": None}
        | {f"{name}_{end}": rng.normal() for name in ("answer_logit", "answer_logprob") for end in ("whole", "none")}
        for k in range(30)
    ]
    trials = [
        {
            "prompt_id": k,
            "tau": 0.1,
            "mode": mode,
            "chosen": rule,
            "draw": 0,
            "n_heads": 1,
            "n_mlps": 1,
            "foil_logit": None,
        }
        | {"answer_logit": rng.normal(), "answer_logprob": rng.normal()}
        for k in range(30)
        for mode in MODES
        for rule in CHOSEN
    ]
    trials_table, ends_table = (
        AUDIT_TABLES[name].from_columns({c: [row[c] for row in rows] for c in AUDIT_TABLES[name].schema.names})
        for name, rows in (("trials", trials), ("ends", ends))
    )
    found = curves(trials_table, ends_table, np.random.default_rng(0))
    assert set(found["measure"]) == {"logprob", "logit"}  # nobody has a foil
    assert np.isnan(found["part"]).all()
    shown = to_table(AUDIT_TABLES["curves"], found).to_pydict()
    assert [line.split()[3:] for line in described(shown) if line.split()[0] == "0.1"] == [["-"] * 4] * 2
    known = np.array(found["chosen"]) != "route"
    assert (np.array(found["q"])[known] > 0.05).all()
    assert np.isnan(np.array(found["p"])[~known]).all()
