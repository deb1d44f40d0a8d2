"""Two runs of the same prompts: what differs, component by component and prompt by prompt.

Prompts are matched by their dataset's id and their text. The two runs become one corpus, in which each common prompt is
there twice: a pair, as clean and corrupt prompts are. Components are compared where both models have the same shape
(checkpoints, base and instruct, dtypes, floors); otherwise only what was predicted is.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from flowatlas import pairs, sums
from flowatlas.corpus import Corpus, to_table, views
from flowatlas.errors import NothingInCommon
from flowatlas.files import replacing
from flowatlas.schema import Table
from flowatlas.schema_compared import COMPARED_TABLES
from flowatlas.site_data import RunReader
from flowatlas.writer import conform, write_parquet

Columns = dict[str, Any]
SHOWN = 8
LARGEST = 5

_SINGLE = "SELECT source_id, text, any_value(prompt_id) AS prompt_id FROM {run}prompts GROUP BY ALL HAVING count(*) = 1"
_MATCHED = f"""
CREATE TEMP TABLE matched AS
SELECT (row_number() OVER (ORDER BY a.prompt_id) - 1)::INTEGER AS pair, a.prompt_id AS prompt_a, b.prompt_id AS prompt_b
FROM ({_SINGLE.format(run="a_")}) a JOIN ({_SINGLE.format(run="b_")}) b USING (source_id, text)
"""

_JOINED = {
    "prompts": ", pair::VARCHAR AS pair_id, '{role}' AS role",
    **dict.fromkeys(
        ("targets", "components", "logit_effects", "neurons", "neuron_effects", "nodes", "edges", "generated"), ""
    ),
}


class Both(Corpus):
    """Two runs as one corpus: prompt 2k is common prompt k in the first run (role a), prompt 2k + 1 in the second (b).

    Raises RunError for what is no run or not as it was written, NothingInCommon for runs without a prompt in common.
    """

    def __init__(self, a: Path, b: Path) -> None:
        self.other = RunReader(Path(b))
        super().__init__(Path(a))
        if not self.n:
            self.close()
            raise NothingInCommon(f"{a} and {b} have no prompt in common (the same id and text)")

    def _open(self) -> None:
        for run, reader in (("a_", self.reader), ("b_", self.other)):
            reader.require(_JOINED)
            views(self.connection, reader, run)
        self.execute(_MATCHED)
        for table, more in _JOINED.items():
            halves = [
                f"SELECT r.* REPLACE (2 * pair + {k} AS prompt_id{more.format(role=role)}) "
                f"FROM {role}_{table} r JOIN matched ON r.prompt_id = prompt_{role}"
                for k, role in enumerate("ab")
            ]
            self.execute(f"CREATE VIEW {table} AS {' UNION ALL BY NAME '.join(halves)}")

    @property
    def readers(self) -> list[RunReader]:
        return [self.reader, self.other]

    @property
    def n(self) -> int:
        """Prompts in both runs."""
        return int(self.one("SELECT count(*) FROM matched")[0])

    @property
    def same_shape(self) -> bool:
        """Whether the models have as many layers, heads and neurons."""
        sql = "SELECT component, max(layer), max(index) FROM {}components GROUP BY ALL ORDER BY 1"
        shapes = [self.execute(sql.format(run)).fetchall() for run in ("a_", "b_")]
        widths = {reader.manifest.get("model", {}).get("d_mlp") for reader in self.readers}
        return shapes[0] == shapes[1] and len(widths - {None}) < 2


def compare(a: Path, b: Path) -> dict[str, pa.Table]:
    """The tables `components`, `prompts` and `largest` of two runs. Raises RunError as Both, or when one cannot be read."""
    with Both(a, b) as both:
        both.prepare()
        found = {"prompts": _prompts(both)}
        if both.same_shape:
            found |= {"components": _components(both), "largest": both.arrays(_LARGEST)}
    return {name: _table(declared, found.get(name)) for name, declared in COMPARED_TABLES.items()}


_ORDERS = {
    "components": ("component", "group", "measure", "layer", "expert", "index"),
    "largest": ("prompt_a", "place"),
}


def _table(declared: Table, columns: Columns | None) -> pa.Table:
    if columns is None:
        return declared.empty()
    return conform(to_table(declared, columns), declared, _ORDERS.get(declared.name, ()))


def _components(both: Both) -> Columns:
    kinds = pairs.find_pairs(both)
    pieces = []
    for family in (sums.blocks(both), sums.neurons(both)):
        for _, found in pairs.tables(family, kinds) if family.n_parts else ():
            pieces.append(_turned(found) | {"correlation": _correlations(both, found)})
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _turned(found: Columns) -> Columns:
    """Rows of a contrast a - b as rows of the difference b - a."""
    rows = {
        name: values for name, values in found.items() if name not in ("contrast", "a", "b", "specific", "n_a", "n_b")
    }
    rows |= {name: -found[name] for name in ("difference", "standardised")}
    return rows | {
        "n": found["n_a"],
        "difference_low": -found["difference_high"],
        "difference_high": -found["difference_low"],
    }


_CORRELATIONS = """
SELECT component, layer, index, measure, corr(a, b) AS r FROM (
    SELECT prompt_id // 2 AS pair, c, measure, sum(value) FILTER (prompt_id % 2 = 0) AS a,
        sum(value) FILTER (prompt_id % 2 = 1) AS b
    FROM (
        SELECT prompt_id, c, 'mean_share' AS measure, mean_share::DOUBLE AS value FROM blocks_values
        UNION ALL SELECT prompt_id, c, 'target_share', target_share FROM blocks_values
        UNION ALL SELECT prompt_id, c, 'effect', effect FROM blocks_effect_values
    ) GROUP BY ALL
) JOIN block_parts USING (c) GROUP BY component, layer, index, measure
"""


def _correlations(both: Both, rows: Columns) -> np.ndarray:
    """The runs' correlation over all prompts, for each row of a contrast; NaN for those of neurons and of one group."""
    found = {tuple(row[:4]): row[4] for row in both.execute(_CORRELATIONS).fetchall()}
    labels = zip(*(rows[name].tolist() for name in ("component", "layer", "index", "measure")), strict=True)
    values = [found.get(label) if group is None else None for label, group in zip(labels, rows["group"], strict=True)]
    return np.array([np.nan if value is None else value for value in values], float)


