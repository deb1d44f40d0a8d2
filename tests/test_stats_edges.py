"""Roles, kinds, examples, templates and consensus: worked out by hand, and planted in made-up runs."""

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from flowatlas.corpus import of_peak, peak
from flowatlas.kinds_of_tokens import token_kind
from flowatlas.prompt_map import _Clusters
from flowatlas.schema_stats import ROLES
from planted import changed, edited_run, one_of, stats_of
from synthetic import Shape, make_run, rows_of, table_of

LENGTH = 9
HALF = (LENGTH - 1) // 2


def _tokens(prompt_id: int) -> list[int]:
    """BOS, then four tokens twice: every token of the second half has been there, followed by the next one."""
    first = np.random.default_rng(prompt_id).permutation(np.arange(1, 30))[:HALF].tolist()
    return [0, *first, *first]


def _planted(tables: dict) -> dict:
    """L0H0 reads the token before, L1H1 the token after an earlier copy, L2H2 the copy, L0H3 any position alike."""

    def prompt(row: dict) -> dict:
        ids = _tokens(row["prompt_id"])
        return {**row, "token_ids": ids, "tokens": [f" t{i}" for i in ids], "n_tokens": LENGTH, "targets": [LENGTH - 1]}

    edges: list[dict[str, Any]] = []
    for row in tables["prompts"].to_pylist():
        rng = np.random.default_rng([1, row["prompt_id"]])
        for dst in range(1, LENGTH):
            reads = {(0, 0): dst - 1, (0, 3): int(rng.integers(0, dst + 1))}
            if dst > HALF:
                reads |= {(1, 1): dst - HALF + 1, (2, 2): dst - HALF}
            edges += [
                {"prompt_id": row["prompt_id"], "layer": layer, "kind": "attn", "dst": dst, "src": src, "head": head,
                 "share": 0.2, "attention": 0.4}
                for (layer, head), src in reads.items()
            ]  # fmt: skip
    return {**tables, "prompts": changed(tables["prompts"], "prompts", prompt), "edges": table_of("edges", edges)}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return edited_run(tmp_path_factory.mktemp("roles") / "run", 60, _planted, Shape(maps=False))


@pytest.mark.parametrize(
    ("role", "layer", "head"), [("previous token", 0, 0), ("induction", 1, 1), ("duplicate token", 2, 2)]
)
def test_planted_heads_are_found(planted, role, layer, head):
    rows = stats_of(planted, "roles", role=role, group=None, source="edges")
    best = max(rows, key=lambda row: row["contribution"] or 0)
    assert (best["layer"], best["head"]) == (layer, head)
    assert (best["contribution"], best["attention"]) == (pytest.approx(1), pytest.approx(1))
    assert best["n_role"] == best["n_edges"]
    assert best["contribution_chance"] < 0.3


def test_a_head_that_reads_anywhere_scores_by_chance(planted):
    for role in ("previous token", "current token", "first token"):
        row = one_of(planted, "roles", role=role, group=None, layer=0, head=3, source="edges")
        chance = np.mean([1 / (dst + 1) for dst in range(1, LENGTH)])
        assert row["contribution_chance"] == pytest.approx(chance, rel=1e-5)
        assert row["contribution_low"] < chance < row["contribution_high"]


def test_roles_by_group_add_up_to_those_of_all(planted):
    """Every prompt of these runs is of a group or of none; a group's edges are those of its prompts."""
    groups = {p["prompt_id"]: p["group"] for p in rows_of(planted, "prompts").to_pylist()}
    edges = [e for e in rows_of(planted, "edges").to_pylist() if (e["layer"], e["head"]) == (0, 3)]
    for group in (None, "a", "b"):
        row = one_of(planted, "roles", role="current token", layer=0, head=3, source="edges", group=group)
        mine = [e for e in edges if group in (None, groups[e["prompt_id"]])]
        assert row["n_all"] == len(mine)
        assert row["contribution"] == pytest.approx(np.mean([e["src"] == e["dst"] for e in mine]), abs=1e-6)
        assert row["contribution_low"] <= row["contribution"] <= row["contribution_high"]


def test_roles_without_a_source_have_no_score(planted):
    """These prompts have neither punctuation nor words of several tokens."""
    for role in ("same punctuation", "same word"):
        for row in stats_of(planted, "roles", role=role):
            assert (row["contribution"], row["contribution_chance"], row["n_edges"]) == (None, None, 0)
    assert {row["role"] for row in stats_of(planted, "roles")} == set(ROLES)


