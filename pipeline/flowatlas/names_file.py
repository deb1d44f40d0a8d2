"""names.yaml in a run's folder: what people call its heads, neurons, MLPs and clusters, and what they noted about them.

    L2H1:
      label: name mover            # one line, shown wherever the head is named
      note: Copies the name that is not repeated.
    L3N44: month neuron            # short for a label alone
    L3 MLP: {label: next in order}
    clustering: 3f2a9c1b7d10       # which clusters the numbers below are of
    cluster 7: years

A cluster is a number, and every clustering numbers its own: labels name the one that they are of (`flowatlas vocab RUN` and
the page say it), and are refused beside an atlas with another.

Read as YAML's tree and not as its values: every scalar is the text that was typed (`no`, `1e3`), nothing is constructed
from it, and what is wrong is told with its line. A run is the same run whatever its components are called, so the file
is no part of its identity: it is read anew whenever a site is made.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flowatlas.component_names import Component, parse
from flowatlas.errors import ConfigError, RunError

FILE = "names.yaml"
LONGEST = {"label": 80, "note": 2000}  # characters; explorer/src/names.js has the same
MOST_BYTES = 1_000_000  # YAML is read slowly: 10,000 names in some ten seconds
_CLUSTER = re.compile(r"cluster ?([0-9]{1,6})", re.IGNORECASE)
_CLUSTERING = "clustering"


@dataclass(frozen=True)
class Named:
    """A label (one line) and a note (any lines); at least one of them is not empty."""

    label: str
    note: str


class _Wrong(Exception):
    """What is wrong, and the line (from 1) where."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"line {line}: {message}")


def read_names(run_dir: Path, model: dict[str, Any]) -> tuple[dict[str, Named], list[str]]:
    """What a run's components are called, by name as the explorer writes it, and what is wrong with the file, a line each.

    `model` is what the manifest says of the model (n_layers, n_heads, d_mlp, without_neurons) and `vocab_files.clustering_of`
    of its clusters; what it lacks is not checked. No file is no name and no problem.
    """
    path = run_dir / FILE
    names: dict[str, Named] = {}
    problems: list[str] = []
    try:
        pairs = _pairs(path)
        of = _clustering(pairs)
    except FileNotFoundError:
        return {}, []
    except _Wrong as wrong:
        return {}, [f"{FILE}, {wrong}"]
    except OSError as error:
        return {}, [f"{FILE} cannot be read ({error.strerror})"]
    others = []  # clusters of another clustering, told in one line
    for key, value in pairs:
        try:
            name = _name(key, model)
            if name == _CLUSTERING:
                continue
            if name in names:
                raise _Wrong(f"{name} is named twice", _line(key))
            if name.startswith("cluster ") and of != model.get(_CLUSTERING, of):
                others.append(_Wrong(_other_clusters(name, of, model[_CLUSTERING]), _line(key)))
            else:
                names[name] = _named(value)
        except _Wrong as wrong:
            problems.append(f"{FILE}, {wrong}")
    return names, problems + [f"{FILE}, {wrong}" for wrong in others[:1]]


def _clustering(pairs: list[tuple[yaml.Node, yaml.Node]]) -> str | None:
    """Which clustering the file's clusters are said to be of. Raises _Wrong when it is said twice."""
    found = [value for key, value in pairs if isinstance(key, yaml.ScalarNode) and key.value.strip() == _CLUSTERING]
    if len(found) > 1:
        raise _Wrong(f"{_CLUSTERING} stands twice", _line(found[1]))
    return _text(found[0]).strip() if found else None


def _other_clusters(name: str, given: str | None, has: str) -> str:
    if given is None:
        return (
            f"{name} has a number that other clusterings have too: `{_CLUSTERING}: {has}` says that this run's is meant"
        )
    return (
        f"{name} is of the clustering {given[:40]}, and this run has {has}: name its clusters anew, or take these out"
    )


