"""`flowatlas vocab`, and what a run, its audit, a site and Python make of an atlas."""

import json
import re
import shutil
from pathlib import Path

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import flowatlas
from flowatlas import check, vocab_files
from flowatlas import site_vocab as site_vocab_module
from flowatlas.cli import main
from flowatlas.config import VocabConfig
from flowatlas.corpus import quoted
from flowatlas.errors import RunError
from flowatlas.files import hash_file
from flowatlas.schema_vocab import VOCAB_TABLES
from flowatlas.site import build_site
from flowatlas.site_data import RunReader
from flowatlas.site_vocab import BLOCK, word_of, write_vocab
from runs import hashes, one_line
from sites import flipped, small_explorer
from tiny import make_model

KEYS = ("vocab.top_k=4", "vocab.directions=2", "vocab.pairs=3")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, and a run of three prompts of it."""
    folder = tmp_path_factory.mktemp("vocab")
    make_model(folder / "model", "qwen2_moe")
    texts = ["alpha beta gamma delta", "beta gamma beta gamma beta", "delta"]
    (folder / "prompts.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWATLAS_CACHE", str(folder / "cache"))
        assert main(run_of(folder)) == 0
        yield folder


def run_of(folder: Path, *more: str) -> list[str]:
    settings = ("model.device=cpu", "vocab.top_k=4", "vocab.directions=2", "vocab.pairs=3")
    return [
        "run",
        f"model={folder}/model",
        f"dataset={folder}/prompts.jsonl",
        f"run.dir={folder}/run",
        *settings,
        *more,
    ]


@pytest.fixture(scope="module")
def run(place):
    """The run with its atlas."""
    assert main(["vocab", str(place / "run")]) == 0
    return place / "run"


def test_a_model_without_a_dataset_and_a_run_of_it_have_one_atlas(place, run, capsys):
    assert main(["vocab", f"model={place}/model", "model.device=cpu", *KEYS]) == 0
    printed = capsys.readouterr().out
    (made,) = {path.parent for path in (place / "cache").glob("*/vocab-*/vocab.json")}
    assert printed.startswith(f"{made}: neuron_tokens ")
    assert hashes(made) == hashes(run / "vocab")
    marker = vocab_files.marker_of(run / "vocab")
    assert marker
    assert marker["weights_hash"] == json.loads((run / "plan.json").read_text())["weights_hash"]
    assert marker["settings"]["top_k"] == 4


def test_weights_that_are_not_the_runs_are_refused(run, tmp_path, capsys):
    other = make_model(tmp_path / "other", "qwen2_moe", seed=1)
    before = hashes(run / "vocab")
    assert main(["vocab", str(run), f"model={other}"]) == 2
    error = capsys.readouterr().err
    assert one_line(error)
    assert "other weights" in error
    assert hashes(run / "vocab") == before


def test_a_model_that_has_moved_is_asked_for(run, place, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("vocab"))
    plan = (copy / "plan.json").read_text().replace(f"{place}/model", f"{tmp_path}/gone")
    (copy / "plan.json").write_text(plan)
    assert main(["vocab", str(copy)]) == 2
    error = capsys.readouterr().err
    assert one_line(error)
    assert f"flowatlas vocab {copy} model=FOLDER" in error
    assert main(["vocab", str(copy), f"model={place}/model"]) == 0
    assert hashes(copy / "vocab") == hashes(run / "vocab")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "no model is given"),
        (["vocab.top_k=0"], "vocab.top_k=0 is not allowed"),
        (["vocab.clusters=0"], "vocab.clusters=0"),
        (["vocab.top=3"], "unknown key"),
        (["nothing"], "takes a run folder or keys such as model=demo, and 'nothing' is neither"),
    ],
)
def test_wrong_input_is_one_line(args, said, capsys):
    assert main(["vocab", *(["model=demo"] if args else []), *args]) == 2
    error = capsys.readouterr().err
    assert one_line(error)
    assert said in error


def test_help_is_of_this_command(capsys):
    for word in ("--help", "-h"):
        assert main(["vocab", word]) == 0
        printed = capsys.readouterr().out
        assert printed.startswith("flowatlas vocab RUN")
        for key, value in vars(VocabConfig()).items():
            assert f"vocab.{key}={'null' if value is None else value}" in printed or key == "store"


def test_names_of_clusters_are_of_the_atlas_they_were_given_in(place, run, tmp_path, monkeypatch, capsys):
    """Under another clustering the same number is another cluster: a site would show the name of one at the other."""
    copy, out = tmp_path / "run", tmp_path / "site"
    shutil.copytree(run, copy)
    small_explorer(tmp_path, monkeypatch)
    assert main(["vocab", str(copy)]) == 0
    (clustering,) = re.findall(r"clustering (\w+): [\d,]+ neurons in \d+ clusters", capsys.readouterr().out)
    (copy / "names.yaml").write_text(f"clustering: {clustering}\ncluster 0: years\nL0H0: head\n")
    assert check.check(copy) == []
    build_site([copy], out, progress=False)
    index = json.loads((out / "data" / "run" / "index.json").read_text())
    assert (index["n_names"], index["vocab"]["clustering"]) == (2, clustering)
    assert main(["vocab", str(copy), "run.seed=5", "vocab.clusters=3"]) == 0
    (other,) = re.findall(r"clustering (\w+): [\d,]+ neurons in 3 clusters", capsys.readouterr().out)
    said = f"names.yaml, line 2: cluster 0 is of the clustering {clustering}, and this run has {other}"
    (problem,) = check.check(copy)
    assert problem.startswith(said)
    with pytest.raises(RunError, match=said):
        build_site([copy], out, progress=False)


def test_a_run_makes_it_at_its_end_and_no_number_depends_on_it(place, run):
    with_atlas = [arg.replace(f"{place}/run", f"{place}/stored") for arg in run_of(place, "vocab.store=true")]
    assert main(with_atlas) == 0
    assert hashes(place / "stored" / "vocab") == hashes(run / "vocab")
    shutil.rmtree(place / "stored" / "vocab")
    assert main(with_atlas) == 0  # a complete run whose atlas is gone
    assert hashes(place / "stored" / "vocab") == hashes(run / "vocab")
    assert main([arg for arg in with_atlas if not arg.startswith("vocab.")]) == 0  # the same run without these keys
    for table in ("edges", "neurons", "prompts"):
        assert hashes(place / "stored" / table) == hashes(run / table)


def test_the_audit_knows_its_files(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    assert check.check(copy) == []
    part = copy / "vocab" / "neuron_tokens" / "part-00001.parquet"
    rows = pq.read_table(part)
    pq.write_table(rows.slice(1), part)
    (problem,) = check.check(copy)
    assert problem.startswith("vocab/neuron_tokens/part-00001.parquet is not the file that was written")
    part.unlink()
    assert "is missing" in check.check(copy)[0]
    (copy / "vocab" / "vocab.json").write_text("{}")
    assert "vocab.json is missing or damaged" in check.check(copy)[0]


def test_the_audit_knows_what_cannot_be(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    part = copy / "vocab" / "neuron_tokens" / "part-00000.parquet"
    rows = pq.read_table(part)
    place = rows.schema.names.index("score")
    negative = pc.negate(rows["score"])  # pyright: ignore[reportAttributeAccessIssue]
    pq.write_table(rows.set_column(place, rows.schema.field("score"), negative), part)
    marker = json.loads((copy / "vocab" / "vocab.json").read_text())
    marker["tables"]["neuron_tokens"][part.name] |= {"sha256": hash_file(part), "bytes": part.stat().st_size}
    (copy / "vocab" / "vocab.json").write_text(json.dumps(marker))
    (problem,) = check.check(copy)
    assert "tokens have a lower score than one of a higher rank" in problem


def test_python_reads_it(run, place, tmp_path):
    with flowatlas.open(run) as atlas:
        assert {f"vocab.{table}" for table in VOCAB_TABLES} <= set(atlas.tables)
        ((n,),) = atlas.sql("SELECT count(DISTINCT (layer, expert, neuron)) FROM vocab.neuron_tokens").fetchall()
        assert n == len(atlas.table("vocab.neurons").df())
    bare = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("vocab"))
    with flowatlas.open(bare) as atlas:
        assert len(atlas.table("neurons").df())
    with flowatlas.open(bare) as atlas, pytest.raises(RunError, match=r"`flowatlas vocab .*run` makes it"):
        atlas.table("vocab.neurons")


@pytest.fixture(params=["atlas", "stored"])
def source(request, run, tmp_path):
    """A run with its atlas, and one without; SQL for the tokens that its site's index is of."""
    if request.param == "atlas":
        return run, f"SELECT * FROM read_parquet({quoted(run / 'vocab/neuron_tokens/*.parquet')})"
    bare = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("vocab"))
    model = bare / "model"
    return bare, (
        f"SELECT n.*, token FROM read_parquet({quoted(model / 'neuron_tokens.parquet')}) n "
        f"JOIN read_parquet({quoted(model / 'vocab.parquet')}) USING (token_id)"
    )