# Rows of both runs beside each other, and the difference b - a.
_LARGEST = f"""
SELECT prompt_a, prompt_b, place, component, layer, -1 AS expert, index, share_a, share_b, share_b - share_a AS difference
FROM (
    SELECT *, row_number() OVER (PARTITION BY pair ORDER BY abs(share_b - share_a) DESC, layer, component, index) AS place
    FROM (
        SELECT prompt_id // 2 AS pair, component, layer, index, sum(mean_share) FILTER (prompt_id % 2 = 0) AS share_a,
            sum(mean_share) FILTER (prompt_id % 2 = 1) AS share_b
        FROM components WHERE component IN ('head', 'mlp') GROUP BY ALL
    ) QUALIFY place <= {LARGEST}
) JOIN matched USING (pair)
"""

_DISTANCES = """
SELECT pair, avg(abs(d)) AS distance FROM (
    SELECT prompt_id // 2 AS pair, component, layer, index,
        sum(CASE WHEN prompt_id % 2 = 1 THEN mean_share::DOUBLE ELSE -mean_share END) AS d
    FROM components WHERE component IN ('head', 'mlp') GROUP BY ALL
) GROUP BY pair
"""

# An edge is on a route at tau when min(share, reach of its node) is above tau; parallel blocks have no node `mid`.
_ROUTES = """
SELECT pair, count_if(in_a) AS n_edges_a, count_if(in_b) AS n_edges_b, count_if(in_a AND in_b) AS n_edges_both FROM (
    SELECT e.prompt_id // 2 AS pair, e.layer, kind, dst, src, bool_or(e.prompt_id % 2 = 0) AS in_a,
        bool_or(e.prompt_id % 2 = 1) AS in_b
    FROM edges e JOIN nodes n ON n.prompt_id = e.prompt_id AND n.layer = e.layer AND n.pos = dst
        AND (n.point = 'mid') = ({any_mid} AND kind IN ('attn', 'resid_attn'))
    WHERE head < 0 AND least(share, reach_summed) > {tau}::FLOAT GROUP BY ALL
) JOIN (
    SELECT pair FROM matched JOIN a_prompts a ON a.prompt_id = prompt_a JOIN b_prompts b ON b.prompt_id = prompt_b
    WHERE a.token_ids = b.token_ids
) USING (pair) GROUP BY pair
"""