def _by_hand(tables: dict) -> dict:
    """One prompt, `<s> Anna , Bob , an na Anna`, and four edges of L0H0."""
    texts = ["<s>", " Anna", ",", " Bob", ";", " an", "na", " Anna"]
    ids = [0, 1, 2, 3, 4, 5, 6, 1]

    def prompt(row: dict) -> dict:
        return {**row, "token_ids": ids, "tokens": texts, "n_tokens": len(ids), "targets": [len(ids) - 1]}

    shares = {(4, 2): 0.3, (4, 3): 0.1, (6, 5): 0.2, (7, 2): 0.15, (7, 1): 0.05}
    edges = [
        {
            "prompt_id": 0,
            "layer": 0,
            "kind": "attn",
            "dst": dst,
            "src": src,
            "head": 0,
            "share": share,
            "attention": 1 - share,
        }
        for (dst, src), share in shares.items()
    ]
    return {**tables, "prompts": changed(tables["prompts"], "prompts", prompt), "edges": table_of("edges", edges)}


def test_scores_of_one_prompt_by_hand(tmp_path, monkeypatch):
    monkeypatch.setattr("flowatlas.site_data.RunReader.vocabulary", _Texts())
    run = edited_run(tmp_path / "run", 1, _by_hand, Shape(maps=False))
    expected = {  # score, chance, edges into positions with such a source, edges from one
        "previous token": ((0.1 + 0.2) / 0.8, (0.4 / 5 + 0.2 / 7 + 0.2 / 8) / 0.8, 5, 2),
        "same punctuation": (0.3 / 0.4, 1 / 5, 2, 1),  # , and ; are of one group
        "same word": (1.0, 1 / 7, 1, 1),  # an-na
        "duplicate token": (0.05 / 0.2, 1 / 8, 2, 1),  # Anna
        "induction": (0.15 / 0.2, 1 / 8, 2, 1),  # the comma after Anna
    }
    for role, (score, chance, n_edges, n_role) in expected.items():
        row = one_of(run, "roles", role=role, group=None, layer=0, head=0)
        assert row["contribution"] == pytest.approx(score, rel=1e-5), role
        assert row["contribution_chance"] == pytest.approx(chance, rel=1e-5), role
        assert (row["n_edges"], row["n_role"], row["n_all"]) == (n_edges, n_role, 5), role
    row = one_of(run, "roles", role="previous token", group=None, layer=0, head=0)
    assert row["attention"] == pytest.approx((0.9 + 0.8) / (0.7 + 0.9 + 0.8 + 0.85 + 0.95), rel=1e-5)
    assert row["contribution_low"] is None  # one prompt


class _Texts:
    """Stands in for the vocabulary of the prompt above."""

    special = frozenset({0})

    def table(self, ids: np.ndarray):
        import pyarrow as pa

        texts = {0: "<s>", 1: " Anna", 2: ",", 3: " Bob", 4: ";", 5: " an", 6: "na"}
        return pa.table({"token_id": ids, "token": [texts[i] for i in ids.tolist()], "special": [i == 0 for i in ids]})

    def texts(self, ids: list[int]) -> list[str]:
        return [f"#{id_}" for id_ in ids]


@pytest.mark.parametrize(
    ("text", "kind", "marks", "begins", "ends"),
    [(" the", "word", None, False, True), ("ing", "word", None, True, True), ("1848", "digit", None, True, True),
     (".", "punctuation", "end", False, False), (" (", "punctuation", "open", False, False),
     ("\n", "space", None, False, False), ("<0xE2>", "word", None, True, True), ("»", "punctuation", "quote", False, False),
     ("日本", "word", None, True, True), (" +", "punctuation", "+", False, False), ("word ", "word", None, True, False)],
)  # fmt: skip
def test_kinds_of_tokens(text, kind, marks, begins, ends):
    assert token_kind(text) == (kind, marks, begins, ends)
    assert token_kind(text, special=True).kind == "special"


def test_shares_by_position_are_means_over_stored_nodes(tmp_path):
    run = make_run(tmp_path / "run", 30, shape=Shape(maps=False))
    nodes = [n for n in rows_of(run, "nodes").to_pylist() if n["reach_summed"] > 0 and n["point"] == "mid"]
    edges = rows_of(run, "edges").to_pylist()
    for value, positions in (("0", {0}), ("1", {1}), ("2-3", {2, 3})):
        n = sum(node["layer"] == 1 and node["pos"] in positions for node in nodes)
        shares = [e["share"] for e in edges if (e["layer"], e["head"]) == (1, 2) and e["dst"] in positions]
        row = one_of(run, "by_kind", split="position", value=value, component="head", layer=1, index=2)
        assert (row["n"], row["share"]) == (n, pytest.approx(sum(shares) / n, rel=1e-5))
        assert row["share_low"] <= row["share"] <= row["share_high"]


