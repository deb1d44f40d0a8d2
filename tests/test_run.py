"""`flowatlas run` from outside: what it writes, what it rejects, what it refuses, and that sharding changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from flowatlas import site as site_module
from flowatlas.check import check
from flowatlas.checkpoints import locate
from flowatlas.config import Config, DatasetConfig, ModelConfig, as_dict, identity
from flowatlas.files import hash_json
from flowatlas.manifest import read_manifest
from flowatlas.schema import SCHEMA_VERSION, TABLES
from flowatlas.site import build_site
from runs import Done, Runs, hashes, write_prompts
from synthetic import rows_of

KEYS = {  # what tells the rows of a table apart
    "prompts": ["prompt_id"],
    "targets": ["prompt_id", "target"],
    "nodes": ["prompt_id", "layer", "point", "pos"],
    "edges": ["prompt_id", "layer", "kind", "dst", "src", "head"],
    "components": ["prompt_id", "layer", "component", "index"],
    "neurons": ["prompt_id", "layer", "pos", "neuron"],
    "lens": ["prompt_id", "layer", "point", "pos", "raw", "rank"],
    "writes": ["prompt_id", "layer", "component", "index", "pos", "sign", "rank"],
    "logit_effects": ["prompt_id", "target", "layer", "component", "index"],
    "neuron_effects": ["prompt_id", "layer", "expert", "neuron"],
    "dominant_neurons": ["prompt_id", "target", "layer", "rank"],
    "rejects": ["prompt_id"],
}


# -- what is written ---------------------------------------------------------------------------------------------------


def test_real_run_passes_the_audit_and_becomes_a_site(
    run: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("routes.targets=all", "lens.raw=true", "run.shard_size=4")
    assert (done.code, done.err) == (0, "")
    run_dir = tmp_path / "run"
    assert check(run_dir) == []
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "index.html").write_text("<!doctype html>")
    monkeypatch.setattr(site_module, "explorer_dir", lambda: tmp_path / "dist")
    build_site([run_dir], tmp_path / "site")
    folder = tmp_path / "site" / "data" / "run"
    index = json.loads((folder / "index.json").read_text())
    assert (index["n_layers"], index["n_heads"], index["targets"], index["complete"]) == (3, 4, "all", True)
    for name in ("prompts", "targets", "nodes", "edges", "lens", "logit_effects"):
        bucket = pq.ParquetFile(folder / name / "bucket-0.parquet").read()
        expected = rows_of(run_dir, name)
        expected = expected.filter(pc.less(expected["prompt_id"], index["bucket_size"]))  # pyright: ignore
        assert bucket.num_rows > 0
        assert bucket.equals(expected), name
    assert set(rows_of(run_dir, "lens")["raw"].to_pylist()) == {False, True}


def test_manifest_says_what_the_run_was(run: Callable[..., Done], tmp_path: Path, models: dict[str, Path]) -> None:
    run("run.shard_size=4", "routes.floor=0.02", "writes.top_k=3")
    manifest = read_manifest(tmp_path / "run")
    config = Config(ModelConfig(str(models["gpt2"])), DatasetConfig(path="prompts.jsonl"))
    config.run.dir, config.run.shard_size, config.routes.floor, config.writes.top_k = "run", 4, 0.02, 3
    assert manifest["config"] == as_dict(config)
    config.run.batch_tokens = manifest["batch_tokens"]
    expected = {**identity(config), "tokenizer": locate(config.model).tokenizer_hash()}
    assert manifest["identity"] == expected
    assert manifest["config_hash"] == hash_json(expected)
    assert manifest["schema_version"] == SCHEMA_VERSION
    assert len(manifest["weights_hash"]) == 64
    assert (manifest["dataset"]["name"], manifest["dataset"]["rows"]) == ("prompts", 10)
    assert [len(h) for h in manifest["dataset"]["shard_hashes"]] == [64] * 3
    assert {"flowatlas", "torch", "transformers", "transformer_lens", "pyarrow", "python"} <= manifest[
        "versions"
    ].keys()
    assert [(s["first_row"], s["n_rows"], s["n_prompts"]) for s in manifest["shards"]] == [
        (0, 4, 4),
        (4, 4, 4),
        (8, 2, 2),
    ]
    written = hashes(tmp_path / "run")
    for shard in manifest["shards"]:
        for table, entry in shard["tables"].items():
            part = f"{table}/part-{shard['shard']:05d}.parquet"
            assert entry["sha256"] == written[part]
            assert entry["rows"] == pq.read_metadata(tmp_path / "run" / part).num_rows
    assert {"forward", "walk", "lens", "load"} <= manifest["seconds"].keys()
    assert manifest["guard"].keys() == {"logits", "pattern", "attention_sum", "neuron_sum", "mlp_sum"}
    assert all(0 <= error < 1e-4 for error in manifest["guard"].values())
    assert manifest["model"]["name"] == str(models["gpt2"])
    assert (manifest["model"]["n_layers"], manifest["model"]["n_heads"], manifest["model"]["d_model"]) == (3, 4, 32)


def in_order(table: pa.Table, keys: list[str]) -> pa.Table:
    """Sorted by `keys`, categories as strings (Arrow does not sort them otherwise)."""
    plain = [
        pa.field(field.name, pa.string() if pa.types.is_dictionary(field.type) else field.type)
        for field in table.schema
    ]
    return table.cast(pa.schema(plain)).sort_by([(key, "ascending") for key in keys])


def assert_close(run_dir: Path, other: Path) -> None:
    """Equal rows in all tables: ids and ranks exactly, numbers to 1e-5 of their column's size."""
    for name, keys in KEYS.items():
        ours, theirs = (in_order(rows_of(path, name), keys) for path in (run_dir, other))
        assert ours.num_rows == theirs.num_rows, name
        for field in ours.schema:
            a, b = ours[field.name], theirs[field.name]
            if pa.types.is_floating(field.type):
                a, b = a.to_numpy(), b.to_numpy()
                np.testing.assert_allclose(
                    a, b, 0, 1e-5 * np.nanmax(np.abs(b), initial=1), err_msg=f"{name}.{field.name}"
                )
            else:
                assert a.equals(b), f"{name}.{field.name}"


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_sharding_and_batches_change_nothing(
    run: Callable[..., Done], tmp_path: Path, models: dict[str, Path], family: str
) -> None:
    # in float64 no share is so near the floor, and no two logits so near each other, that rounding decides
    model = [f"model={models[family]}", "model.dtype=float64", "routes.targets=[1,-1]"]
    assert run(*model, "run.dir=one", "run.shard_size=100", "run.batch_tokens=4096").code == 0
    assert run(*model, "run.dir=many", "run.shard_size=3", "run.batch_tokens=16").code == 0
    assert len(list((tmp_path / "many" / "edges").iterdir())) == 4
    assert_close(tmp_path / "many", tmp_path / "one")


