"""`flowatlas intervene`: what is stored is what another way of computing says, and goes on where it stopped."""

import json
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import flowatlas
from flowatlas import edit_lists, intervene, intervene_prompt, intervention_store, interventions
from flowatlas.check import check
from flowatlas.cli import main
from flowatlas.component_names import parse
from flowatlas.edits import parse as parse_edit
from flowatlas.errors import ConfigError, RunError
from flowatlas.files import remove
from flowatlas.schema_interventions import INTERVENTION_TABLES
from flowatlas.site import Wanted, build_site
from flowatlas.site_check import check_site
from flowatlas.site_data import RunReader
from runs import hashes, one_line
from sites import flipped, read, small_explorer
from weight_edits import hugging_face, logits, take_away

EDITS = ("L1H2=off", "L0 MLP=off", "L2N11=off")
YAML = """
- name: Two at once
  note: a head and a neuron
  edits: [L1H2=off, {component: L2N11, action: off}]
- name: a mean
  edits: [L0H0=mean]
"""


@pytest.fixture(scope="module")
def made(runs, models, tmp_path_factory):
    """A run of the tiny GPT-2 over prompts in two groups, some with answer and foil."""
    folder = tmp_path_factory.mktemp("intervene")
    texts = ["w5 w91 w23", "w91 w23 w91 w23 w91", "w300", "w23 w5 w300 w5", "w5"]
    rows = [{"text": text, "group": "ab"[i % 2]} for i, text in enumerate(texts)]
    rows[0] |= {"answer": "w7", "foil": "w8"}
    rows[3] |= {"answer": "w23", "foil": "w5"}
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = runs(
        "run", f"model={models['gpt2']}", "dataset=prompts.jsonl", "run.dir=run", "run.shard_size=2", cwd=folder
    )
    assert done.code == 0, done.err
    return folder / "run"


@pytest.fixture(scope="module")
def stored(made):
    assert main(["intervene", str(made), *EDITS, "--name", "three off", "--generate", "4"]) == 0
    return made / "interventions" / "three-off"


def rows(folder: Path, table: str) -> list[dict]:
    """Of all shards, or of the one file that there is."""
    path = folder / table
    return pq.read_table(path if path.is_dir() else path.with_suffix(".parquet")).to_pylist()


def test_predictions_are_hugging_faces_before_and_after(made, stored, models):
    """Log probabilities, ranks and divergence of every prompt, from weights that are taken away in Hugging Face's model."""
    plain, edited = hugging_face(models["gpt2"]), hugging_face(models["gpt2"])
    for name in ("L1H2", "L0 MLP", "L2N11"):
        take_away(edited, parse(name), 4)
    prompts = {row["prompt_id"]: row for row in pq.read_table(made / "prompts").to_pylist()}
    found = rows(stored, "predictions")
    assert [row["prompt_id"] for row in found] == [0, 1, 2, 3, 4]
    for row in found:
        ids = tuple(prompts[row["prompt_id"]]["token_ids"])
        before, after = (logits(hf, ids)[-1].double().log_softmax(-1) for hf in (plain, edited))
        for side, expected in (("before", before), ("after", after)):
            assert row[f"predicted_id_{side}"] == int(expected.argmax())
            assert row[f"predicted_prob_{side}"] == pytest.approx(float(expected.max().exp()), abs=1e-5)
            for name in ("answer", "foil") if row["foil_id"] is not None else ("answer",):
                token = row[f"{name}_id"]
                logit = logits(plain if side == "before" else edited, ids)[-1, token]
                assert row[f"{name}_logit_{side}"] == pytest.approx(float(logit), abs=1e-4)
                assert row[f"{name}_logprob_{side}"] == pytest.approx(float(expected[token]), abs=1e-4)
                assert row[f"{name}_rank_{side}"] == 1 + int((expected > expected[token]).sum())
        assert row["kl"] == pytest.approx(float((before.exp() * (before - after)).sum()), abs=1e-4)
        assert row["n_edits"] == 3
    assert [row["foil_id"] is None for row in found] == [False, True, True, False, True]
    assert [row["answer_from"] == "dataset" for row in found] == [row["foil_id"] is not None for row in found]
    assert max(row["kl"] for row in found) > 1e-3


