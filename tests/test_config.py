"""From a command line to a checked config: groups, paths, wrong keys and values."""

import json
import string
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from flowatlas.compose import conf_dir, run_config
from flowatlas.config import Config, DatasetConfig, ModelConfig, as_dict, identity, known_keys
from flowatlas.errors import ConfigError, DatasetError, FlowatlasError, InputError, ModelError
from flowatlas.overrides import quoted
from flowatlas.validation import validate

GOOD = ["model=demo", "dataset=demo"]


def compose_all(*args: str, code: int = 0) -> list[Config]:
    """Every config that a command line composes, in order."""
    seen: list[Config] = []

    def task(config: Config) -> int:
        seen.append(config)
        return code

    assert run_config(list(args), task, report=lambda error: error.exit_code) == code
    return seen


def compose(*args: str) -> Config:
    (config,) = compose_all(*args)
    return config


def fail(*args: str) -> str:
    """The one line that a wrong command line gets."""
    with pytest.raises(InputError) as error:
        run_config(list(args), lambda config: pytest.fail("composed"), report=lambda error: pytest.fail(str(error)))
    message = str(error.value)
    assert "\n" not in message
    return message


def test_defaults_are_the_documented_ones():
    config = compose("model=gpt2", "dataset.hub=owner/set")
    assert (config.run.limit, config.run.shard_size, config.run.batch_tokens, config.run.seed) == (None, 256, "auto", 0)
    assert (config.routes.floor, config.routes.targets) == (0.01, "last")
    assert (config.lens.top_k, config.writes.top_k, config.neurons.top_k) == (10, 8, 20)
    assert (config.maps.store, config.maps.floor) == (False, 0.005)
    model = config.model
    assert (model.dtype, model.device, model.revision, model.prepend_bos) == ("float32", "auto", None, "auto")


def test_demo_explains_all_targets_unless_told_otherwise(monkeypatch):
    config = compose(*GOOD)
    assert (config.routes.targets, config.maps.store) == ("all", True)
    assert Path(config.model.name).parts[-2:] == ("models", "demo")
    assert config.dataset.path is not None
    assert Path(config.dataset.path).parts[-2:] == ("prompts", "demo.jsonl")
    assert config.run.dir == "data/runs/demo-demo"
    assert compose(*GOOD, "routes.targets=last").routes.targets == "last"
    assert compose(*GOOD, "routes.targets=[0,-1]").routes.targets == [0, -1]
    assert compose(*GOOD, "routes.targets=-2").routes.targets == [-2]
    assert compose("experiment=demo") == config


def yaml_files() -> list[str]:
    root = conf_dir()
    return sorted(str(file.relative_to(root).with_suffix("")) for file in root.glob("*/**/*.yaml"))


@pytest.mark.parametrize("name", yaml_files())
def test_every_yaml_composes(name):
    group, _, option = name.partition("/")
    need = {"model": ["dataset=demo"], "dataset": ["model=demo"], "cluster": GOOD}.get(group, [])
    compose(f"{group}={option}", *need)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["model.dtpe=float16"], "unknown key model.dtpe: did you mean model.dtype?"),
        (["+model.foo=3"], "unknown key model.foo"),
        (["++model.foo=3"], "unknown key model.foo"),
        (["+foo.bar=3"], "unknown key foo.bar"),
        (["routes={floor:0.1,flor:2}"], "unknown key routes.flor: did you mean routes.floor?"),
        (["floor=0.5"], "unknown key floor: did you mean routes.floor or maps.floor?"),
        (["top_k=5"], "did you mean lens.top_k or writes.top_k or neurons.top_k or knockouts.top_k or vocab.top_k?"),
        (["~run.limit"], "keys cannot be removed"),
        (["routes.floor=0"], "routes.floor=0.0 is not allowed"),
        (["routes.floor=1"], "routes.floor=1.0"),
        (["routes.floor=nan"], "routes.floor=nan"),
        (["maps.floor=1"], "maps.floor=1.0 is not allowed"),
        (["maps.stor=true"], "unknown key maps.stor: did you mean maps.store?"),
        (["routes.floor=small"], "routes.floor: value 'small'"),
        (["lens.top_k=0"], "lens.top_k=0 is not allowed: it must be a whole number of at least 1"),
        (["writes.top_k=0"], "writes.top_k"),
        (["neurons.top_k=1.5"], "neurons.top_k"),
        (["run.batch_tokens=0"], "run.batch_tokens=0 is not allowed: it must be auto or a whole number"),
        (["run.batch_tokens=many"], "run.batch_tokens=many"),
        (["run.shard_size=0"], "run.shard_size=0"),
        (["run.limit=0"], "run.limit=0"),
        (["run.progress=loud"], "run.progress=loud"),
        (["run.resume=all"], "run.resume=all is not allowed: it must be failed, or null"),
        (["model.dtype=float8"], "one of float32, float64, bfloat16, float16"),
        (["model.dtype=int8"], "quantised weights are not supported"),
        (["model.device=tpu"], "model.device=tpu"),
        (["model.device=cpu:1"], "model.device=cpu:1"),
        (["model.device_map=balanced"], "model.device_map=balanced"),
        (["model.device_map=auto", "model.device=cpu"], "keep one"),
        (["model.max_memory={0:20GiB}"], "add model.device_map=auto"),
        (["model.device_map=auto", "model.max_memory=20GiB"], "model.max_memory=20GiB"),
        (["model.device_map=auto", "model.max_memory={gpu:20GiB}"], "model.max_memory={gpu:20GiB}"),
        (["model.device_map=auto", "model.max_memory={0:much}"], "model.max_memory={0:much}"),
        (["model.system_prompt=Hello"], "add model.chat_template=true"),
        (["model.chat_date=today"], "model.chat_date=today"),
        (["model.adapter=a", "model.base=b"], "the base is then the model itself"),
        (["model.prepend_bos=perhaps"], "model.prepend_bos=perhaps is not allowed: it must be auto, true or false"),
        (["run.task=1"], "without run.tasks"),
        (["run.tasks=2"], "without run.task"),
        (["run.task=2", "run.tasks=2"], "run.task=2 is not allowed: it must be 0..1"),
        (["run.task=-1", "run.tasks=2"], "run.task=-1"),
        (["routes.targets=first"], "routes.targets=first"),
        (["routes.targets=[]"], "routes.targets=[]"),
        (["routes.targets=[1,x]"], "routes.targets=[1, 'x']"),
        (["routes.targets=true"], "routes.targets=true"),
        (["routes.targets=[1"], "cannot read 'routes.targets=[1'"),
        (["dataset.hub=owner/set"], "both given"),
        (["dataset.columns.text=answer"], "are both 'answer'"),
        (["dataset.columns.txt=answer"], "did you mean dataset.columns.text?"),
        (["dataset.path=${nothing}"], "nothing"),
        (["experiment=nothing"], "demo"),
        (["routes.floor=0.1,0.2"], "add -m"),
        (["floor"], "cannot read 'floor'"),
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--cfg", "everything"], "invalid choice"),
        (["--config-dir", "/nowhere/at/all"], "no such folder"),
        (["model="], "model= is empty"),
    ],
)
def test_wrong_keys_and_values_are_one_line(args, message):
    assert message in fail(*GOOD, *args)


