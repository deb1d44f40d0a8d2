"""LM-Debugger's arithmetic (Geva et al. 2022), literally, from Hugging Face's GPT-2 alone: what is ours, and what differs.

docs/comparison.md says so in words.
"""

import duckdb
import pytest
import torch

from extraction import extract, load, prompt
from flowatlas import check_rules, neuron_tokens
from flowatlas.schema import TABLES
from tiny import make_model
from weight_edits import hugging_face

IDS = (0, 7, 91, 23, 7, 55)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("lm") / "model", "gpt2")


def stored_scores(folder, layer: int, n: int) -> dict[int, float]:
    """Every token's static score of a neuron, as the tables of neurons' tokens and the atlas have it."""
    model = load(folder)[0]
    (table,) = neuron_tokens.compute(
        model, neuron_tokens.key_of(layer, -1, torch.tensor([n]).numpy()), model.vocab_size
    )
    rows = [row for row in table.to_pylist() if row["sign"] == 1]
    assert [row["rank"] for row in rows] == list(range(1, model.vocab_size + 1))
    return {row["token_id"]: row["score"] for row in rows}


@torch.no_grad()
def test_value_projections_pass_the_final_norms_centring_and_weight(folder):
    hf = hugging_face(folder)
    for l, h in enumerate(hf.transformer.h):
        value = h.mlp.c_proj.weight[3]  # a row of it is what one neuron writes
        centred = value - value.mean()
        want = hf.lm_head.weight @ (centred * hf.transformer.ln_f.weight)
        found = stored_scores(folder, l, 3)
        torch.testing.assert_close(torch.tensor([found[t] for t in range(len(want))]), want, atol=1e-5, rtol=1e-5)
        theirs = hf.lm_head.weight @ value  # LM-Debugger's: the bare vector
        assert not torch.allclose(theirs, want, atol=1e-3)


@torch.no_grad()
def test_value_projections_are_lm_debuggers_where_the_final_norm_weighs_all_alike(tmp_path):
    """With a weight of ones and an unembedding whose tokens have mean 0, centring and weight do nothing."""
    folder = make_model(tmp_path / "model", "gpt2")
    hf = hugging_face(folder)
    hf.transformer.ln_f.weight.fill_(1)
    hf.lm_head.weight -= hf.lm_head.weight.mean(1, keepdim=True)
    hf.save_pretrained(folder)
    for l, h in enumerate(hugging_face(folder).transformer.h):
        theirs = hf.lm_head.weight @ h.mlp.c_proj.weight[5]
        found = stored_scores(folder, l, 5)
        torch.testing.assert_close(torch.tensor([found[t] for t in range(len(theirs))]), theirs, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_dominant_neurons_are_those_of_largest_activation_times_norm(folder):
    hf, seen = hugging_face(folder), []
    for h in hf.transformer.h:
        h.mlp.act.register_forward_hook(lambda module, given, out: seen.append(out[0, -1]))
    hf(torch.tensor([IDS]))
    rows = extract(folder, [prompt(IDS)])["dominant_neurons"]
    for l, h in enumerate(hf.transformer.h):
        scores = seen[l].abs() * h.mlp.c_proj.weight.norm(dim=1)
        want = scores.topk(10)
        mine = [row for row in rows if row["layer"] == l]
        assert [row["rank"] for row in mine] == list(range(1, 11))
        assert [row["neuron"] for row in mine] == want.indices.tolist()
        torch.testing.assert_close(torch.tensor([row["strength"] for row in mine]), want.values, atol=1e-5, rtol=1e-5)
        assert {row["target"] for row in mine} == {len(IDS) - 1}


def test_the_largest_shares_are_another_ranking(folder):
    """So the ones are stored beside the others: what writes most may write against the node, and have no share at all."""
    tables = extract(folder, [prompt(IDS)])
    by_share = {(row["layer"], row["neuron"]) for row in tables["neurons"] if row["pos"] == len(IDS) - 1}
    lacking = [row for row in tables["dominant_neurons"] if (row["layer"], row["neuron"]) not in by_share]
    assert any(row["share"] == 0 for row in lacking)


@pytest.mark.parametrize(("column", "value"), [("rank", 9), ("strength", 1e6), ("target", 3)])
def test_the_audit_knows_rows_that_cannot_be(folder, column, value):
    tables = extract(folder, [prompt(IDS)])
    (rule,) = [rule for rule in check_rules.RELATIONS if rule.table == "dominant_neurons"]

    def wrong(rows: list[dict]) -> int:
        with duckdb.connect() as connection:
            for name, some in (("dominant_neurons", rows), ("targets", tables["targets"])):
                schema = TABLES[name]
                made = schema.from_columns({c.name: [row[c.name] for row in some] for c in schema.columns})
                connection.register(name, made)
            return len(connection.execute(rule.sql).fetchall())

    rows = tables["dominant_neurons"]
    assert wrong(rows) == 0
    assert wrong([*rows[:4], rows[4] | {column: value}, *rows[5:]]) > 0