def test_float32_agrees_across_batches_up_to_shares_at_the_floor(run: Callable[..., Done], tmp_path: Path) -> None:
    run("run.dir=one", "run.batch_tokens=4096")
    run("run.dir=many", "run.batch_tokens=1")
    found = []
    for name in ("one", "many"):
        rows = rows_of(tmp_path / name, "edges").to_pylist()
        found.append({tuple(row[key] for key in KEYS["edges"]): row["share"] for row in rows})
    one, many = found
    assert len(one) > 500
    assert all(abs(one[key] - many[key]) < 1e-5 for key in one.keys() & many.keys())
    only = [share for key, share in (one | many).items() if key not in one or key not in many]
    assert not only or min(abs(share - 0.01) for share in only) < 1e-5, "others follow from one at the floor"


# -- hostile text ------------------------------------------------------------------------------------------------------


def test_hostile_text_goes_through_unchanged(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    from small_tokenizers import byte_level

    tokenizer = byte_level()
    tokenizer.add_tokens(["long" * 50])  # 20,000 characters in 100 tokens
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=128)
    config.bos_token_id = config.eos_token_id = 0
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    texts = [
        "<script>alert('x')</script>",
        "\"quotes\" 'and' `ticks` \\ ${run.dir} %s {0}",
        "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 e\u0301",
        "\u05e9\u05dc\u05d5\u05dd \u202eabc\u202c \u0645\u0631\u062d\u0628\u0627",
        "nul \x00 bell \x07 escape \x1b[31m delete \x7f\r\n\ttab \u2028",
        "<|endoftext|> </s> [PAD]",
        "' OR 1=1; DROP TABLE prompts; --",
        "long" * 5000,
    ]
    hostile = [{"id": t[:30], "text": t, "group": t[:30], "pair_id": t[:30], "answer": t[:9], "note": t} for t in texts]
    hostile.append({"text": "x" * 20_000})
    (tmp_path / "hostile.jsonl").write_text("\n".join(map(json.dumps, hostile)))
    done = runs("run", "model=model", "dataset=hostile.jsonl", "run.dir=run", "routes.floor=0.05", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "8 prompts, 1 rejected (too_long 1)" in done.out
    prompts = rows_of(tmp_path / "run", "prompts").to_pylist()
    assert [row["text"] for row in prompts] == texts
    assert [row["group"] for row in prompts] == [text[:30] for text in texts]
    assert [json.loads(row["extra"])["note"] for row in prompts] == texts
    assert check(tmp_path / "run") == []
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "index.html").touch()
    monkeypatch.setattr(site_module, "explorer_dir", lambda: tmp_path / "dist")
    build_site([tmp_path / "run"], tmp_path / "site")
    slim = pq.read_table(tmp_path / "site" / "data" / "run" / "prompts-0.parquet")
    assert slim["source_id"].to_pylist() == [text[:30] for text in texts]