def test_the_lens_before_is_the_runs_and_ends_at_the_prediction(made, stored):
    stored_nodes = {
        (row["prompt_id"], row["layer"], row["point"], row["pos"]): row
        for row in pq.read_table(made / "nodes").to_pylist()
    }
    predictions = {row["prompt_id"]: row for row in rows(stored, "predictions")}
    course = rows(stored, "course")
    assert len(course) == 5 * 2 * 7  # five prompts, two sides, an embedding and two nodes of each layer
    for row in course:
        prediction = predictions[row["prompt_id"]]
        node = stored_nodes[row["prompt_id"], row["layer"], row["point"], prediction["target"]]
        if row["side"] == "before":
            assert row["answer_rank"] == node["answer_rank"]
            assert row["entropy"] == pytest.approx(node["entropy"], abs=1e-4)
        if (row["layer"], row["point"]) == (2, "post"):
            assert row["answer_prob"] == pytest.approx(math.exp(prediction[f"answer_logprob_{row['side']}"]), abs=1e-5)
    tops = [row for row in rows(stored, "lens") if (row["layer"], row["point"], row["rank"]) == (2, "post", 1)]
    assert len(tops) == 10
    for row in tops:
        assert row["token_id"] == predictions[row["prompt_id"]][f"predicted_id_{row['side']}"]


def test_what_is_generated_begins_with_the_prediction(made, stored):
    texts = dict(
        zip(
            *(pq.read_table(made / "model/vocab.parquet")[name].to_pylist() for name in ("token_id", "token")),
            strict=True,
        )
    )
    predictions = {row["prompt_id"]: row for row in rows(stored, "predictions")}
    found = rows(stored, "continuations")
    assert len(found) == 5
    for row in found:
        of = predictions[row["prompt_id"]]
        for side in ("before", "after"):
            assert row[f"text_{side}"].lstrip().startswith(texts[of[f"predicted_id_{side}"]].strip())
        assert (row["n_same"] == 0) == (of["predicted_id_before"] != of["predicted_id_after"])


def test_summary_and_largest_are_of_the_predictions(stored):
    predictions = rows(stored, "predictions")
    summary = {(row["group"], row["measure"]): row for row in rows(stored, "summary")}
    for group in (None, "a", "b"):
        some = [row for row in predictions if group in (None, row["group"])]
        changes = [row["answer_logprob_after"] - row["answer_logprob_before"] for row in some]
        found = summary[group, "answer_logprob"]
        assert found["n"] == len(some)
        assert found["change"] == pytest.approx(sum(changes) / len(some), abs=1e-5)
        assert found["change_low"] <= found["change"] <= found["change_high"]
        assert summary[group, "kl"]["change"] == pytest.approx(sum(row["kl"] for row in some) / len(some), abs=1e-6)
        own = [row for row in some if row["answer_from"] == "dataset"]  # another answer is right by definition
        right = [sum(row[f"answer_rank_{side}"] == 1 for row in own) / len(own) for side in ("before", "after")]
        assert [summary[group, "accuracy"][side] for side in ("before", "after")] == pytest.approx(right)
        assert summary[group, "accuracy"]["n"] == len(own)
    assert [summary[None, measure]["n"] for measure in ("accuracy", "gap", "foil_logit", "answer_logit")] == [
        2,
        2,
        2,
        5,
    ]
    largest = [row for row in rows(stored, "largest") if row["group"] is None and row["measure"] == "answer_logprob"]
    changes = {row["prompt_id"]: row["answer_logprob_after"] - row["answer_logprob_before"] for row in predictions}
    assert [row["prompt_id"] for row in largest] == sorted(changes, key=lambda id_: -abs(changes[id_]))