def test_memory_is_given_by_device():
    config = compose(*GOOD, "model.device_map=auto", "model.max_memory={0:20GiB,cpu:1.5GB}")
    assert config.model.max_memory == {"0": "20GiB", "cpu": "1.5GB"}
    assert json.loads(json.dumps(as_dict(config))) == as_dict(config)


def test_what_must_be_given():
    assert "no model is given" in fail("dataset=demo")
    assert "no dataset is given" in fail("model=demo")
    with pytest.raises(ConfigError):
        validate(Config())
    assert validate(Config(ModelConfig("x"), DatasetConfig(path="p.txt")))


def test_a_wrong_yaml_of_the_user_is_one_line(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: x\ndtyp: float16\n")
    assert "did you mean model.dtype?" in fail("--config-dir", str(tmp_path), "model=mine", "dataset=demo")
    (tmp_path / "model" / "mine.yaml").write_text("name: [x\n")
    assert "mine.yaml" in fail("--config-dir", str(tmp_path), "model=mine", "dataset=demo")


def test_folders_ids_and_files_stand_where_configs_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("demo").mkdir()
    Path("my, [odd] = model's").mkdir()
    Path("p q.jsonl").write_text("{}")
    assert compose("model=openai-community/gpt2-xl", "dataset=demo").model.name == "openai-community/gpt2-xl"
    config = compose("model=my, [odd] = model's", "dataset=p q.jsonl")
    assert (config.model.name, config.dataset.path) == ("my, [odd] = model's", "p q.jsonl")
    assert config.run.dir == "data/runs/my-odd-=-model-s-p-q"
    assert compose("model=demo", "dataset=demo").model.name != "demo"  # the config wins over the folder
    assert compose("model=./demo", "dataset=demo").model.name == "./demo"
    assert compose("model='./demo'", "dataset=demo").model.name == "./demo"  # quoted as Hydra would want it
    with pytest.raises(ModelError, match="no such folder"):
        compose("model=./nothing", "dataset=demo")
    with pytest.raises(DatasetError, match=r"dataset=dmeo: no such file.*\(there are: demo\)"):
        compose("model=demo", "dataset=dmeo")


def test_configs_of_the_users_folder_win(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    overlay = tmp_path / "my conf"
    for group, text in (("model", "name: owner/big\ndtype: bfloat16\n"), ("dataset", "hub: owner/set\n")):
        (overlay / group / "family").mkdir(parents=True)
        (overlay / group / "family" / "big.yaml").write_text(text)
    Path("family/big").mkdir(parents=True)
    args = ["model=family/big", "dataset=family/big"]
    config = compose("--config-dir", str(overlay), *args)
    assert (config.model.name, config.model.dtype, config.dataset.hub) == ("owner/big", "bfloat16", "owner/set")
    assert compose(f"hydra.searchpath=['file://{overlay}']", *args) == config


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text("\\'\"${}[],=: a", max_size=12))
def test_a_quoted_value_means_itself(text):
    (override,) = OverridesParser.create().parse_overrides([f"a={quoted(text)}"])
    assert not override.is_sweep_override()
    config = OmegaConf.create({"a": None})
    OmegaConf.update(config, "a", override.value())
    assert config.a == text or text == "???"  # which OmegaConf reserves


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
@given(name=st.text(string.printable.replace("/", "") + "éß漢😀$\\{}'\"", min_size=1, max_size=12))
def test_any_file_name_reaches_the_config(tmp_path, name):
    path = tmp_path / f"{name}.txt"
    path.write_text("a")
    assert compose("model=demo", f"dataset={path}").dataset.path == str(path)
    assert [c.dataset.path for c in compose_all("-m", "model=demo", f"dataset={path}")] == [str(path)]


def test_multirun_composes_each_combination(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    configs = compose_all("-m", *GOOD, "routes.floor=0.1,0.2", "lens.raw=true,false")
    assert [(c.routes.floor, c.lens.raw) for c in configs] == [(0.1, True), (0.1, False), (0.2, True), (0.2, False)]
    assert configs[3].run.dir == "data/runs/demo-demo-routes.floor=0.2-lens.raw=False"  # no two of them mix
    names = [c.model.name for c in compose_all("-m", "model=a/b,c/d", "dataset=demo")]
    assert names == ["a/b", "c/d"]
    assert [c.model.name for c in compose_all("-m", "model=gpt2,gpt2-medium", "dataset=demo")] == [
        "openai-community/gpt2",
        "openai-community/gpt2-medium",
    ]
    assert "not both" in fail("-m", "model=gpt2,owner/name", "dataset=demo")
    tasks = compose_all("-m", *GOOD, "run.task=range(0,3)", "run.tasks=3")
    assert {c.run.dir for c in tasks} == {"data/runs/demo-demo"}  # tasks of one run share its folder
    assert list(tmp_path.iterdir()) == []  # Hydra leaves nothing behind


def test_multirun_goes_on_after_an_error_and_returns_the_worst_code():
    seen, reported = [], []

    def task(config: Config) -> int:
        seen.append(config.run.seed)
        if config.run.seed == 1:
            raise ModelError("no such model")
        return 1

    def report(error: FlowatlasError) -> int:
        reported.append(str(error))
        return error.exit_code

    assert run_config(["-m", *GOOD, "run.seed=0,1,2,-1"], task, report) == 2
    assert seen == [0, 1, 2]
    assert reported[0] == "no such model"
    assert "run.seed=-1" in reported[1]


def test_single_run_gives_its_exit_code_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert compose_all(*GOOD, code=1)
    assert list(tmp_path.iterdir()) == []


def test_identity_holds_what_changes_results_and_nothing_else():
    config = Config(ModelConfig("a"), DatasetConfig(path="p.txt"))
    keys = set(known_keys())
    same = {
        "model.name",
        "model.revision",
        *("model.adapter", "model.base", "model.device", "model.device_map", "model.max_memory"),
        "run.seed",
        "dataset.name",
        "dataset.path",
        "dataset.hub",
        "dataset.config",
    }
    same |= {"dataset.split", "run.dir", "run.limit", "run.task", "run.tasks", "run.dry", "run.progress"}
    same |= {"run.resume", *(key for key in keys if key.startswith("cluster."))}
    same |= {
        key for key in keys if key.startswith(("knockouts.", "vocab.")) and key != "knockouts.store"
    }  # not asked for
    for key in keys:
        other = Config(ModelConfig("a"), DatasetConfig(path="p.txt"))
        node = other
        *sections, name = key.split(".")
        for section in sections:
            node = getattr(node, section)
        setattr(node, name, "changed")
        assert (identity(other) == identity(config)) == (key in same), key
    assert json.loads(json.dumps(as_dict(config))) == as_dict(config)
    assert list(identity(config)) == sorted(identity(config))


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["model=meta-llama/Llama-3.2-1B", "dataset.hub=o/set"], "data/runs/Llama-3.2-1B-set"),
        (["model=demo", "dataset.hub=o/set", "dataset.config=en", "dataset.split=test"], "data/runs/demo-set-en-test"),
        (["model=demo", "dataset=demo", "dataset.name=../x y"], "data/runs/demo-x-y"),
        (["model=demo", "dataset=demo", "run.dir=there"], "there"),
    ],
)
def test_default_run_dir(args, expected):
    assert compose(*args).run.dir == expected


def test_printing_the_config_runs_nothing(capsys):
    assert compose_all("--cfg", "job", *GOOD, "routes.floor=0.5") == []
    assert "floor: 0.5" in capsys.readouterr().out
    assert compose_all("--help") == []
    out = capsys.readouterr().out
    assert "model=demo" in out
    assert all(f"{key.rsplit('.', 1)[-1]}:" in out for key in known_keys())
