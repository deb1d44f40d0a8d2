"""`flowatlas check` finds what is wrong with a run, each problem in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flowatlas.check import check
from flowatlas.check_rules import shard_rules
from flowatlas.errors import RunError
from flowatlas.files import hash_file
from flowatlas.manifest import read_plan
from flowatlas.schema import TABLES
from flowatlas.shards import Ledger
from flowatlas.writer import write_shard
from synthetic import Dataset, finish, info_of, make_run, plan_of, table_of, tables_of

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return make_run(tmp_path / "a 'quoted' [run] {0} *", 16)


def test_a_sound_run_has_no_problems(run_dir: Path) -> None:
    assert check(run_dir) == []


def test_what_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run folder"):
        check(tmp_path)


def test_a_flipped_bit_is_found(run_dir: Path) -> None:
    path = run_dir / "edges" / "part-00001.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    assert check(run_dir) == [
        "edges/part-00001.parquet is damaged (its content hash is another): remove shards/part-00001.json and run again"
    ]


def test_a_truncated_and_a_missing_file_are_found(run_dir: Path) -> None:
    truncated = run_dir / "lens" / "part-00000.parquet"
    truncated.write_bytes(truncated.read_bytes()[:-1])
    (run_dir / "rejects" / "part-00001.parquet").unlink()
    problems = check(run_dir)
    assert any(line.startswith("lens/part-00000.parquet has ") for line in problems)
    assert any(line.startswith("rejects/part-00001.parquet is missing") for line in problems)
    assert len(problems) == 2


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("config_hash", "0" * 64, "has config_hash 0000"),
        ("rows_hash", "0" * 64, "has rows_hash 0000"),
        ("n_rows", 7, "has n_rows 7, but the plan has 8"),
        ("tables", {}, "does not name table prompts"),
    ],
)
def test_a_marker_that_disagrees_with_the_plan_is_found(run_dir: Path, key: str, value: Any, message: str) -> None:
    path = run_dir / "shards" / "part-00001.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert any(line.startswith(f"shards/part-00001.json {message}") for line in check(run_dir))


def test_a_missing_and_a_damaged_marker_are_found(run_dir: Path) -> None:
    (run_dir / "shards" / "part-00000.json").unlink()
    (run_dir / "shards" / "part-00001.json").write_text("{")
    problems = check(run_dir)
    assert problems[0].startswith("shards/part-00000.json is missing: shard 0 (rows 0 to 7) is not done")
    assert problems[1].startswith("shards/part-00001.json is damaged")


def test_a_wrong_row_count_in_a_marker_is_found(run_dir: Path) -> None:
    path = run_dir / "shards" / "part-00001.json"
    marker = json.loads(path.read_text())
    marker["tables"]["edges"]["rows"] += 1
    path.write_text(json.dumps(marker))
    assert any("edges/part-00001.parquet has " in line and "rows instead of" in line for line in check(run_dir))


def test_a_file_of_another_schema_is_found(run_dir: Path) -> None:
    path = run_dir / "neurons" / "part-00000.parquet"
    table = pq.ParquetFile(path).read()
    pq.write_table(table.set_column(4, "neuron", table["neuron"].cast("int64")), path)
    marker_path = Ledger(run_dir).path(0)
    marker = json.loads(marker_path.read_text())
    entry = marker["tables"]["neurons"]
    entry |= {"bytes": path.stat().st_size, "sha256": hash_file(path)}
    marker_path.write_text(json.dumps(marker))
    assert any("neurons/part-00000.parquet has another schema (column neuron)" in line for line in check(run_dir))


def test_a_file_that_no_shard_names_is_found(run_dir: Path) -> None:
    path = run_dir / "edges" / "part-00000.parquet"
    (run_dir / "edges" / "part-00009.parquet").write_bytes(path.read_bytes())
    assert check(run_dir) == ["edges/part-00009.parquet belongs to no shard of this run: remove it"]


def test_a_run_in_progress_is_audited_as_far_as_it_got(tmp_path: Path) -> None:
    problems = check(make_run(tmp_path / "run", shards=[0, 1]))
    assert len(problems) == 3
    assert problems[-1] == "manifest.json is missing: the run is not complete, run again"


@pytest.mark.parametrize("key", ["counts", "tables", "shards"])
def test_a_manifest_that_disagrees_with_the_shards_is_found(run_dir: Path, key: str) -> None:
    path = run_dir / "manifest.json"
    manifest = json.loads(path.read_text())
    if key == "shards":
        manifest["shards"][0]["n_prompts"] += 1
    else:
        manifest[key] = json.loads(json.dumps(manifest[key]).replace("28", "27").replace('"rows": ', '"rows": 1'))
    path.write_text(json.dumps(manifest))
    assert check(run_dir) == [f"manifest.json has other {key} than the shards: remove it and run again"]


def test_damaged_model_tables_are_found(run_dir: Path) -> None:
    vocab = run_dir / "model" / "vocab.parquet"
    vocab.write_bytes(vocab.read_bytes() + b"x")
    (run_dir / "model" / "neuron_tokens.parquet").unlink()
    problems = check(run_dir)
    assert any("model/vocab.parquet is damaged" in line for line in problems)
    assert any("model/neuron_tokens.parquet is missing" in line for line in problems)


def _one(rows: list[dict], **wanted: Any) -> dict:
    return next(row for row in rows if all(row[key] == value for key, value in wanted.items()))


def _set(table: str, column: str, value: Any, **wanted: Any) -> Callable[[Rows], None]:
    def change(tables: Rows) -> None:
        _one(tables[table], **wanted)[column] = value

    return change


def _copy(table: str, **changes: Any) -> Callable[[Rows], None]:
    def change(tables: Rows) -> None:
        tables[table].append(tables[table][0] | changes)

    return change


def _drop(table: str, **wanted: Any) -> Callable[[Rows], None]:
    def change(tables: Rows) -> None:
        tables[table].remove(_one(tables[table], **wanted))

    return change


def _drop_source(tables: Rows) -> None:
    edge = _one(tables["edges"], kind="mlp", prompt_id=0)
    node = {"layer": edge["layer"], "point": "mid", "pos": edge["src"], "prompt_id": 0}
    tables["nodes"].remove(_one(tables["nodes"], **node))


def _too_attentive(tables: Rows) -> None:
    cell = next(row for row in tables["maps"] if 0.1 < row["attention"] < 0.9)
    cell["attention"] = 1.0


def _set_map_of_an_edge(tables: Rows) -> None:
    edge = next(row for row in tables["edges"] if row["head"] >= 0)
    keys = ("prompt_id", "layer", "head", "dst", "src")
    _one(tables["maps"], **{key: edge[key] for key in keys})["share"] = edge["share"] - 0.01


def _continued(n_given: int) -> Callable[[Rows], None]:
    """The first prompt, of which only the last two positions are targets, as one that a model continued."""

    def change(tables: Rows) -> None:
        tables["generated"].append({"prompt_id": 0, "n_given": n_given, "text": "", "ended": False})

    return change


REJECT = {"source_id": "x", "reason": "r", "detail": "d"}
BROKEN: dict[str, tuple[Callable[[Rows], None], str]] = {
    "prompt twice": (_copy("prompts"), "prompts/part-00000.parquet: 1 rows are there twice"),
    "edge twice": (_copy("edges"), "edges/part-00000.parquet: 1 rows are there twice"),
    "rejected prompt": (lambda t: t["rejects"].append(REJECT | {"prompt_id": 0}), "are prompts as well"),
    "prompt of another shard": (lambda t: t["rejects"].append(REJECT | {"prompt_id": 9}), "outside of its rows 0 to 7"),
    "row left out": (lambda t: t["rejects"].clear(), "shard 0 has 7 prompts and rejects for 8 rows"),
    "orphan effect": (_copy("logit_effects", prompt_id=5), "logit_effects/part-00000.parquet: 1 rows belong to no prompt"),
    "share above 1": (_set("edges", "share", 1.5), "edges/part-00000.parquet: 1 rows have a share outside 0..1"),
    "share no number": (_set("edges", "share", float("nan")), "1 rows have a share outside 0..1"),
    "negative share": (_set("components", "mean_share", -0.1), "1 rows have a mean_share outside 0..1"),
    "logit no number": (_set("lens", "logit", float("nan")), "1 rows have a logit that is no number"),
    "reach above 1": (_set("nodes", "reach_summed", 1.1), "1 rows have a reach_summed outside 0..1"),
    "layer": (_set("components", "layer", 3), "1 rows have a layer outside -1..n_layers-1"),
    "sign": (_set("writes", "sign", 0), "1 rows have a sign outside -1, 1"),
    "future source": (_set("edges", "src", 9), "1 rows have a src outside <= dst"),
    "too much into mid": (_set("edges", "share", 0.99, kind="resid_attn"), "go into a node whose edges sum to more than 1"),
    "too much into post": (_set("edges", "share", 0.999, kind="mlp"), "go into a node whose edges sum to more than 1"),
    "heads above their sum": (_set("edges", "share", 0.06, kind="attn", head=-1), "are heads whose shares sum to more"),
    "stored share": (_set("nodes", "stored_share", 0.5, pos=0, layer=-1), "a stored_share that is not the sum"),
    "reach per head": (_set("nodes", "reach_summed", 0.01, reach_per_head=1.0), "are reached further per head"),
    "edge into nothing": (_copy("edges", kind="resid_mlp", dst=0, src=0, layer=2), "go into a node that is not stored"),
    "edge from nothing": (_drop_source, "come from a node that is not stored"),
    "attention of no head": (_set("edges", "attention", 0.5, head=-1), "have an attention weight though"),
    "lens of nothing": (_copy("lens", layer=-1, prev_rank=None, point="mid"), "are of a node that is not stored"),
    "lens rank gap": (_set("lens", "rank", 9, rank=3), "lens/part-00000.parquet: 1 rows are of a node whose ranks"),
    "write rank gap": (_set("writes", "rank", 9, rank=2), "are of a component whose ranks"),
    "prev_rank": (_set("lens", "prev_rank", None, layer=1), "have a prev_rank at the embedding"),
    "foil in part": (_set("targets", "foil_prob", None, prompt_id=0, answer_from="dataset"), "have only some of foil_id"),
    "foil of a node": (_set("nodes", "foil_rank", 1, foil_rank=None), "have an answer or a foil where"),
    "answer of a node": (_set("nodes", "answer_rank", None, answer_rank=2), "have an answer or a foil where"),
    "foil of an effect": (_set("logit_effects", "effect_foil", 1.0, effect_foil=None), "disagree with it on whether"),
    "effect of no target": (_set("logit_effects", "target", 0), "are of no target"),
    "map above 1": (_set("maps", "share", 0.999, prompt_id=0, dst=2), "are of a query whose shares sum to more than 1"),
    "attends above 1": (_too_attentive, "are of a head that attends by more than 1 in all"),
    "map and edge": (_set_map_of_an_edge, "disagree with the head's edge"),
    "likeliest answer": (_set("answers", "explained", False, number=2), "are of a prompt without a likeliest one"),
    "another answer": (_set("answers", "token_ids", [5], number=2), "are of a prompt without a likeliest one"),
    "given more": (_continued(n_given=9), "say that more was given than the prompt has"),
    "token unexplained": (_continued(n_given=1), "or that a token was written at a position that is no target"),
    "targets": (_drop("targets", prompt_id=0), "disagrees with their lists"),
    "n_tokens": (_set("prompts", "n_tokens", 30), "have a number of tokens or targets"),
    "after the end": (_set("neurons", "pos", 12), "neurons/part-00000.parquet: 1 rows have a pos after the prompt's end"),
    "unknown token": (_set("lens", "token_id", 999), "lens mentions 1 token ids that model/vocab.parquet lacks"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_rows_that_disagree_are_found(tmp_path: Path, name: str) -> None:
    change, message = BROKEN[name]
    plan = plan_of(tmp_path, Dataset(8))
    rows = {table: content.to_pylist() for table, content in tables_of(list(Dataset(8).rows())).items()}
    change(rows)
    write_shard(tmp_path, 0, {table: table_of(table, rows[table]) for table in TABLES}, info_of(plan, 0))
    finish(tmp_path, plan)
    problems = check(tmp_path)
    assert any(message in line for line in problems), problems
    assert all("\n" not in line for line in problems)


def test_parallel_blocks_have_their_edges_in_one_node(tmp_path: Path) -> None:
    """In a parallel block attn, mlp and resid_attn all go into post, from the block below's post."""
    plan = plan_of(tmp_path, Dataset(1))
    rows = {table: content.to_pylist() for table, content in tables_of(list(Dataset(1).rows())).items()}
    node = rows["nodes"][0]
    keep = {"prompt_id": 0, "dst": 1, "src": 1, "head": -1, "attention": None}
    rows["edges"] = [keep | {"layer": 0, "kind": k, "share": s} for k, s in [("attn", 0.5), ("mlp", 0.25)]]
    rows["edges"].append(keep | {"layer": 0, "kind": "resid_attn", "share": 0.25})
    columns = [(layer, position) for layer in (-1, 0) for position in rows["prompts"][0]["targets"]]
    known = [n for n in rows["nodes"] if n["point"] == "post" and (n["layer"], n["pos"]) in columns]
    rows["nodes"] = [n | {"stored_share": 1.0 if n["layer"] == 0 and n["pos"] == 1 else 0.0} for n in known]
    rows["lens"] = [row for row in rows["lens"] if row["point"] == "post" and (row["layer"], row["pos"]) in columns]
    rows["components"] = [row for row in rows["components"] if row["component"] != "resid_mlp"]
    assert node["point"] in ("mid", "post")
    write_shard(tmp_path, 0, {table: table_of(table, rows[table]) for table in TABLES}, info_of(plan, 0))
    assert [line for line in check(tmp_path) if "manifest" not in line] == []
    rows["edges"][0]["share"] = 0.6
    write_shard(tmp_path, 0, {table: table_of(table, rows[table]) for table in TABLES}, info_of(plan, 0))
    assert any("sum to more than 1" in line for line in check(tmp_path))


@pytest.mark.parametrize("table", ["nodes", "lens", "edges", "components"])
def test_a_parallel_run_has_no_node_between_attention_and_mlp(run_dir: Path, table: str) -> None:
    path = run_dir / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["model"] |= {"parallel": True}
    path.write_text(json.dumps(manifest))
    words = "are between attention and MLP of" if table in ("nodes", "lens") else "pass only the MLP of"
    assert any(line.startswith(table) and f"{words} a parallel block" in line for line in check(run_dir))


def test_every_rule_can_fail() -> None:
    """Each rule's words are expected by some case above, so that none is there in vain."""
    generic = ("are there twice", "belong to no prompt", "after the prompt's end")
    messages = [message for _, message in BROKEN.values()]
    for rule in shard_rules():
        if not any(words in rule.wrong for words in generic):
            assert any(message.partition("rows ")[2] in rule.wrong or message in rule.wrong for message in messages)


def test_plan_is_read_before_anything_else(run_dir: Path) -> None:
    assert read_plan(run_dir).n_rows == 16
