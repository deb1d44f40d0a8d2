"""The rows of every table against the formulas written out, on random models of each family."""

import gc

import pytest
import torch

import literal
from comparing import by, neurons_are_literal, routes_are_literal, rows_do_not_depend_on_company
from extraction import PROBE, config_of, extract, forward, load, prompt
from flowatlas import activations, attention, checkpoints, models
from flowatlas.activations import Batch
from flowatlas.config import LensConfig, MapsConfig, NeuronsConfig, WritesConfig
from flowatlas.extract import Extractor
from tiny import make_model

IDS = (0, 7, 91, 23, 7, 55, 7)
SHORT = (0, 12, 4)
FLOOR = 0.02


def test_parts_add_up_on_every_layer_and_logits_are_hugging_faces(any_model):
    model, _, errors = load(any_model)
    sums = {"attention_sum"} | (set() if model.stream.parallel else {"mlp_sum"})
    sums |= {"neuron_sum"} if any(map(model.has_neurons, range(model.n_layers))) else set()
    assert set(errors) == {"logits", "pattern", *sums}
    assert max(errors.values()) < 1e-5


def test_routes_equal_the_literal_walk(any_model):
    """Nodes, reach and edges of two prompts in one padded batch, with several targets, at the floor and above."""
    routes_are_literal(any_model, [prompt(IDS, (3, 6), 0), prompt(SHORT, None, 1)], FLOOR)


def test_bias_shares_stand_beside_the_parts(any_model):
    tables = extract(any_model, [prompt(IDS)], floor=FLOOR)
    model, acts, _ = forward(any_model, [IDS])
    for row in tables["nodes"]:
        want = 0.0
        if row["layer"] >= 0:
            want = literal.bias_share(model, acts, row["layer"], row["point"], 0, row["pos"])
        assert row["bias_share"] == pytest.approx(want, abs=1e-5)


def test_attention_weights_stand_beside_single_heads_only(any_model):
    tables = extract(any_model, [prompt(IDS, range(len(IDS)))], floor=FLOOR)
    _, acts, _ = forward(any_model, [IDS])
    heads = [row for row in tables["edges"] if row["head"] >= 0]
    assert heads
    for row in tables["edges"]:
        if row["head"] == -1:
            assert row["attention"] is None
        else:
            pattern = acts.pattern(row["layer"])[0, row["head"], row["dst"], row["src"]]
            assert row["attention"] == pytest.approx(float(pattern), abs=1e-6)


def test_components_are_means_over_positions_and_largest_tau_on_the_route(any_model):
    prompts = [prompt(SHORT, None, 0), prompt(IDS, (2, 5), 1)]
    tables = extract(any_model, prompts, floor=FLOOR)
    model, acts, _ = forward(any_model, [p.token_ids for p in prompts])
    found = by(tables["components"], "prompt_id", "layer", "component", "index")
    steps = ("resid_attn", "mlp") if model.stream.parallel else ("resid_attn", "mlp", "resid_mlp")
    assert len(found) == 2 * model.n_layers * (model.n_heads + len(steps))
    assert {key[2] for key in found} == {"head", *steps}
    reach = by(tables["nodes"], "prompt_id", "layer", "point", "pos")
    for b, p in enumerate(prompts):
        length = len(p.token_ids)
        edges = literal.prompt_edges(acts, model, b, length)
        for (prompt_id, l, component, index), row in found.items():
            if prompt_id != b:
                continue
            label = index if component == "head" else component
            own = {key: share for key, share in edges.items() if key[0][0] == l and key[2] == label}
            assert row["mean_share"] == pytest.approx(sum(own.values()) / length, abs=1e-5)
            at_target = sum(share for key, share in own.items() if key[0][2] == p.targets[-1])
            assert row["target_share"] == pytest.approx(at_target, abs=1e-5)
            taus = [
                min(share, reach.get((b, *key[0]), {"reach_per_head": 0})["reach_per_head"])
                for key, share in own.items()
            ]
            want = max(taus) if max(taus) > FLOOR else 0
            assert row["route_tau"] == pytest.approx(want, abs=1e-5)