def test_a_words_files_hold_all_its_neurons_and_no_more_than_that_are_named(source, tmp_path, monkeypatch):
    """Of every word, against a scan of all tokens; in files so small that words lie in several."""
    monkeypatch.setattr(site_vocab_module, "_rows_of_a_file", lambda _: 37)
    run_dir, tokens = source
    entry = write_vocab(RunReader(run_dir), tmp_path / "site")
    assert entry
    with duckdb.connect() as connection:
        scanned = connection.execute(
            f"SELECT token, token_id, layer, expert, neuron, sign, rank, score FROM ({tokens})"
        ).fetchall()
    expected: dict[str, list] = {}
    for token, *row in scanned:
        expected.setdefault(word_of(token), []).append((token, *row))
    place = tmp_path / "site" / "vocab"
    files = [pq.read_table(place / f"postings-{k}.parquet").to_pylist() for k in range(entry["postings"]["files"])]
    assert sum(map(len, files)) == entry["postings"]["rows"]
    words = pq.read_table(place / "words.parquet").to_pylist()
    assert max(word["last"] - word["first"] for word in words) > 0
    neurons = 0
    for word in words:
        rows = [row for file in files[word["first"] : word["last"] + 1] for row in file if row["word"] == word["word"]]
        assert len(rows) == sum(row["word"] == word["word"] for file in files for row in file)
        own = [row for row in rows if row["component"] == "neuron"]
        found = [
            tuple(row[key] for key in ("token", "token_id", "layer", "expert", "index", "sign", "rank", "score"))
            for row in own
        ]
        assert sorted(found) == sorted(expected.get(word["word"], []))
        assert (word["promoted"], word["suppressed"]) == tuple(
            sum(row["sign"] == sign for row in own) for sign in (1, -1)
        )
        neurons += len(own)
    assert neurons == len(scanned)
    assert entry["atlas"] == (run_dir / "vocab").exists()
    assert entry["n_neurons"] == len({row[2:5] for row in scanned})


