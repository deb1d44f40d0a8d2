"""Assertions on extracted rows that tests of single equations and of every family share."""

from pathlib import Path

import pytest
import torch

import literal
from extraction import extract, forward
from flowatlas.lens import static_scores
from flowatlas.prompts import Prompt


def by(rows, *keys):
    out = {tuple(row[key] for key in keys): row for row in rows}
    assert len(out) == len(rows), "a key stands twice"
    return out


def routes_are_literal(folder: Path, prompts: list[Prompt], floor: float) -> None:
    """Nodes, reach and edges of prompts in one padded batch equal the literal walk, at the floor and above."""
    tables = extract(folder, prompts, floor=floor)
    model, acts, _ = forward(folder, [p.token_ids for p in prompts])
    for b, p in enumerate(prompts):
        edges = literal.prompt_edges(acts, model, b, len(p.token_ids))
        nodes = {
            key: row for key, row in by(tables["nodes"], "prompt_id", "layer", "point", "pos").items() if key[0] == b
        }
        for mode, some in (("reach_summed", literal.summed(edges)), ("reach_per_head", edges)):
            for tau in (floor, 0.07, 0.3):
                want = set()
                for target in p.targets:
                    want |= literal.walk(some, (model.n_layers - 1, "post", target), tau)[0]
                assert {key[1:] for key, row in nodes.items() if row[mode] > tau} == want
        stored = {edge_key(model, row): row["share"] for row in tables["edges"] if row["prompt_id"] == b}
        reached = {key[1:] for key, row in nodes.items() if row["reach_summed"] > 0}
        want_edges = {**edges, **literal.summed(edges)}
        want_edges = {key: share for key, share in want_edges.items() if key[0] in reached and share > floor}
        assert stored.keys() == want_edges.keys()
        assert stored == pytest.approx(want_edges, abs=1e-5)
        own_column = {(*node, t) for node in literal.nodes(model) for t in p.targets}
        assert {key[1:] for key in nodes} == reached | own_column
        for key, row in nodes.items():
            into = sum(share for edge, share in stored.items() if edge[0] == key[1:] and not is_one_head(edge))
            assert row["stored_share"] == pytest.approx(into, abs=1e-5)


def rows_do_not_depend_on_company(folder: Path, prompts: list[Prompt]) -> None:
    """Every row is the same whether its prompt is alone or padded to the length of others."""
    together = extract(folder, prompts)
    alone: dict = {}
    for p in prompts:
        for name, rows in extract(folder, [p]).items():
            alone.setdefault(name, []).extend(rows)
    for name, rows in together.items():
        rows = sorted(rows, key=lambda row: row["prompt_id"])
        assert len(rows) == len(alone[name])
        for one, other in zip(rows, alone[name], strict=True):
            rank, alone_rank = (row.pop("prev_rank", None) or 0 for row in (one, other))
            assert abs(rank - alone_rank) <= 1, name  # two tokens deep down may be equal but for the last bits
            assert one == (other if name == "prompts" else pytest.approx(other, abs=2e-5)), name


def neurons_are_literal(folder: Path, p: Prompt, floor: float) -> None:
    """The stored neurons of one prompt are those of largest share, and static scores times write_scale are their writes."""
    tables = extract(folder, [p], floor=floor)
    model, acts, _ = forward(folder, [p.token_ids])
    places = {(row["layer"], row["pos"]) for row in tables["neurons"]}
    on_route = {(r["layer"], r["dst"]) for r in tables["edges"] if r["kind"] == "mlp"}
    assert places == {place for place in on_route if model.has_neurons(place[0])}
    for l, pos in places:
        rows = [r for r in tables["neurons"] if (r["layer"], r["pos"]) == (l, pos)]
        x, parts = literal.vectors(model, acts, 0, pos), literal.added(model, acts, l, 0, pos)
        residual = x[l, "post"] - parts.mlp if model.stream.parallel else x[l, "mid"]
        want = literal.shares({**parts.neurons, "residual": residual}, x[l, "post"], "residual")
        top = sorted((share for key, share in want.items() if key != "residual" and share > 0), reverse=True)[:20]
        assert [row["share"] for row in rows] == pytest.approx(top, abs=1e-5)
        for row in rows[:3]:
            key = row["neuron"] if row["expert"] == -1 else (row["expert"], row["neuron"])
            assert row["share"] == pytest.approx(want[key], abs=1e-5)
            assert row["activation"] == pytest.approx(
                literal.activation(model, acts, l, 0, pos, key), rel=1e-4, abs=1e-6
            )
            static = static_scores(model.final, model.value_vectors(l, row["expert"]))[row["neuron"]]
            write = literal.write(model.final, parts.neurons[key], x[l, "post"])
            torch.testing.assert_close(static * row["write_scale"], write, atol=1e-4, rtol=1e-4)


def edge_key(model, row):
    above, below = (row["layer"], "mid", row["dst"]), (row["layer"] - 1, "post", row["src"])
    if model.stream.parallel:
        above = (row["layer"], "post", row["dst"])
    elif row["kind"] in ("mlp", "resid_mlp"):
        above, below = (row["layer"], "post", row["dst"]), (row["layer"], "mid", row["src"])
    return above, below, row["head"] if row["kind"] == "attn" else row["kind"]


def is_one_head(edge):
    return isinstance(edge[2], int) and edge[2] >= 0