def test_lens_is_the_models_own_prediction_at_the_last_node(any_model):
    model, reference, _ = load(any_model)
    tables = extract(any_model, [prompt(ids, None, b) for b, ids in enumerate(PROBE)])
    for b, ids in enumerate(PROBE):
        logits = reference[b, len(ids) - 1]
        rows = [
            r
            for r in tables["lens"]
            if (r["prompt_id"], r["layer"], r["pos"], r["point"]) == (b, model.n_layers - 1, len(ids) - 1, "post")
        ]
        values, ids_ = logits.topk(10)
        assert [row["token_id"] for row in sorted(rows, key=lambda r: r["rank"])] == ids_.tolist()
        assert [row["logit"] for row in rows] == pytest.approx(values.tolist(), abs=1e-4)
        assert [row["prob"] for row in rows] == pytest.approx(logits.softmax(-1)[ids_].tolist(), abs=1e-5)
        target = tables["targets"][b]
        assert (target["predicted_id"], target["answer_id"], target["answer_from"]) == (ids_[0], ids_[0], "prediction")
        assert target["logsumexp"] == pytest.approx(float(logits.logsumexp(-1)), abs=1e-4)


def test_nodes_and_ranks_along_the_stream(any_model):
    tables = extract(any_model, [prompt(IDS, None, 0, (33, 34), (44,))])
    model, acts, _ = forward(any_model, [IDS])
    logits = {}
    for pos in range(len(IDS)):
        for depth, (node, x) in enumerate(literal.vectors(model, acts, 0, pos).items()):
            logits[*node, pos] = (depth, literal.lens(model.final, x), x)
    depths = {(depth, place[2]): row for place, (depth, row, _) in logits.items()}
    for row in tables["nodes"]:
        place = row["layer"], row["point"], row["pos"]
        _, scores, x = logits[place]
        p = scores.softmax(-1)
        assert row["norm"] == pytest.approx(float(x.norm()), rel=1e-5)
        assert row["entropy"] == pytest.approx(float(-(p * p.log()).sum()), abs=1e-4)
        if row["pos"] == len(IDS) - 1:
            assert row["answer_rank"] == 1 + int((scores > scores[33]).sum())
            assert row["foil_rank"] == 1 + int((scores > scores[44]).sum())
            assert row["answer_logit"] == pytest.approx(float(scores[33]), abs=1e-4)
        else:
            assert row["answer_rank"] is row["answer_logit"] is row["foil_rank"] is None
    for row in tables["lens"]:
        depth, scores, _ = logits[row["layer"], row["point"], row["pos"]]
        assert row["logit"] == pytest.approx(float(scores[row["token_id"]]), abs=1e-4)
        if depth == 0:
            assert row["prev_rank"] is None
        else:
            before = depths[depth - 1, row["pos"]]
            assert row["prev_rank"] == 1 + int((before > before[row["token_id"]]).sum())
    last = tables["targets"][0]
    assert (last["answer_from"], last["answer_id"], last["foil_id"]) == ("dataset", 33, 44)


def test_writes_are_what_each_component_adds_to_the_logits(any_model):
    tables = extract(any_model, [prompt(IDS, range(len(IDS)))], floor=FLOOR)
    model, acts, _ = forward(any_model, [IDS])
    seen, known = set(), {}
    for row in tables["writes"]:
        l, pos, component = row["layer"], row["pos"], row["component"]
        if (l, pos) not in known:
            known[l, pos] = literal.added(model, acts, l, 0, pos), literal.vectors(model, acts, 0, pos)
        parts, x = known[l, pos]
        node = x[l, "post" if component == "mlp" or model.stream.parallel else "mid"]
        own = [part for (_, head), part in parts.heads.items() if head == row["index"]]
        written = {"mlp": parts.mlp, "attn": parts.attention, "head": sum(own)}[component]
        scores = literal.write(model.final, written, node)
        assert row["score"] == pytest.approx(float(scores[row["token_id"]]), abs=2e-4)
        better = scores > scores[row["token_id"]] if row["sign"] == 1 else scores < scores[row["token_id"]]
        assert row["rank"] == 1 + int(better.sum())
        assert row["score"] * row["sign"] > 0
        seen.add(component)
    assert seen == {"attn", "mlp", "head"}


def test_neurons_are_the_largest_shares_and_scale_static_scores_to_writes(any_model):
    neurons_are_literal(any_model, prompt(IDS), FLOOR)


def test_direct_effects_add_up_to_the_answers_logit(any_model):
    tables = extract(any_model, [prompt(IDS, (2, 6), 0, (33,), (44,)), prompt(SHORT, None, 1)])
    model, acts, _ = forward(any_model, [IDS, SHORT])
    for target in tables["targets"]:
        b, pos = target["prompt_id"], target["target"]
        rows = [r for r in tables["logit_effects"] if (r["prompt_id"], r["target"]) == (b, pos)]
        z = literal.write(model.final, *[acts.resid[-1][b, pos]] * 2)
        for token, column in (("answer_id", "effect_answer"), ("foil_id", "effect_foil")):
            if target[token] is None:
                assert all(row[column] is None for row in rows)
            else:
                assert sum(row[column] for row in rows) == pytest.approx(float(z[target[token]]), abs=2e-4)
        assert {r["component"] for r in rows} <= {"head", "mlp", "embed", "bias"}