def test_shares_by_extra_column_and_correctness_are_means_over_prompts(tmp_path):
    def extra(row: dict) -> dict:
        return {**row, "extra": f'{{"tense": "{("past", "now")[row["prompt_id"] % 2]}", "id": {row["prompt_id"]}}}'}

    def rank(row: dict) -> dict:
        return {**row, "answer_rank": 1 + (row["prompt_id"] % 3 == 0)}

    run = edited_run(tmp_path / "run", 80, lambda t: {
        **t, "prompts": changed(t["prompts"], "prompts", extra), "targets": changed(t["targets"], "targets", rank)
    })  # fmt: skip
    components = [r for r in rows_of(run, "components").to_pylist() if (r["component"], r["layer"]) == ("mlp", 2)]
    assert {row["key"] for row in stats_of(run, "by_kind", split="extra")} == {"tense"}  # an id splits nothing
    for where, keep in (
        ({"split": "extra", "key": "tense", "value": "past"}, lambda i: i % 2 == 0),
        ({"split": "prediction", "key": None, "value": "wrong"}, lambda i: i % 3 == 0),
    ):
        shares = [r["mean_share"] for r in components if keep(r["prompt_id"])]
        row = one_of(run, "by_kind", component="mlp", layer=2, **where)
        assert (row["n"], row["share"]) == (len(shares), pytest.approx(np.mean(shares), rel=1e-5))


def _labelled(row: dict) -> dict:
    """Synthetic prompts: BOS, then a word for each token. Labels by token and by word; a list too short; numbers; a gap."""
    i, n = row["prompt_id"], row["n_tokens"] - 1
    # in every second prompt two tokens make each word: "t5" + "t6", then a new one
    tokens = [row["tokens"][0], *(f"t{k}" if k % 2 else f" t{k}" for k in range(n))] if i % 2 else row["tokens"]
    words = n if i % 2 == 0 else (n + 1) // 2
    extra = {
        "pos": ["noun" if k % 3 else "verb" for k in range(words)],
        "short": ["a", "b"] if i == 4 else [1 + k % 2 for k in range(n)],
        "score": i / 7,
        "few": "" if i < 10 else i % 3,
    }
    return {**row, "tokens": tokens, "extra": json.dumps(extra)}


