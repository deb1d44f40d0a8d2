"""Two runs of the same prompts: what differs, component by component and prompt by prompt.

Prompts are matched by their dataset's id and their text. Components are compared where both models have the same shape
(checkpoints, base and instruct, dtypes); otherwise only what was predicted is.
"""

import tempfile
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from flowatlas.corpus import MEMORY, THREADS, deal, to_table, views
from flowatlas.errors import RunError
from flowatlas.files import replacing
from flowatlas.inference import adjusted, draw_units, interval, moments, ratios, sign_flip_p
from flowatlas.schema_stats import COMPARED_TABLES, MEASURES
from flowatlas.site_data import RunReader
from flowatlas.writer import conform, write_parquet

SHOWN = 8

_PARTS = "component IN ('head', 'mlp')"
_VALUES = f"""
CREATE VIEW {{run}}values AS
SELECT prompt_id, component, layer, index, 'mean_share' AS measure, mean_share AS value FROM {{run}}components WHERE {_PARTS}
UNION ALL SELECT prompt_id, component, layer, index, 'target_share', target_share FROM {{run}}components WHERE {_PARTS}
UNION ALL SELECT prompt_id, component, layer, index, 'effect', effect_answer
FROM {{run}}logit_effects JOIN {{run}}ends USING (prompt_id, target) WHERE {_PARTS}
"""
_ENDS = "CREATE TEMP TABLE {run}ends AS SELECT prompt_id, max(target) AS target FROM {run}targets GROUP BY prompt_id"

_SINGLE = "SELECT source_id, text, any_value(prompt_id) AS prompt_id FROM {run}prompts GROUP BY ALL HAVING count(*) = 1"
_MATCHED = f"""
SELECT a.prompt_id AS prompt_a, b.prompt_id AS prompt_b, source_id
FROM ({_SINGLE.format(run="a_")}) a JOIN ({_SINGLE.format(run="b_")}) b USING (source_id, text) ORDER BY 1
"""

_COMPONENTS = """
SELECT component, layer, index, measure, bin, sum(b.value::DOUBLE - a.value) AS d, sum((b.value::DOUBLE - a.value) ** 2) AS d_2,
    sum(a.value::DOUBLE) AS a, sum(b.value::DOUBLE) AS b, sum(a.value::DOUBLE * b.value) AS ab,
    sum(a.value::DOUBLE ** 2) AS a_2, sum(b.value::DOUBLE ** 2) AS b_2, count(*) AS n
FROM matched JOIN a_values a ON a.prompt_id = prompt_a
JOIN b_values b USING (component, layer, index, measure) WHERE b.prompt_id = prompt_b
GROUP BY ALL ORDER BY measure, component, layer, index, bin
"""

_PROMPTS = """
SELECT source_id, prompt_a, prompt_b, distance, ta.answer_prob AS answer_prob_a, tb.answer_prob AS answer_prob_b,
    ta.answer_rank AS answer_rank_a, tb.answer_rank AS answer_rank_b
FROM matched JOIN a_ends ea ON ea.prompt_id = prompt_a JOIN b_ends eb ON eb.prompt_id = prompt_b
JOIN a_targets ta ON ta.prompt_id = prompt_a AND ta.target = ea.target
JOIN b_targets tb ON tb.prompt_id = prompt_b AND tb.target = eb.target
LEFT JOIN (
    SELECT prompt_a, avg(abs(b.value::DOUBLE - a.value)) AS distance
    FROM matched JOIN a_values a ON a.prompt_id = prompt_a JOIN b_values b USING (component, layer, index, measure)
    WHERE b.prompt_id = prompt_b AND measure = 'mean_share' AND {same_shape} GROUP BY prompt_a
) USING (prompt_a) ORDER BY prompt_a
"""


def compare(a: Path, b: Path) -> dict[str, pa.Table]:
    """The tables `components` and `prompts` of two runs. Raises RunError for what is no run, or no prompt in common."""
    with (
        tempfile.TemporaryDirectory() as spill,
        duckdb.connect(config={"memory_limit": MEMORY, "threads": THREADS, "temp_directory": spill}) as connection,
    ):
        for run, run_dir in (("a_", a), ("b_", b)):
            views(connection, RunReader(Path(run_dir)), run)
            connection.execute(_ENDS.format(run=run))
            connection.execute(_VALUES.format(run=run))
        matched = connection.sql(_MATCHED).to_arrow_table()
        if not matched.num_rows:
            raise RunError(f"{a} and {b} have no prompt in common (the same id and text)")
        bins = pa.array(deal(np.random.default_rng(0), np.zeros(matched.num_rows)))
        connection.register("matched", matched.append_column("bin", bins))
        same_shape = _shape(connection, "a_") == _shape(connection, "b_")
        components = (
            _components(connection) if same_shape else {name: [] for name in COMPARED_TABLES["components"].schema.names}
        )
        prompts = connection.execute(_PROMPTS.format(same_shape=str(same_shape).lower())).fetchall()
    names = COMPARED_TABLES["prompts"].schema.names
    columns = {"components": components, "prompts": {name: [row[k] for row in prompts] for k, name in enumerate(names)}}
    return {name: conform(to_table(table, columns[name]), table, ()) for name, table in COMPARED_TABLES.items()}