def test_effects_of_neurons_are_their_writes_at_the_last_target(any_model):
    tables = extract(any_model, [prompt(IDS, (2, 6), 0, (33,), (44,)), prompt(SHORT, None, 1)], floor=FLOOR)
    model, acts, _ = forward(any_model, [IDS, SHORT])
    last, targets = {0: 6, 1: len(SHORT) - 1}, by(tables["targets"], "prompt_id", "target")
    stored = [row for row in tables["neurons"] if row["pos"] == last[row["prompt_id"]]]
    effects = by(tables["neuron_effects"], "prompt_id", "target", "layer", "expert", "neuron")
    assert effects.keys() == {
        tuple(row[k] for k in ("prompt_id", "pos", "layer", "expert", "neuron")) for row in stored
    }
    assert len(effects) == len(tables["neuron_effects"]) > 0
    for row in stored:
        b, pos, l = row["prompt_id"], row["pos"], row["layer"]
        effect, target = effects[b, pos, l, row["expert"], row["neuron"]], targets[b, pos]
        node = acts.resid[model.stream.post(l)][b, pos]
        scale = row["write_scale"] * float(model.final.scale(node)) / model.final.logit_scale
        z = literal.write(
            model.final, model.value_vectors(l, row["expert"])[row["neuron"]] * scale, acts.resid[-1][b, pos]
        )
        for token, column in (("answer_id", "effect_answer"), ("foil_id", "effect_foil")):
            want = None if target[token] is None else pytest.approx(float(z[target[token]]), abs=1e-5)
            assert effect[column] == want


def test_dominant_neurons_are_those_that_write_most_at_every_target(any_model):
    """At each target and layer, on a route or not: a stored floor of almost 1 leaves routes with next to nothing."""
    targets = {0: (2, 6), 1: (len(SHORT) - 1,)}
    prompts = [prompt(IDS, targets[0], 0), prompt(SHORT, targets[1], 1)]
    rows = extract(any_model, prompts, floor=0.9, neurons=NeuronsConfig(5))["dominant_neurons"]
    model, acts, _ = forward(any_model, [IDS, SHORT])
    stored = by(rows, "prompt_id", "target", "layer", "rank")
    assert len(stored) == len(rows)
    asked = [(b, pos, l) for b in targets for pos in targets[b] for l in range(model.n_layers) if model.has_neurons(l)]
    assert {key[:3] for key in stored} == set(asked)
    for b, pos, l in asked:
        added = literal.added(model, acts, l, b, pos)
        lengths = {key: float(part.norm()) for key, part in added.neurons.items()}
        largest = sorted(lengths.values(), reverse=True)[:5]
        x = literal.vectors(model, acts, b, pos)
        rest = x[l, "post"] - added.mlp if model.stream.parallel else x[l, "mid"]
        shares = literal.shares({**added.neurons, "residual": rest}, x[l, "post"], "residual")
        for rank, length in enumerate(largest, 1):
            row = stored[b, pos, l, rank]
            key = row["neuron"] if row["expert"] == -1 else (row["expert"], row["neuron"])
            assert row["strength"] == pytest.approx(length, rel=1e-4, abs=1e-6)
            assert row["strength"] == pytest.approx(lengths[key], rel=1e-4, abs=1e-6)
            assert row["share"] == pytest.approx(shares[key], abs=1e-5)
            assert row["activation"] == pytest.approx(
                literal.activation(model, acts, l, b, pos, key), rel=1e-4, abs=1e-6
            )


def test_answers_fall_back_on_the_next_token_and_the_prediction(gpt2):
    tables = extract(gpt2, [prompt(IDS, range(len(IDS)), 0), prompt(SHORT, range(3), 1, (5,))])
    targets = by(tables["targets"], "prompt_id", "target")
    assert [targets[0, t]["answer_from"] for t in range(7)] == ["next_token"] * 6 + ["prediction"]
    assert [targets[0, t]["answer_id"] for t in range(6)] == list(IDS[1:])
    assert [targets[1, t]["answer_from"] for t in range(3)] == ["next_token", "next_token", "dataset"]
    assert targets[1, 2]["answer_id"] == 5


