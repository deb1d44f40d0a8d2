"""Importance split by what a position or a prompt is: position, sort of token, piece of a word, correctness, extra columns.

Shares by position are stored on routes only. So the splits by position are means over the nodes that are stored on a
route, to which an edge under the floor adds nothing (a lower bound, by the floor at most per part); splits by prompt are
means of `mean_share`, which has no threshold.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from flowatlas.corpus import Corpus
from flowatlas.extra_columns import labels
from flowatlas.inference import draw_units, interval, ratios

Columns = dict[str, Any]
KIND_BINS = 128  # units of drawing

_POSITION = (
    "CASE WHEN pos < 2 THEN pos::VARCHAR ELSE (1 << floor(log2(pos))::INTEGER)::VARCHAR || '-' || "
    "((2 << floor(log2(pos))::INTEGER) - 1)::VARCHAR END"
)
_VALUES = {"position": f"({_POSITION})", "token": "kind", "piece": "piece"}


def tables(corpus: Corpus) -> Iterator[tuple[str, Columns]]:
    """Rows of `by_kind`, as (table, columns), one split after the other."""
    _sum_nodes(corpus, "positions", _VALUES)
    for split in _VALUES:
        yield "by_kind", _split(corpus, split, None, _of_nodes(split))
    right = _right(corpus)
    if len(right["prompt_id"]):
        corpus.register("labels", right)
        yield "by_kind", _split(corpus, "prediction", None, _of_prompts())
    for key, of_tokens, labelled in [*labels(corpus)]:
        corpus.register("labels", labelled)
        if of_tokens:
            _sum_nodes(corpus, "labels", {"label": "value"})
            yield "by_kind", _split(corpus, "label", key, _of_nodes("label"))
        else:
            yield "by_kind", _split(corpus, "extra", key, _of_prompts())


def _of_nodes(split: str) -> tuple[str, str]:
    """SQL of the sums and counts by a split of `node_sums` and `node_counts`."""
    where = f"{split} IS NOT NULL"
    sums = f"SELECT component, layer, index, bin, {split} AS value, total FROM node_sums WHERE {where}"
    counts = f"SELECT component, layer, bin, {split} AS value, n, n_prompts FROM node_counts WHERE {where}"
    return sums, counts


def _sum_nodes(corpus: Corpus, source: str, splits: dict[str, str]) -> None:
    """`node_sums` (component, layer, index, bin, total) and `node_counts` (..., n, n_prompts) by one split in each row.

    `source` is a table of positions, `splits` names values of its rows in SQL.
    """
    values = ", ".join(f"{value} AS {split}" for split, value in splits.items())
    at = f"SELECT prompt_id, pos, bin % {KIND_BINS} AS bin, {values} FROM {source} JOIN units USING (prompt_id)"
    any_mid = corpus.one("SELECT count(*) FROM (SELECT 1 FROM nodes WHERE point = 'mid' LIMIT 1)")[0]
    into = "mid" if any_mid else "post"  # parallel blocks have no node after attention
    corpus.execute(f"""
        CREATE OR REPLACE TEMP TABLE node_sums AS
        SELECT CASE WHEN e.kind = 'mlp' THEN 'mlp' WHEN head < 0 THEN 'attn' ELSE 'head' END AS component, layer,
            greatest(head, 0) AS index, bin, {", ".join(splits)}, sum(share::DOUBLE) AS total
        FROM edges e JOIN ({at}) p ON p.prompt_id = e.prompt_id AND p.pos = e.dst WHERE e.kind IN ('attn', 'mlp')
        GROUP BY GROUPING SETS ({", ".join(f"(e.kind, head, layer, bin, {split})" for split in splits)})
    """)
    corpus.execute(f"""
        CREATE OR REPLACE TEMP TABLE node_counts AS
        SELECT c.component, f.* EXCLUDE (point)
        FROM (VALUES ('mlp', 'post'), ('head', '{into}'), ('attn', '{into}')) c(component, point)
        JOIN (
            SELECT point, layer, bin, {", ".join(splits)}, count(*) AS n, count(DISTINCT prompt_id) AS n_prompts
            FROM nodes JOIN ({at}) p USING (prompt_id, pos) WHERE reach_summed > 0 AND layer >= 0
            GROUP BY GROUPING SETS ({", ".join(f"(point, layer, bin, {split})" for split in splits)})
        ) f USING (point)
    """)


def _of_prompts() -> tuple[str, str]:
    """The same over prompts, from `labels` (prompt_id, value)."""
    labelled = (
        "FROM blocks_values JOIN labels USING (prompt_id) JOIN units USING (prompt_id) JOIN block_parts USING (c)"
    )
    sums = (
        f"SELECT component, layer, index, bin % {KIND_BINS} AS bin, value, sum(mean_share::DOUBLE) AS total {labelled} "
        "GROUP BY ALL"
    )
    counts = (
        "SELECT component, layer, bin, value, n, n AS n_prompts FROM (SELECT DISTINCT component, layer FROM block_parts), "
        f"(SELECT bin % {KIND_BINS} AS bin, value, count(*) AS n FROM labels JOIN units USING (prompt_id) GROUP BY ALL)"
    )
    return sums, counts


def _split(corpus: Corpus, split: str, key: str | None, sql: tuple[str, str]) -> Columns:
    """Means and intervals of every component and value. Axes: unit (bin), column (component and value)."""
    found = corpus.arrays(
        "SELECT component, layer, index, bin, value, coalesce(total, 0) AS total, n, n_prompts FROM "
        f"({sql[1]}) c JOIN block_parts b USING (component, layer) LEFT JOIN ({sql[0]}) s "
        "USING (component, layer, index, bin, value) ORDER BY component, layer, index, value, bin"
    )
    labels = list(zip(*(found[name].tolist() for name in ("component", "layer", "index", "value")), strict=True))
    place = {label: column for column, label in enumerate(dict.fromkeys(labels))}
    column = np.array([place[label] for label in labels], int)
    units, unit = np.unique(found["bin"].astype(int), return_inverse=True)
    dense = {name: np.zeros((len(units), len(place))) for name in ("total", "n")}
    for name, array in dense.items():
        array[unit, column] = found[name]
    drawn = draw_units(corpus.rng("by_kind", split, key), max(1, len(units)))
    low, high = (
        interval(ratios(drawn, dense["total"], dense["n"]), np.sum(dense["n"] > 0, axis=0)) if len(units) else ([], [])
    )
    names = list(zip(*place, strict=True)) or [(), (), (), ()]
    n = len(place)
    n_prompts = np.bincount(column, found["n_prompts"].astype(float), n)
    rows = {"component": names[0], "layer": names[1], "index": names[2], "value": names[3], "expert": [-1] * n}
    rows |= {"split": [split] * n, "key": [key] * n, "n": dense["n"].sum(0), "n_prompts": n_prompts}
    share = dense["total"].sum(0) / np.maximum(dense["n"].sum(0), 1)
    return {**rows, "share": share, "share_low": low, "share_high": high}


def _right(corpus: Corpus) -> Columns:
    """Whether the answer was predicted: prompt_id and value."""
    return corpus.arrays(
        "SELECT prompt_id, CASE WHEN answer_rank = 1 THEN 'right' ELSE 'wrong' END AS value FROM targets "
        "JOIN ends USING (prompt_id, target) WHERE answer_from <> 'prediction' ORDER BY prompt_id"
    )