def test_a_file_of_interventions_and_means(made, tmp_path, capsys):
    (tmp_path / "list.yaml").write_text(YAML)
    assert main(["intervene", str(made), "--list", str(tmp_path / "list.yaml")]) == 0
    out = capsys.readouterr().out
    assert "Two at once (L1H2=off, L2N11=off): 5 prompts" in out
    assert "a mean (L0H0=mean): 5 prompts" in out
    marker = json.loads((made / "interventions" / "two-at-once" / "intervention.json").read_text())
    assert (marker["note"], marker["components"]) == ("a head and a neuron", ["L1H2", "L2N11"])
    assert max(row["kl"] for row in rows(made / "interventions" / "a-mean", "predictions")) > 1e-6
    assert check(made) == []  # they are no stray files


def test_it_goes_on_where_it_was_and_does_nothing_twice(made, monkeypatch):
    intervention = edit_lists.of_words(["L2H1=off"], "stopped")
    session, done = intervene.Session(made), []
    real = intervene._rows

    def stop_at_the_second(*args):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(args)
        return real(*args)

    monkeypatch.setattr(intervene, "_rows", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        intervene.make(session, intervention)
    assert not (made / "interventions" / "stopped").exists()
    later = []
    monkeypatch.setattr(intervene, "_rows", lambda *args: later.append(args) or real(*args))
    interrupted = intervene.make(session, intervention)
    assert len(later) == len(session.reader.shards) - 1
    tables = {name: rows(interrupted.folder, name) for name in INTERVENTION_TABLES}
    again = intervene.make(session, intervention)
    assert len(later) == len(session.reader.shards) - 1
    assert again.marker == interrupted.marker
    monkeypatch.setattr(intervention_store, "VERSION", 2)
    anew = intervene.make(session, intervention)
    assert {name: rows(anew.folder, name) for name in INTERVENTION_TABLES} == tables
    assert not list((made / "interventions").glob(".*"))
    remove(anew.folder)  # it is of another version than what the other tests see


def test_what_it_is_called_is_what_was_said_last(made, tmp_path):
    """A name of the same letters and another note are written down; nothing is computed for them."""
    session = intervene.Session(made)
    first = intervene.make(session, edit_lists.Intervention("Words", (parse_edit("L0H3=off"),), "one"))
    again = intervene.make(session, edit_lists.Intervention("words", (parse_edit("L0H3=off"),), "two"))
    assert (again.marker["name"], again.marker["note"]) == ("words", "two")
    assert intervention_store.open_folder(first.folder) == again
    assert again.marker["seconds"] == first.marker["seconds"]


def test_what_is_damaged_is_found_and_made_anew(made):
    (done,) = intervene_all(made, ["L1H3=off"])
    path = done.folder / "course" / "part-00001.parquet"
    data = bytearray(path.read_bytes())
    path.write_bytes(bytes([*data[:-20], data[-20] ^ 1, *data[-19:]]))
    place = f"interventions/{done.folder.name}"
    assert check(made) == [
        f"{place}/course/part-00001.parquet is not the file that was written: remove {place} and do it again"
    ]
    path.write_bytes(data[:-1])
    assert check(made) == [
        f"{place} is damaged, or of other shards than the run has now: `flowatlas intervene` makes it anew"
    ]
    assert intervene_all(made, ["L1H3=off"])[0].marker["files"] == done.marker["files"]
    assert check(made) == []


def intervene_all(run: Path, edits: list[str]) -> list[intervention_store.Stored]:
    return [intervene.make(intervene.Session(run), edit_lists.of_words(edits))]


def test_a_run_opened_in_python_has_all_of_them(made, stored):
    with flowatlas.open(made) as run:
        found = run.sql("SELECT * FROM interventions.predictions WHERE intervention = 'three-off'").arrow()
        assert found.read_all().to_pylist() == rows(stored, "predictions")
        assert len(run.table("interventions.summary").fetchall()) > 16


def test_one_prompt_at_the_terminal(made, models, capsys):
    args = ["L1H2=off@-1", "--prompt", "w5 w91 w23", "--answer", "w7", "--generate", "3"]
    assert main(["intervene", str(made), *args]) == 0
    of_run = capsys.readouterr().out
    assert main(["intervene", str(made), *args[1:], args[0]]) == 0  # in whatever order
    assert capsys.readouterr().out == of_run
    assert main(["intervene", f"model={models['gpt2']}", *args]) == 0
    assert capsys.readouterr().out == of_run
    assert "edits: L1H2=off@-1" in of_run
    assert of_run.count(" rank ") == 1 + 2 * 7
    assert "continued after: " in of_run


def test_a_neuron_that_is_on_says_with_how_much(made, models, capsys):
    """The largest |activation| x norm of its layer at the last token, and LM-Debugger's margin, from Hugging Face's model."""
    hf, seen = hugging_face(models["gpt2"]), []
    mlp = hf.transformer.h[2].mlp
    mlp.c_proj.register_forward_pre_hook(lambda module, given: seen.append(given[0][0, -1]))
    reader = RunReader(made)
    logits(hf, tuple(next(intervene.asked(reader, 0)).token_ids))
    on = float((seen[0].detach().abs() * mlp.c_proj.weight.norm(dim=1)).max()) + 0.01
    assert main(["intervene", str(made), "L2N11=on", "L0H0=off", "--prompt", "w5 w91 w23"]) == 0
    assert f"edits: L2N11=on (activation {on:.4g}), L0H0=off\n" in capsys.readouterr().out


def test_a_long_prompt_is_cut_between_its_tokens():
    lines = intervene_prompt._prompt([" a b"] * 300)
    assert lines[0].startswith("... 100:' a b' 101:' a b'")
    assert max(map(len, lines)) <= 120
    assert all(line.endswith("' a b'") for line in lines)


def test_a_name_keeps_what_it_has_unless_it_is_told_to_give_it_up(made, capsys):
    command = ["intervene", str(made), "--name", "Kept (1)"]
    folder = intervene.make(intervene.Session(made), edit_lists.of_words(["L0H2=off"], "Kept (1)")).folder
    before = hashes(folder)
    assert main([*command[:3], "kept 1", "L0H1=off"]) == 2
    err = capsys.readouterr().err
    assert one_line(err)
    assert "holds 'Kept (1)' with other edits (L0H2=off)" in err
    assert hashes(folder) == before
    assert main([*command, "L0H1=off", "--replace"]) == 0
    assert json.loads((folder / "intervention.json").read_text())["edits"] == ["L0H1=off"]


def test_edits_without_a_name_lie_apart_by_sign_position_and_digit(made):
    of = [["L0N1=-3"], ["L0N1=3"], ["L0H1=off@1"], ["L0H1=off@-1"], ["L0N1=0.5"], ["L0N1=0@5"], ["L0N1=1.2345678"]]
    folders = [edit_lists.of_words(words).folder for words in [*of, ["L0N1=1.2345679"]]]
    assert len(set(folders)) == len(folders)
    assert edit_lists.of_words(["L1H2=off"]).folder == "l1h2-off"


def test_numbers_that_overflow_are_refused(made, capsys, monkeypatch):
    monkeypatch.setattr(interventions, "refuse_drowning", lambda *args: None)  # which is stricter
    assert main(["intervene", str(made), "L0N3=3e38", "L0N4=3e38"]) == 2
    err = capsys.readouterr().err
    assert one_line(err)
    assert "has numbers that are none" in err


def test_a_site_has_them(made, stored, tmp_path, monkeypatch):
    small_explorer(tmp_path, monkeypatch)
    build_site([made], tmp_path / "site", progress=False)
    index = read(tmp_path / "site" / "data" / "run" / "index.json")
    (entry,) = [one for one in index["interventions"] if one["name"] == "three off"]
    assert entry["edits"] == list(EDITS)
    place = tmp_path / "site" / "data" / "run" / "interventions" / "three-off"
    for name in INTERVENTION_TABLES:
        assert rows(place, name) == rows(stored, name)
        assert entry["tables"][name]["rows"] == len(rows(stored, name))
    assert [row["answer"] for row in rows(place, "predictions") if row["foil"] is not None] == ["w7", "w23"]
    assert check_site(tmp_path / "site") == []
    for name in ("lens/part-00001.parquet", "summary.parquet"):
        with flipped(stored / name), pytest.raises(RunError, match=f"{name} is damaged .*: remove {stored} and do"):
            build_site([made], tmp_path / "site", progress=False)


def test_a_part_of_a_run_has_its_part_of_them(made, stored, tmp_path, monkeypatch):
    small_explorer(tmp_path, monkeypatch)
    built = build_site([made], tmp_path / "site", Wanted(select=("prompts=prompt_id IN (1, 4)",)), progress=False)
    place = tmp_path / "site" / "data" / "run" / "interventions" / "three-off"
    kept = [row for row in rows(stored, "predictions") if row["prompt_id"] in (1, 4)]
    assert rows(place, "predictions") == kept
    assert {row["prompt_id"] for row in rows(place, "largest")} == {1, 4}
    assert rows(place, "summary") == rows(stored, "summary")
    assert built.parts["interventions"].files > 4
    assert check_site(tmp_path / "site") == []
    build_site([made], tmp_path / "none", Wanted(select=("tables=-interventions",)), progress=False)
    assert read(tmp_path / "none" / "data" / "run" / "index.json")["interventions"] == []


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["L1H2=off"], "takes one run folder"),
        (["RUN"], "takes edits such as"),
        (["RUN", "model=demo", "L1H2=off"], "takes one run folder"),
        (["model=demo", "L1H2=off"], "needs a run of it"),
        (["RUN", "L9H2=off"], "its layers are 0 to 2"),
        (["RUN", "L1X2=off"], "'L1X2' names no component"),
        (["RUN", "L1N2=1e300"], "do not go so far"),
        (["RUN", "L1H2=off", "--answer", "x"], "are of a --prompt"),
        (["RUN", "L1H2=off@9", "--prompt", "w5"], "so no position 9"),
        (["RUN", "L1H2=off", "--generate", "-1"], "--generate -1 is not allowed"),
        (["RUN", "--list", "no.yaml"], "no such file"),
        (["RUN", "--list", "no.yaml", "--name", "x"], "have names of their own"),
        (["model=demo", "dataset=x.jsonl", "L1H2=off"], "`flowatlas run model=demo dataset=x.jsonl run.dir=RUN`"),
        (["RUN", "L1H2=off", "--name", "../../x"], "'../../x' is no name for an intervention"),
        (["RUN", "L1H2=off", "--name", "x!"], "'x!' is no name for an intervention"),
        (["RUN", "L1H2=off", "--name", ""], "'' is no name for an intervention"),
        (["RUN", "L1H2=off", "--name", "x" * 61], "60 letters and digits at most"),
        (["RUN", "L2N11=1e38"], "cannot be trusted"),
        (["RUN", "L1H2=x1e30", "--prompt", "w5 w7"], "cannot be trusted"),
        (["model=demo", "L1H2=mean", "--prompt", "w5"], "the mean over a dataset is not known here"),
    ],
)
def test_what_does_not_go_together_is_one_line(made, capsys, args, why):
    assert main(["intervene", *(str(made) if word == "RUN" else word for word in args)]) == 2
    err = capsys.readouterr().err
    assert one_line(err)
    assert why in err


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must be a list"),
        ("a: b", "must be a list"),
        ("- name: x", "is no intervention"),
        ("- {name: x, edits: []}", "has no edit"),
        ("- {name: x, edits: [L1H2=away]}", "x: 'L1H2=away': 'away' is no action"),
        ("- {name: x, edits: [L1H2=off]}\n- {name: 'X', edits: [L1H3=off]}", "would be stored as 'x'"),
        ("- {name: ../x, edits: [L1H2=off]}", "'../x' is no name for an intervention"),
        ("[", "is no YAML"),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path, text, why):
    (tmp_path / "list.yaml").write_text(text)
    with pytest.raises(ConfigError, match=why):
        edit_lists.read(tmp_path / "list.yaml")