def test_rows_do_not_depend_on_batching_or_padding(any_model):
    longer = prompt((0, 300, 41, 41, 9, 88, 2, 2, 2, 17), range(10), 2)
    rows_do_not_depend_on_company(any_model, [prompt(IDS, (3, 6), 0), prompt(SHORT, None, 1), longer])


def test_raw_lens_leaves_the_final_norm_out(gpt2):
    tables = extract(gpt2, [prompt(IDS)], lens=LensConfig(top_k=4, raw=True))
    model, acts, _ = forward(gpt2, [IDS])
    raw = [row for row in tables["lens"] if row["raw"]]
    assert len(raw) * 2 == len(tables["lens"])
    for row in raw:
        depth = 2 * (row["layer"] + 1) - (row["point"] == "mid")
        want = acts.resid[depth][0, row["pos"]] @ model.final.w_u[row["token_id"]]
        assert row["logit"] == pytest.approx(float(want), abs=1e-4)
        assert row["prev_rank"] is None


@pytest.mark.parametrize(("family", "first"), [("llama", "layer 0 mid"), ("gpt_neox", "layer 0 post")])
def test_the_first_node_that_is_not_finite_is_named(tmp_path, family, first):
    """The weights of a block make it so: the embedding below is finite, everything above is not."""
    folder = make_model(tmp_path / "model", family)
    config = config_of(folder)
    model, _ = models.load(checkpoints.locate(config.model), config.model, lambda hf: None)
    with torch.no_grad():
        model.bridge.blocks[0].attn.o.weight[3] = float("inf")
    _, rejects = Extractor(model, config)([prompt(SHORT, None, 1)])
    assert [reject.detail for reject in rejects] == [f"NaN or infinity at {first}, position 0"]


def test_a_prompt_that_is_not_finite_is_rejected_and_harms_no_other(tmp_path):
    folder = make_model(tmp_path / "model", "llama")  # its head is not tied to the embedding
    config = config_of(folder)
    model, _ = models.load(checkpoints.locate(config.model), config.model, lambda hf: None)
    clean, _ = Extractor(model, config)([prompt(SHORT, None, 1)])
    with torch.no_grad():
        model.bridge.embed.weight[91] = float("nan")
    tables, rejects = Extractor(model, config)([prompt(IDS, None, 0), prompt(SHORT, None, 1)])
    assert [(r.prompt_id, r.reason) for r in rejects] == [(0, "not_finite")]
    assert "position 2" in rejects[0].detail
    assert "layer -1" in rejects[0].detail
    assert {p for name in tables for p in tables[name]["prompt_id"].to_pylist()} == {1}
    assert tables["targets"].to_pylist()[0] == pytest.approx(clean["targets"].to_pylist()[0], abs=1e-5)


def test_a_long_prompt_is_read_a_few_queries_at_a_time(any_model, monkeypatch):
    prompts = [prompt(IDS, (3, 6), 0), prompt(SHORT, None, 1)]
    maps = MapsConfig(store=True, floor=0.005)
    whole = extract(any_model, prompts, floor=FLOOR, maps=maps)
    monkeypatch.setattr(attention, "_BLOCK_BYTES", 1)  # one query at a time
    split = extract(any_model, prompts, floor=FLOOR, maps=maps)
    for name, rows in whole.items():  # the sums over keys and heads may round otherwise
        for one, other in zip(split[name], rows, strict=True):
            assert one.keys() == other.keys()
            for key, value in one.items():
                assert value == (pytest.approx(other[key], abs=1e-6) if isinstance(value, float) else other[key]), key


def test_attention_weights_of_one_block_exist_at_a_time(gpt2):
    """Counted among all that lives in the process: the library that runs the model keeps some as well."""
    model = load(gpt2)[0]
    shape, held = (1, model.n_heads, len(IDS), len(IDS)), []

    def after_block(l, acts):
        acts.forget_attention(l)
        gc.collect()
        held.append(sum(issubclass(type(one), torch.Tensor) and one.shape == shape for one in gc.get_objects()))

    activations.run(model, Batch.of([IDS]), after_block)
    assert held == [held[0]] * model.n_layers  # none is left behind as the pass goes on


def test_without_the_writes_of_heads_nothing_else_changes(gpt2):
    prompts = [prompt(IDS, (3, 6), 0), prompt(SHORT, None, 1)]
    everything = extract(gpt2, prompts, floor=FLOOR)
    without = extract(gpt2, prompts, floor=FLOOR, writes=WritesConfig(heads=False))
    of_heads = [row for row in everything["writes"] if row["component"] == "head"]
    assert of_heads
    assert without.pop("writes") == [row for row in everything.pop("writes") if row["component"] != "head"]
    assert without == everything