_PROMPTS = """
WITH last AS (SELECT * FROM targets JOIN ends USING (prompt_id, target))
SELECT source_id, "group", prompt_a, prompt_b, p.n_tokens, distance, {tau} AS tau, n_edges_a, n_edges_b, n_edges_both,
    a.predicted_id AS predicted_a, b.predicted_id AS predicted_b, a.predicted_prob AS predicted_prob_a,
    b.predicted_prob AS predicted_prob_b, a.answer_prob AS answer_prob_a, b.answer_prob AS answer_prob_b,
    a.answer_rank AS answer_rank_a, b.answer_rank AS answer_rank_b
FROM matched m JOIN prompts p ON p.prompt_id = 2 * pair JOIN last a ON a.prompt_id = 2 * pair
JOIN last b ON b.prompt_id = 2 * pair + 1 LEFT JOIN ({distances}) USING (pair) LEFT JOIN ({routes}) USING (pair)
ORDER BY distance DESC NULLS LAST, abs(b.answer_prob - a.answer_prob) DESC, prompt_a
"""


def _prompts(both: Both) -> Columns:
    any_mid = both.one("SELECT count(*) > 0 FROM (SELECT 1 FROM nodes WHERE point = 'mid' LIMIT 1)")[0]
    routes = _ROUTES.format(any_mid=any_mid, tau=both.floor)
    found = both.arrays(_PROMPTS.format(distances=_DISTANCES, routes=routes, tau=both.floor))
    for run, reader in zip("ab", both.readers, strict=True):
        found[f"predicted_{run}"] = reader.vocabulary.texts(found[f"predicted_{run}"].tolist())
    if not both.same_shape:
        unknown = np.full(len(found["prompt_a"]), np.nan)
        found |= dict.fromkeys(("distance", "n_edges_a", "n_edges_b", "n_edges_both"), unknown)
    return found


def write(tables: dict[str, pa.Table], folder: Path) -> None:
    """Write each table as `<name>.parquet`. Raises UnfinishedError when the disk does not let it."""
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
    rows = [row for row in rows if row["measure"] == "mean_share" and row["group"] is None]
    rows = [row for row in rows if row["component"] in ("head", "mlp")]
    if not any(row["difference"] for row in rows):
        return [*found, "heads and MLPs carry the same in both"]
    rows.sort(key=lambda row: -abs(row["standardised"] or 0))
    return found + [_line(row) for row in rows[:SHOWN]]


def _line(row: dict[str, Any]) -> str:
    part = f"L{row['layer']}H{row['index']}" if row["component"] == "head" else f"L{row['layer']} MLP"
    ends = "" if row["difference_low"] is None else f" [{row['difference_low']:+.4f}, {row['difference_high']:+.4f}]"
    q = "" if row["q"] is None else f", q {row['q']:.2g}"
    return f"{part:8} mean share {row['mean_a']:.4f} -> {row['mean_b']:.4f}: {row['difference']:+.4f}{ends}{q}"
