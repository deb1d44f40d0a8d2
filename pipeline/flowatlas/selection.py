"""`--select`: which part of a run goes into a site, so that it fits where it is to lie.

    prompts=answer_rank = 1 AND "group" = 'capitals'      a condition on the list of prompts; ORDER BY and LIMIT may follow
    prompts=SELECT prompt_id FROM edges WHERE share > 0.9   or a query on the run's tables
    tables=-maps,-writes      without these; tables=components,neurons: of what may be left out only these
    lens.top_k=5   writes.top_k=4   neurons.top_k=10   top_k=5 (all three)

Each is given once for all runs, or for one with its folder's name before it: `demo:prompts=n_tokens < 20`.
"""

import dataclasses
import re
from collections.abc import Iterable

import duckdb
import numpy as np

from flowatlas.corpus import Corpus
from flowatlas.errors import ConfigError
from flowatlas.schema import TABLES
from flowatlas.site_data import BUCKETED, EAGER, RunReader

RANKED = ("lens", "writes", "neurons")
# What a prompt's page cannot do without stays: EAGER, and what is known of the model.
OPTIONAL = (
    *(table for table in BUCKETED if table not in EAGER),
    *("maps", "stats", "vocab", "compared", "interventions", "rejects"),
)
_GIVEN = re.compile(r"(?:(?P<run>[^:=]+):)?(?P<key>[a-z_.]+)=(?P<value>.*)", re.DOTALL)
_OUTCOMES = (
    "CREATE TEMP VIEW outcomes AS SELECT * FROM prompts JOIN ("
    "SELECT * FROM targets QUALIFY row_number() OVER (PARTITION BY prompt_id ORDER BY target DESC) = 1) USING (prompt_id)"
)


@dataclasses.dataclass(frozen=True)
class Selection:
    """What of a run goes into a site: `prompts` SQL (None: all), tables `left_out`, and ranks kept, by table."""

    prompts: str | None = None
    left_out: tuple[str, ...] = ()
    top_k: dict[str, int] = dataclasses.field(default_factory=dict)

    def __bool__(self) -> bool:
        return self != Selection()


def read_selection(given: Iterable[str], run: str) -> Selection:
    """The part of the `--select` values that is about a run (by its folder's name). Raises ConfigError."""
    found: dict[str, str] = {}
    for text in given:
        match = _GIVEN.fullmatch(text)
        if match is None:
            raise ConfigError(f"--select {text}: key=value is needed, with prompts, tables, top_k or lens.top_k as key")
        if match["run"] in (None, run):
            found[match["key"]] = match["value"].strip()
    selection = Selection()
    for key, value in found.items():
        selection = _with(selection, key, value)
    return selection


def refuse_unknown_runs(given: Iterable[str], runs: Iterable[str]) -> None:
    """Raises ConfigError when a `--select` names a run that is none of these."""
    for text in given:
        match = _GIVEN.fullmatch(text)
        if match and match["run"] is not None and match["run"] not in runs:
            raise ConfigError(f"--select {text}: there is no run {match['run']} here, but {', '.join(runs)}")


def _with(selection: Selection, key: str, value: str) -> Selection:
    if not value:
        raise ConfigError(f"--select {key}=: a value is needed")
    if key == "prompts":
        return dataclasses.replace(selection, prompts=value)
    if key == "tables":
        return dataclasses.replace(selection, left_out=_left_out(value))
    tables = RANKED if key == "top_k" else tuple(table for table in RANKED if key == f"{table}.top_k")
    if not tables:
        keys = ", ".join(["prompts", "tables", "top_k", *(f"{table}.top_k" for table in RANKED)])
        raise ConfigError(f"--select {key}: there is no such key, but {keys}")
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", value):
        raise ConfigError(f"--select {key}={value}: a whole number of 1 or more is needed")
    return dataclasses.replace(selection, top_k=selection.top_k | dict.fromkeys(tables, int(value)))


def _left_out(value: str) -> tuple[str, ...]:
    names = [name.strip() for name in value.split(",")]
    without = [name.startswith("-") for name in names]
    names = [name.removeprefix("-") for name in names]
    for name in names:
        if name not in OPTIONAL:
            raise ConfigError(
                f"--select tables={value}: {name} is none that may be left out, but {', '.join(OPTIONAL)}"
            )
    if any(without) and not all(without):
        raise ConfigError(f"--select tables={value}: either what to keep, or with - before each, what to leave out")
    return tuple(table for table in OPTIONAL if (table in names) == without[0])


def chosen_prompts(reader: RunReader, sql: str) -> np.ndarray:
    """The prompt_ids that a selection's SQL names, ascending, int32. Raises ConfigError when it is wrong or names none,
    RunError for a file that is not as it was written."""
    whole = re.match(r"\s*(select|with|from)\b", sql, re.IGNORECASE)
    query = sql if whole else f"SELECT prompt_id FROM outcomes WHERE {sql}"
    reader.require(TABLES if whole else ("prompts", "targets"))
    with Corpus(reader.run_dir) as corpus:
        corpus.connection.execute(_OUTCOMES)
        try:
            found = corpus.connection.execute(
                f"SELECT DISTINCT prompt_id::INTEGER AS id FROM ({query}\n) JOIN prompts USING (prompt_id) ORDER BY id"
            ).fetchnumpy()["id"]
        except duckdb.Error as error:
            line = str(error).strip().splitlines()[0]
            raise ConfigError(f"--select prompts={sql}: {line}") from error
    if not len(found):
        raise ConfigError(f"--select prompts={sql}: {reader.run_dir} has no such prompt")
    return np.asarray(found, np.int32)
