"""Roles of heads: from where does a head read, by contribution and by attention?

Of all that a head carried into positions that have a source of the role, how much came from such a source; beside it what
that would be were everything spread evenly over the positions up to there (Ferrando & Voita 2024 look at the same roles
by contribution; Olsson et al. 2022 at induction by attention). Edges are stored on routes and above the floor, so from them
both scores speak of the edges that mattered; maps, where a run stores them, of all positions above their own floor.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from flowatlas.corpus import Corpus
from flowatlas.inference import draw_units, interval, ratios
from flowatlas.positions import ROLE_RULES

Columns = dict[str, Any]
ROLE_BINS = 128  # units of drawing, as the sums are by head, role and bin
_WEIGHTS = {"contribution": "share", "attention": "attention"}


def tables(corpus: Corpus) -> Iterator[tuple[str, Columns]]:
    """Rows of `roles`, as (table, columns): from edges, and from maps where there are any."""
    yield "roles", _roles(corpus, "edges", "edges WHERE head >= 0")
    if corpus.one("SELECT count(*) FROM maps")[0]:
        yield "roles", _roles(corpus, "maps", "maps")


def _roles(corpus: Corpus, source: str, rows: str) -> Columns:
    corpus.execute(f"CREATE OR REPLACE TEMP TABLE role_sums AS {_sums_sql(rows)}")
    pieces = []
    totals = corpus.arrays(
        "SELECT layer, head, sum(n_all) AS n_all FROM role_sums GROUP BY layer, head ORDER BY layer, head"
    )
    heads = {
        (int(layer), int(head)): k for k, (layer, head) in enumerate(zip(totals["layer"], totals["head"], strict=True))
    }
    found = corpus.arrays("SELECT * FROM role_sums")
    column = np.array([heads[key] for key in zip(found["layer"].tolist(), found["head"].tolist(), strict=True)], int)
    units, unit = np.unique(found["bin"].astype(int), return_inverse=True)
    drawn = draw_units(corpus.rng("roles", source), max(1, len(units)))
    for k, role in enumerate(ROLE_RULES):
        piece: Columns = {"layer": totals["layer"], "head": totals["head"], "role": [role] * len(heads)}
        for name in ("n_edges", "n_role"):
            piece[name] = np.bincount(column, found[f"{name}_{k}"].astype(float), len(heads))
        for score, weight in _WEIGHTS.items():
            dense = {}
            for part in ("all", "hit", "chance"):
                dense[part] = np.zeros((max(1, len(units)), len(heads)))
                np.add.at(dense[part], (unit, column), found[f"{part}_{weight}_{k}"].astype(float))
            with np.errstate(divide="ignore", invalid="ignore"):
                piece[score] = dense["hit"].sum(0) / dense["all"].sum(0)
                piece[f"{score}_chance"] = dense["chance"].sum(0) / dense["all"].sum(0)
            behind = np.sum(dense["all"] > 0, axis=0)
            piece[f"{score}_low"], piece[f"{score}_high"] = interval(ratios(drawn, dense["hit"], dense["all"]), behind)
        pieces.append(piece | {"n_all": totals["n_all"], "source": [source] * len(heads)})
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _sums_sql(rows: str) -> str:
    """Sums by layer, head and bin: per role k the weights into positions that have such a source, and of hits."""
    columns = []
    for k, (hit, sources) in enumerate(ROLE_RULES.values()):
        possible = "" if sources == "1" else f" FILTER ({sources} > 0)"
        columns += [f"count(*){possible} AS n_edges_{k}", f"count(*) FILTER ({hit}) AS n_role_{k}"]
        for weight in _WEIGHTS.values():
            columns += [f"coalesce(sum({weight}){possible}, 0) AS all_{weight}_{k}"]
            columns += [f"coalesce(sum({weight}) FILTER ({hit}), 0) AS hit_{weight}_{k}"]
            columns += [f"coalesce(sum({weight} * {sources} / (d.pos + 1)){possible}, 0) AS chance_{weight}_{k}"]
    return f"""
        SELECT layer, head, bin % {ROLE_BINS} AS bin, count(*) AS n_all, {", ".join(columns)}
        FROM (SELECT prompt_id, layer, head, dst, src, share::DOUBLE AS share, attention::DOUBLE AS attention FROM {rows}) e
        JOIN positions d ON d.prompt_id = e.prompt_id AND d.pos = e.dst
        JOIN positions s ON s.prompt_id = e.prompt_id AND s.pos = e.src
        JOIN units u ON u.prompt_id = e.prompt_id
        WHERE d.pos > 0 GROUP BY layer, head, bin % {ROLE_BINS}
    """