# -- the cache of the model's neurons ----------------------------------------------------------------------------------


def test_neurons_are_looked_up_once_per_model(run: Callable[..., Done], tmp_path: Path) -> None:
    here = {"FLOWATLAS_CACHE": str(tmp_path / "cache")}
    assert "compute" in run("run.dir=first", env=here).moments
    (cache,) = (tmp_path / "cache").rglob("*.parquet")
    before = cache.stat().st_mtime_ns
    write_prompts(tmp_path / "fewer.jsonl", 4, first=2)
    assert "compute" not in run("run.dir=second", "dataset=fewer.jsonl", env=here).moments
    assert cache.stat().st_mtime_ns == before
    cache.write_bytes(cache.read_bytes()[:-100])
    again = run("run.dir=third", env=here)
    assert (again.code, again.err) == (0, "")
    assert "compute" in again.moments
    assert hashes(tmp_path / "third" / "model") == hashes(tmp_path / "first" / "model")
    assert check(tmp_path / "second") == []


def test_neurons_of_a_layer_keep_their_values_whatever_the_cache_held(run: Callable[..., Done], tmp_path: Path) -> None:
    here = {"FLOWATLAS_CACHE": str(tmp_path / "cache")}
    run("run.dir=whole", env={"FLOWATLAS_CACHE": str(tmp_path / "other")})
    run("run.dir=part", "run.limit=3", env=here)
    run("run.dir=rest", env=here)
    assert hashes(tmp_path / "rest" / "model") == hashes(tmp_path / "whole" / "model")


def test_a_cache_that_cannot_be_written_is_done_without(run: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(env={"FLOWATLAS_CACHE": str(tmp_path / "file")})
    assert (done.code, done.err) == (0, "")
    assert check(tmp_path / "run") == []


def test_a_run_folder_may_have_any_name(run: Callable[..., Done], tmp_path: Path) -> None:
    name = "a [b] * ? \u00fc"
    assert run(f"run.dir='{name}'").code == 0
    assert check(tmp_path / name) == []
    assert set(TABLES) <= {path.name for path in (tmp_path / name).iterdir()}