def _shape(connection: duckdb.DuckDBPyConnection, run: str) -> Any:
    return connection.execute(
        f"SELECT component, max(layer), max(index) FROM {run}components GROUP BY ALL ORDER BY 1"
    ).fetchall()


def _components(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    found = {name: np.asarray(values) for name, values in connection.execute(_COMPONENTS).fetchnumpy().items()}
    labels = list(zip(*(found[name].tolist() for name in ("component", "layer", "index", "measure")), strict=True))
    place = {label: column for column, label in enumerate(dict.fromkeys(labels))}
    column, unit = np.array([place[label] for label in labels]), found["bin"].astype(int)
    total = {
        name: np.bincount(column, found[name].astype(float)) for name in ("d", "d_2", "a", "b", "ab", "a_2", "b_2", "n")
    }
    n, shape = total["n"], (unit.max() + 1, len(place))
    binned = {name: np.zeros(shape) for name in ("d", "n")}
    for name, array in binned.items():
        array[unit, column] = found[name]
    rng = np.random.default_rng(1)
    low, high = interval(ratios(draw_units(rng, shape[0]), binned["d"], binned["n"]), np.sum(binned["n"] > 0, axis=0))
    spread, of_a, of_b = (moments(n, total[x], total[f"{x}_2"]) for x in ("d", "a", "b"))
    p = np.where(n > 1, sign_flip_p(rng, binned["d"] / np.maximum(binned["n"], 1)), np.nan)
    names = list(zip(*place, strict=True))
    measures, q = np.array(names[3]), np.full(len(p), np.nan)
    for measure in MEASURES:
        q[measures == measure] = adjusted(p[measures == measure])
    with np.errstate(divide="ignore", invalid="ignore"):
        standardised = np.where(spread.variance > 0, spread.mean / np.sqrt(spread.variance), np.nan)
        covariance = (total["ab"] - n * of_a.mean * of_b.mean) / (n - 1)
        both = np.sqrt(of_a.variance * of_b.variance)
        correlation = np.where(both > 0, np.clip(covariance / both, -1, 1), np.nan)
    return {
        "component": names[0], "layer": names[1], "index": names[2], "expert": [-1] * len(p), "measure": names[3], "n": n,
        "mean_a": of_a.mean, "mean_b": of_b.mean, "difference": spread.mean, "difference_low": low, "difference_high": high,
        "standardised": standardised, "correlation": correlation, "p": p, "q": q,
    }  # fmt: skip


def write(tables: dict[str, pa.Table], folder: Path) -> None:
    """Write `components.parquet` and `prompts.parquet`. Raises UnfinishedError when the disk does not let it."""
    for name, table in tables.items():
        with replacing(folder / f"{name}.parquet") as temporary:
            write_parquet(temporary, table)


def lines(tables: dict[str, pa.Table]) -> list[str]:
    """What the command line says: how many prompts, and the components that differ most for their spread."""
    prompts, rows = tables["prompts"].to_pylist(), tables["components"].to_pylist()
    right = [sum(row[f"answer_rank_{run}"] == 1 for row in prompts) for run in "ab"]
    found = [f"{len(prompts)} prompts in both; answers predicted: {right[0]} and {right[1]}"]
    if not rows:
        return [*found, "the models have other shapes: components are not compared"]
    shares = [row for row in rows if row["measure"] == "mean_share"]
    shares.sort(key=lambda row: -abs(row["standardised"] or 0))
    for row in shares[:SHOWN]:
        part = f"L{row['layer']}H{row['index']}" if row["component"] == "head" else f"L{row['layer']} MLP"
        ends = (
            "" if row["difference_low"] is None else f" [{row['difference_low']:+.4f}, {row['difference_high']:+.4f}]"
        )
        q = "" if row["q"] is None else f", q {row['q']:.2g}"
        found.append(
            f"{part:8} mean share {row['mean_a']:.4f} -> {row['mean_b']:.4f}: {row['difference']:+.4f}{ends}{q}"
        )
    return found