def published_names(run_dir: Path, model: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The names of a run as a site holds them; `model` as in read_names. Raises RunError when the file is wrong."""
    names, problems = read_names(run_dir, model)
    if problems:
        more = f" (and {len(problems) - 1} more: `flowatlas check {run_dir}` lists them)" if problems[1:] else ""
        raise RunError(f"{run_dir}/{problems[0]}{more}")
    return {name: {"label": named.label, "note": named.note} for name, named in names.items()}


def _pairs(path: Path) -> list[tuple[yaml.Node, yaml.Node]]:
    """Keys and values of the file's mapping. Raises _Wrong when it holds anything else."""
    if path.stat().st_size > MOST_BYTES:
        raise _Wrong(f"it is larger than {MOST_BYTES:,} bytes", 1)
    try:
        root = yaml.compose(path.read_bytes(), Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _Wrong(f"no YAML ({error.problem or error.context})", line) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise _Wrong(f"no YAML ({str(error).splitlines()[0]})", 1) from error
    if root is None:
        return []
    if not isinstance(root, yaml.MappingNode):
        raise _Wrong("it must hold lines like `L2H1: name mover`", _line(root))
    return root.value


def _name(key: yaml.Node, model: dict[str, Any]) -> str:
    """The name as the explorer writes it. Raises _Wrong for what is no component of this model."""
    text, line = _text(key), _line(key)
    if text.strip() == _CLUSTERING:
        return _CLUSTERING
    if cluster := _CLUSTER.fullmatch(text.strip()):
        number, n = int(cluster[1]), model.get("n_clusters")
        if n is not None and number >= n:
            raise _Wrong(f"this model has no cluster {number}: its clusters are 0 to {n - 1}", line)
        return f"cluster {number}"
    try:
        component = parse(text)
    except ConfigError as error:
        raise _Wrong(f"{error}, or 'cluster 7'", line) from error
    if why := absence(component, model):
        raise _Wrong(f"this model has no {component}: {why}", line)
    return str(component)


def absence(component: Component, model: dict[str, Any]) -> str:
    """Why a model has no such component; empty when it has, or when `model` (of a manifest) does not tell."""
    n_layers, n_heads, d_mlp = (model.get(key) for key in ("n_layers", "n_heads", "d_mlp"))
    if n_layers is not None and component.layer >= n_layers:
        return f"its layers are L0 to L{n_layers - 1}"
    if component.kind == "head" and n_heads is not None and component.index >= n_heads:
        return f"its heads are H0 to H{n_heads - 1}"
    if component.kind != "neuron":
        return ""
    if component.layer in model.get("without_neurons", []):
        return f"the neurons of layer {component.layer} cannot be told apart"
    if component.expert < 0 and d_mlp is not None and component.index >= d_mlp:
        return f"its neurons are N0 to N{d_mlp - 1}"
    return ""


def _named(node: yaml.Node) -> Named:
    """A label alone, or a mapping of label and note. Raises _Wrong."""
    given = dict(_fields(node)) if isinstance(node, yaml.MappingNode) else {"label": _text(node)}
    named = Named(" ".join(given.get("label", "").split()), given.get("note", "").strip())
    for field, most in LONGEST.items():
        if len(getattr(named, field)) > most:
            raise _Wrong(f"the {field} has {len(getattr(named, field)):,} characters, of {most:,} at most", _line(node))
    if not (named.label or named.note):
        raise _Wrong("neither a label nor a note", _line(node))
    return named


def _fields(node: yaml.MappingNode) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for key, value in node.value:
        field = _text(key)
        if field not in LONGEST or field in seen:
            why = "stands twice" if field in seen else "is unknown: write label and note"
            raise _Wrong(f"{field[:40]!r} {why}", _line(key))
        seen.add(field)
        yield field, _text(value)


def _text(node: yaml.Node) -> str:
    """A scalar as it was typed. Raises _Wrong for a list or mapping, and for text that has no UTF-8."""
    if not isinstance(node, yaml.ScalarNode):
        raise _Wrong("text is wanted here, not a list or mapping", _line(node))
    try:
        node.value.encode()
    except UnicodeEncodeError as error:
        raise _Wrong("half a character (a lone surrogate)", _line(node)) from error
    return node.value


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1