def test_labels_of_tokens_and_of_words_split_the_nodes_that_have_them(tmp_path, capsys):
    run = edited_run(tmp_path / "run", 40, lambda t: {**t, "prompts": changed(t["prompts"], "prompts", _labelled)})
    edges = [e for e in rows_of(run, "edges").to_pylist() if (e["layer"], e["head"]) == (1, 2)]
    nodes = [x for x in rows_of(run, "nodes").to_pylist() if x["reach_summed"] > 0 and x["point"] == "mid"]
    verb = lambda i, pos: pos > 0 and ((pos - 1) // (1 + i % 2)) % 3 == 0  # noqa: E731
    n = sum(x["layer"] == 1 and verb(x["prompt_id"], x["pos"]) for x in nodes)
    total = sum(e["share"] for e in edges if verb(e["prompt_id"], e["dst"]))
    row = one_of(run, "by_kind", split="label", key="pos", value="verb", component="head", layer=1, index=2)
    assert (row["n"], row["share"]) == (n, pytest.approx(total / n, rel=1e-5))
    one = one_of(run, "by_kind", split="label", key="short", value="1", component="head", layer=1, index=2)
    assert one["n"] == sum(x["layer"] == 1 and x["pos"] % 2 == 1 and x["prompt_id"] != 4 for x in nodes)
    err = capsys.readouterr().err
    assert "extra column 'short': 1 of " in err
    assert "prompt 4, 2 values for" in err
    assert "'pos'" not in err


def test_numbers_are_cut_into_quarters_and_empty_values_are_no_kind(tmp_path):
    run = edited_run(tmp_path / "run", 40, lambda t: {**t, "prompts": changed(t["prompts"], "prompts", _labelled)})
    ids = sorted(p["prompt_id"] for p in rows_of(run, "prompts").to_pylist())
    quarters = stats_of(run, "by_kind", split="extra", key="score", component="mlp", layer=0)
    assert [row["value"].partition(":")[0] for row in quarters] == [f"quarter {k}" for k in (1, 2, 3, 4)]
    assert sum(row["n"] for row in quarters) == len(ids)
    assert quarters[0]["value"] == f"quarter 1: 0 to {max(i for i in ids if i <= np.quantile(ids, 0.25)) / 7:.6g}"
    few = stats_of(run, "by_kind", split="extra", key="few", component="mlp", layer=0)
    assert [row["value"] for row in few] == ["0", "1", "2"]
    assert sum(row["n"] for row in few) == sum(i >= 10 for i in ids)


def test_examples_are_the_largest_the_deciles_and_random_ones(tmp_path):
    run = make_run(tmp_path / "run", 80, shape=Shape(maps=False))
    peaks: dict[int, dict] = {}
    for edge in rows_of(run, "edges").to_pylist():
        if (edge["layer"], edge["head"]) == (2, 1) and edge["share"] > peaks.get(edge["prompt_id"], {"share": 0})[
            "share"
        ]:
            peaks[edge["prompt_id"]] = edge
    ordered = sorted(peaks.values(), key=lambda edge: (-edge["share"], edge["prompt_id"]))
    rows = stats_of(run, "examples", component="head", layer=2, index=1)
    assert {row["n_prompts"] for row in rows} == {len(ordered)}
    by_choice = {c: [r for r in rows if r["choice"] == c] for c in ("top", "decile", "random")}
    assert [_edge(row) for row in by_choice["top"]] == [_edge(edge) for edge in ordered[:10]]
    places = [round((len(ordered) - 1) * step / 10) for step in range(11)]
    assert [_edge(row) for row in by_choice["decile"]] == [_edge(ordered[place]) for place in places]
    assert 1 <= len(by_choice["random"]) <= 5
    assert {_edge(row) for row in by_choice["random"]} <= {_edge(edge) for edge in ordered}


def _edge(row: dict) -> tuple:
    return row["prompt_id"], row["dst"], row["src"], round(row["share"], 6)


def test_consensus_counts_the_prompts_of_a_template_that_hold_an_edge(planted):
    """All prompts of a group align here: the same length, and words everywhere."""
    templates = stats_of(planted, "templates")
    prompts = rows_of(planted, "prompts").to_pylist()
    assert sorted(t["group"] or "" for t in templates) == ["", "a", "b"]
    template = next(t for t in templates if t["group"] == "a")
    assert template["n_prompts"] == sum(p["group"] == "a" for p in prompts)
    assert template["tokens"][0] == " t0"
    assert template["tokens"][1] is None
    edges = stats_of(planted, "consensus", template=template["template"], layer=0, head=0)
    assert {(e["dst"], e["src"]) for e in edges} == {(dst, dst - 1) for dst in range(1, LENGTH)}
    assert {e["frequency"] for e in edges} == {1}
    assert all(e["share"] == pytest.approx(0.2) for e in edges)


def test_prompts_that_use_other_components_lie_apart(tmp_path):
    def change(row: dict) -> dict:
        heavy = (row["prompt_id"] % 3) == row["layer"] and row["component"] == "head"
        return {**row, "mean_share": 0.5 * heavy + 0.01 * (row["prompt_id"] % 7)}

    run = edited_run(
        tmp_path / "run", 80, lambda t: {**t, "components": changed(t["components"], "components", change)}
    )
    rows = stats_of(run, "prompt_map")
    kinds: dict[int, set] = {}
    for row in rows:
        kinds.setdefault(row["cluster"], set()).add(row["prompt_id"] % 3)
    assert len(kinds) >= 3
    assert all(len(found) == 1 for found in kinds.values())
    assert not any(row["placed"] for row in rows)


def test_the_place_of_a_share_that_is_all_of_its_node():
    row = "SELECT 1::FLOAT AS share, 5 AS dst, 3 AS src"
    asked = f"SELECT {of_peak('key')} FROM (SELECT {peak('dst', 'src')} AS key FROM ({row}))"
    found = duckdb.connect().execute(asked).fetchone()
    assert found == (5, 3, 1.0)


def test_prompts_that_differ_by_rounding_alone_are_no_clusters_of_their_own(recwarn):
    axes = (np.repeat(np.eye(3), 20, axis=0) * np.tile([[1.0000004], [1.0000006]], (30, 1))).astype(np.float32)
    assert len(np.unique(axes.round(6), axis=0)) == 6
    assert len(set(_Clusters(axes, seed=0)(axes))) == 3
    assert not recwarn.list
