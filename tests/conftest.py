"""Settings and models that the tests share."""

import os
import sys
from pathlib import Path

import hypothesis
import pytest

# How long an example takes is the machine's business; speed is measured by `make bench`.
hypothesis.settings.register_profile("flowatlas", deadline=None)
hypothesis.settings.load_profile("flowatlas")

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test needs a hub; a mistake must fail at once
# Tests run side by side, a process on each core: threads that wait for each other make models this small ten times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))  # the tests' own helpers: literal, tiny, synthetic
FAMILIES = (  # one of each kind, for the tests that look at every row in detail; see tiny_configs.py
    "cohere_qk_norm", "deepseek_v3", "gemma2", "gpt2", "gpt_neox", "gpt_neox_sequential", "granite_biased", "llama",
    "llama_biased", "llama_odd_head", "mistral", "qwen2", "qwen2_moe",
)  # fmt: skip


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Starts `flowatlas` in processes of their own; see runs.py."""
    from runs import Runs

    started = Runs({"FLOWATLAS_CACHE": str(tmp_path_factory.mktemp("cache"))})
    yield started
    started.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folders of tiny random models by family; not to be changed."""
    from tiny import make_model

    folder = tmp_path_factory.mktemp("models")
    return {family: make_model(folder / family, family) for family in ("gpt2", "llama")}


@pytest.fixture(scope="session")
def gpt2(models) -> Path:
    return models["gpt2"]


@pytest.fixture(scope="module", params=FAMILIES)
def any_model(request, tmp_path_factory) -> Path:
    """A folder of a tiny random model, one of each kind of equations."""
    from tiny import make_model

    return make_model(tmp_path_factory.mktemp(request.param) / "model", request.param)


@pytest.fixture
def run(runs, tmp_path, models):
    """Runs in tmp_path, over ten prompts with the GPT-2 into `run`, unless told otherwise."""
    from runs import write_prompts

    write_prompts(tmp_path / "prompts.jsonl", 10)

    def run_(*more, **how):
        return runs(
            "run", f"model={models['gpt2']}", "dataset=prompts.jsonl", "run.dir=run", *more, cwd=tmp_path, **how
        )

    return run_
