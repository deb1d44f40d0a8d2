"""Wrong input: bad rows are rejected and counted; what cannot run at all is one line and leaves nothing behind."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from flowatlas.check import check
from runs import Done, hashes, one_line, write_prompts
from synthetic import rows_of

# -- rejects -----------------------------------------------------------------------------------------------------------


def test_bad_rows_are_counted_and_the_others_processed(run: Callable[..., Done], tmp_path: Path) -> None:
    rows: list[dict] = [
        {"id": "good", "text": "w1 w2 w3"},
        {"id": "long", "text": " ".join(["w1"] * 5000)},
        {"id": "empty", "text": ""},
        {"id": "target", "text": "w1 w2", "targets": [99]},
        {"id": "list", "text": "w1 w2", "targets": "here"},
        {"id": "also good", "text": "w4 w5", "targets": [0, -1]},
    ]
    lines = [json.dumps(row).encode() for row in rows]
    lines[5:5] = [b'{"id": "bytes", "text": "\xff\xfe"}', b"{no json"]
    (tmp_path / "prompts.jsonl").write_bytes(b"\n".join(lines))
    done = run("run.shard_size=3")
    assert (done.code, done.err) == (0, "")
    assert "2 prompts, 6 rejected (" in done.out
    expected = {1: "too_long", 2: "no_text", 3: "target_out_of_range", 4: "bad_targets", 5: "not_utf8", 6: "bad_json"}
    for reason in expected.values():
        assert f"{reason} 1" in done.out
    rejects = rows_of(tmp_path / "run", "rejects").to_pylist()
    assert {row["prompt_id"]: row["reason"] for row in rejects} == expected
    assert [row["source_id"] for row in rejects] == ["long", "empty", "target", "list", "5", "6"]
    assert "5001 tokens, the model takes 64" in rejects[0]["detail"]
    prompts = rows_of(tmp_path / "run", "prompts").to_pylist()
    assert [(row["prompt_id"], row["source_id"], row["targets"]) for row in prompts] == [
        (0, "good", [3]),
        (7, "also good", [0, 2]),
    ]
    assert check(tmp_path / "run") == []


def test_no_good_row_is_an_error_before_weights_load(run: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"text": ""}\n' + json.dumps({"text": "w1 " * 5000}))
    done = run()
    assert done.code == 2
    assert one_line(done.err)
    assert "none of its 2 rows can be processed (no_text 1, too_long 1)" in done.err
    assert "load" not in done.moments
    assert not (tmp_path / "run").exists()


def test_tokens_beyond_the_models_vocabulary_are_rejects(
    run: Callable[..., Done], tmp_path: Path, models: dict[str, Path]
) -> None:
    """As where a tokenizer was given more tokens than the model."""
    folder = shutil.copytree(models["llama"], tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        weights[name] = weights[name][:300].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    change_config(folder, vocab_size=300)
    rows = [{"text": "w1 w2"}, {"text": "w1 w450"}, {"text": "w1 w2", "answer": "w450"}, {"text": "w3", "foil": "w9"}]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = run(f"model={folder}")
    assert (done.code, done.err) == (0, "")
    assert "2 prompts, 2 rejected (unknown_token 2)" in done.out


# -- what is refused ---------------------------------------------------------------------------------------------------


def change_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def bert(folder: Path) -> None:
    change_config(folder, model_type="bert")


def mamba(folder: Path) -> None:
    change_config(folder, model_type="mamba")


def made_up(folder: Path) -> None:
    change_config(folder, model_type="made_up")


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def damaged_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def pickled_weights(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def missing_tensor(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.h.1.mlp.c_fc.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def truncated(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def other_shape(folder: Path) -> None:
    change_config(folder, n_inner=100)


def no_positions(folder: Path) -> None:
    change_config(folder, n_positions=None)


def odd_heads(folder: Path) -> None:
    change_config(folder, n_head=5)


def not_finite(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["transformer.wpe.weight"][2] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (bert, "family bert is not supported: it does not predict"),
        (mamba, "family mamba is not supported: its layers keep a recurrent state"),
        (made_up, "family made_up is not supported; supported: gpt2"),
        (no_config, "no config.json"),
        (damaged_config, "config.json cannot be read"),
        (no_weights, "no weights"),
        (pickled_weights, "pickled weights are not read"),
        (missing_tensor, "transformer.h.1.mlp.c_fc.weight"),
        (truncated, "is the download complete?"),
        (other_shape, "do not fit its config (transformer.h.0.mlp.c_fc.bias"),
        (not_finite, "NaN or infinity, first at layer "),
        (no_tokenizer, "tokenizer.json there"),
        (no_positions, "config.json cannot be read"),
        (odd_heads, "do not go together"),
    ],
)
def test_a_model_that_will_not_do_is_one_line_and_leaves_nothing(
    run: Callable[..., Done], tmp_path: Path, models: dict[str, Path], spoil: Callable[[Path], None], message: str
) -> None:
    spoil(shutil.copytree(models["gpt2"], tmp_path / "spoilt"))
    done = run("model=spoilt")
    assert done.code == 2
    assert one_line(done.err)
    assert "model spoilt" in done.err
    assert message in done.err
    assert not (tmp_path / "run").exists()


def test_a_mended_model_runs_in_the_same_folder(
    run: Callable[..., Done], tmp_path: Path, models: dict[str, Path]
) -> None:
    missing_tensor(shutil.copytree(models["gpt2"], tmp_path / "model"))
    assert run("model=./model").code == 2
    shutil.copy(models["gpt2"] / "model.safetensors", tmp_path / "model")
    assert run("model=./model").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model=./nowhere"], "no such folder"),
        (
            ["model=nobody/nothing"],
            "model nobody/nothing: no such folder, and the hub may not be asked (HF_HUB_OFFLINE is set)",
        ),
        (["model=prompts.jsonl"], "is a file"),
        (["dataset=nowhere.jsonl"], "no such file"),
        (["dataset=empty.txt"], "it is empty"),
        (["dataset=blank.txt"], "it is empty"),
        (["dataset=notes.doc"], "unknown type .doc"),
        (["dataset=folder"], "it is a folder"),
        (["dataset.columns.text=prompt"], "no column 'prompt' (dataset.columns.text)"),
        (["dataset.columns.group=kind"], "no column 'kind' (dataset.columns.group)"),
        (["routes.floor=0"], "routes.floor=0"),
        (["routes.floor=1"], "routes.floor=1"),
        (["routes.floor=some"], "routes.floor"),
        (["routes.flor=0.1"], "unknown key routes.flor: did you mean routes.floor?"),
        (["routes.targets=[99]"], "target_out_of_range 10"),
        (["model.device=cuda:77"], "model.device=cuda:77"),
        (["run.dir=notes.doc"], "cannot be a run folder"),
        (["run.dir=notes.doc/below"], "cannot be a run folder"),
        (["run.dir=folder"], "is not empty and holds no run"),
    ],
)
def test_wrong_input_is_one_line_before_weights_load(
    run: Callable[..., Done], tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "blank.txt").write_text("\n \n")
    (tmp_path / "notes.doc").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("mine")
    before = hashes(tmp_path, "*")
    done = run(*arguments)
    assert done.code == 2
    assert one_line(done.err)
    assert message in done.err
    assert "load" not in done.moments
    assert not (tmp_path / "run").exists()
    assert hashes(tmp_path, "*") == before


def test_a_process_of_its_own_says_no_more_than_the_one_line(tmp_path: Path, models: dict[str, Path]) -> None:
    """transformers would add a report of many lines."""
    missing_tensor(shutil.copytree(models["gpt2"], tmp_path / "model"))
    write_prompts(tmp_path / "prompts.jsonl", 2)
    command = [sys.executable, "-m", "flowatlas.cli", "run", "model=./model", "dataset=prompts.jsonl", "run.dir=run"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert one_line(ended.stderr)
    assert ended.stdout == ""
