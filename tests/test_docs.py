"""What the documents say is so."""

import json
import re
from pathlib import Path

import pytest

from flowatlas import docs
from flowatlas.compose import run_config
from flowatlas.config import known_keys
from flowatlas.families import FAMILIES, REFUSED, TEXT_PARTS
from flowatlas.front_page import read_front_page
from flowatlas.hosts import HOST_NAMES
from flowatlas.schema_audit import AUDIT_TABLES
from flowatlas.schema_compared import COMPARED_TABLES
from flowatlas.schema_interventions import INTERVENTION_TABLES
from flowatlas.schema_stats import STATS_TABLES
from flowatlas.schema_vocab import VOCAB_TABLES
from flowatlas.selection import OPTIONAL

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_tables_of_columns_are_the_schemas():
    assert docs.with_tables(README) == README, "run: python -m flowatlas.docs"
    made = (*STATS_TABLES, *VOCAB_TABLES, *COMPARED_TABLES, *AUDIT_TABLES, *INTERVENTION_TABLES)
    assert README.count("<details>") == 18 + len(made)


def test_the_consoles_tables_are_the_schemas():
    listed = json.loads((ROOT / "explorer" / "src" / "tables.json").read_text())
    assert listed == docs.tables_list(), "run: python -m flowatlas.docs"
    for name in ("edges", "model.vocab", "stats.importance", "vocab.neurons"):
        assert name in [table["name"] for table in listed]


def test_the_page_of_models_is_the_table_of_families():
    """With the errors as measured; the explorer's list says the same."""
    errors = json.loads((ROOT / "docs" / "model_errors.json").read_text())
    assert errors.keys() == FAMILIES.keys(), "run: python tests/measure_families.py"
    page = docs.models_page(errors)
    assert (ROOT / "docs" / "models.md").read_text() == page, "run: python -m flowatlas.docs"
    listed = json.loads((ROOT / "explorer" / "src" / "models.json").read_text())
    assert listed == docs.models_list(), "run: python -m flowatlas.docs"
    for kind in (*FAMILIES, *REFUSED, *TEXT_PARTS):
        assert f"`{kind}`" in page


def test_the_page_of_publishing_is_what_the_commands_take(tmp_path):
    """Its site.yaml is understood, and its lists are the code's. (tests/test_commands.py runs its commands.)"""
    page = (ROOT / "docs" / "publishing.md").read_text()
    example = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert example
    (tmp_path / "site.yaml").write_text(example[1])
    front = read_front_page(tmp_path / "site.yaml")
    assert len(front.authors) == 3
    titles = re.search(r"`runs: \{(.*?)\}`", page)
    assert titles
    (tmp_path / "site.yaml").write_text(f"runs: {{{titles[1]}}}")
    assert read_front_page(tmp_path / "site.yaml").runs["pronouns-gpt2"] == "GPT-2 small"
    assert set(re.findall(r"`([a-z-]+)`(?: \(default\))? \|", page)) >= set(HOST_NAMES)
    assert f"They are {', '.join(f'`{name}`' for name in OPTIONAL)}" in page


def test_the_keys_it_names_exist():
    prose = README.split("<!-- tables")[0] + README.split("<!-- /tables -->")[1]
    named = set(
        re.findall(
            r"\b(?:model|dataset|run|routes|lens|writes|neurons|generate|maps|knockouts)\.[a-z_]+(?:\.[a-z_]+)?(?==|`)",
            prose,
        )
    )
    unknown = {key for key in named if key not in known_keys()}
    assert named
    assert not unknown


def test_the_page_of_clusters_names_every_key_and_its_file_is_understood(tmp_path):
    page = (ROOT / "docs" / "clusters.md").read_text()
    assert set(re.findall(r"`(cluster\.\w+)`", page)) == {key for key in known_keys() if key.startswith("cluster.")}
    lab = tmp_path / "cluster" / "lab.yaml"
    lab.parent.mkdir()
    example = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert example
    lab.write_text(example[1])
    seen = []
    run_config(
        ["model=demo", "dataset=demo", "cluster=lab", "--config-dir", str(tmp_path)], lambda c: seen.append(c) or 0, id
    )
    cluster = seen[0].cluster
    assert (cluster.kind, cluster.tasks, cluster.time, cluster.gpus) == ("slurm", 16, "4:00:00", 1)
    assert cluster.setup == ["module load cuda", "export HF_HOME=$SCRATCH/hf"]


@pytest.mark.parametrize(
    "module", sorted(p.stem for p in (ROOT / "pipeline" / "flowatlas").glob("*.py") if p.stem[0] != "_")
)
def test_modules_import_only_downwards(module):
    """The order of design: a module's imports lie in its own layer or below."""
    text = (ROOT / "pipeline" / "flowatlas" / f"{module}.py").read_text()
    used = set(re.findall(r"^\s*from flowatlas\.(\w+) import", text, re.M))
    for names in re.findall(r"^\s*from flowatlas import (.+)$", text, re.M):
        used |= {name.strip() for name in names.split(",")} & LAYER.keys()
    assert module in LAYER, "give the new module a layer"
    above = {name for name in used if LAYER[name] > LAYER[module]}
    assert not above


LAYERS = (
    "errors schema schema_stats schema_compared schema_vocab config validation clock files families inference kinds_of_tokens"
    " signals hosts seal written front_page component_names edits edit_lists schema_audit schema_interventions names_file",
    "tokens chat rows readers tables encode prompts hub weight_files devices adapters checkpoints models weights experts"
    " stream activations edit_checks interventions greedy generation shards plan manifest memory workers claims"
    " means",
    "kernels triton_kernels attention_kernel contributions circuits neuron_clusters",
    "routes components attention lens guard before_after target_routes under_edits",
    "columns answers vocabulary block_rows extract writer stored_prompts knockouts",
    "compose overrides neuron_tokens job fitting progress poison task finish run dry dry_stats sbatch local submit activity"
    " status check check_rules check_stats site site_data server cli bench docs stats corpus sums importance contrasts pairs"
    " positions roles extra_columns by_kind examples part_tokens consensus prompt_map dataset_figures fidelity site_stats atlas"
    " compare"
    " run_means run_model removals audit audit_sets audit_trials audit_curves audit_store"
    " intervention_store intervention_stats site_interventions intervene intervene_prompt intervene_command"
    " live_request live_model live_jobs live_site live_server live_command"
    " selection selected bucket_sizes site_run site_check repository publish cli_site notebook"
    " vocab_heads vocab_clusters vocab_files vocab vocab_words vocab_command site_vocab check_vocab",
)
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names.split()}


def test_the_readmes_query_runs(tmp_path):
    import duckdb

    from synthetic import make_run

    run = make_run(tmp_path / "data" / "runs" / "demo")
    query = re.search(r"```sql\n(.*?)```", README, re.DOTALL)
    assert query
    assert run
    with duckdb.connect() as connection:
        rows = connection.execute(query[1].replace("data/runs/demo", str(tmp_path / "data/runs/demo"))).fetchall()
    assert len(rows) == 10


def test_every_key_of_a_run_composes():
    seen = []
    code = run_config(["model=demo", "dataset=demo"], lambda config: seen.append(config) or 0, lambda error: 2)
    assert (code, seen[0].routes.targets) == (0, "all")