def test_blocks_members_and_cuts_hold_every_row_once(run, tmp_path):
    entry = write_vocab(RunReader(run), tmp_path / "site")
    assert entry
    place = tmp_path / "site" / "vocab"

    def rows_of(table: str) -> list[dict]:
        parts = [pq.read_table(path) for path in sorted((run / "vocab" / table).glob("*.parquet"))]
        return [row for part in parts for row in part.to_pylist()]

    tokens = []
    for path in (place / "neuron_tokens").glob("*.parquet"):
        owner, k = path.stem.split("-")
        own = pq.read_table(path).to_pylist()
        for row in own:
            assert owner == (f"L{row['layer']}" if row["expert"] < 0 else f"L{row['layer']}E{row['expert']}")
            assert row["neuron"] // BLOCK == int(k)
        tokens += own
    key = ("layer", "expert", "neuron", "sign", "rank")
    assert sorted(tokens, key=lambda row: [row[name] for name in key]) == sorted(
        rows_of("neuron_tokens"), key=lambda row: [row[name] for name in key]
    )
    for table in ("neurons", "clusters", "cluster_tokens", "heads", "head_tokens", "head_pairs"):
        assert entry["tables"][table]["rows"] == len(rows_of(table))
        assert sum(file["rows"] for file in entry["tables"][table]["files"]) == len(rows_of(table))
    members = [
        row for file in entry["members"]["files"] for row in pq.read_table(tmp_path / "site" / file["file"]).to_pylist()
    ]
    assert [row["cluster"] for row in members] == sorted(row["cluster"] for row in rows_of("neurons"))
    assert entry["n_neurons"] == len(members)


def test_a_flipped_bit_of_an_atlas_is_not_sealed_as_sound(run, tmp_path):
    name = "vocab/neuron_tokens/part-00000.parquet"
    with flipped(run / name), pytest.raises(RunError, match=rf"{name} is damaged .*: remove {run / 'vocab'} and give"):
        write_vocab(RunReader(run), tmp_path / "site")


def test_an_unfinished_run_without_an_atlas_has_no_index(run, tmp_path):
    bare = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("vocab", "model"))
    assert write_vocab(RunReader(bare), tmp_path / "site") is None


@pytest.mark.parametrize(
    ("token", "word"),
    [(" Mary", "mary"), ("MARY ", "mary"), ("\n", "\\n"), (" \n\n", "\\s\\n\\n"), ("\t", "\\t"), ("  ", "\\s\\s"),
     ("<0xE2>", "<0xe2>"), ("\u00c9t\u00c9", "\u00e9t\u00e9"), ("\u3000", "\\u3000")],
)  # fmt: skip
def test_what_a_reader_types_for_a_token(token, word):
    assert word_of(token) == word
