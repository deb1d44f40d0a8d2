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
from flowatlas.inference import draw_units, estimate
from flowatlas.positions import ROLE_RULES, place

Columns = dict[str, Any]
ROLE_BINS, LEAST_BINS = 128, 16  # units of drawing, in all and in a group: the sums are by head, role and bin
_WEIGHTS = {"contribution": "share", "attention": "attention"}


def tables(corpus: Corpus) -> Iterator[tuple[str, Columns]]:
    """Rows of `roles`, as (table, columns): from edges, and from maps where there are any; of all prompts and by group."""
    yield from _roles(corpus, "edges", "edges WHERE head >= 0")
    if corpus.one("SELECT count(*) FROM maps")[0]:
        yield from _roles(corpus, "maps", "maps")


def _roles(corpus: Corpus, source: str, rows: str) -> Iterator[tuple[str, Columns]]:
    found = corpus.arrays(_sums_sql(rows, max(LEAST_BINS, ROLE_BINS // max(1, len(corpus.groups)))))
    found["unit"] = (
        found["g"].astype(int) * ROLE_BINS + found["bin"]
    )  # of all prompts the units are those of the groups
    for group, g in corpus.scopes():
        mine = found["g"] == g if g is not None else np.ones(len(found["g"]), bool)
        if mine.any():
            yield "roles", _scores(corpus, source, group, {name: values[mine] for name, values in found.items()})


def _scores(corpus: Corpus, source: str, group: str | None, sums: Columns) -> Columns:
    """The rows of one set of prompts. Axes: unit of drawing, head."""
    heads, column = np.unique(np.stack([sums["layer"], sums["head"]]), axis=1, return_inverse=True)
    units, unit = np.unique(sums["unit"], return_inverse=True)
    drawn = draw_units(corpus.rng("roles", source, group), len(units))

    def dense(name: str) -> np.ndarray:
        flat = np.bincount(unit * heads.shape[1] + column, sums[name].astype(float), len(units) * heads.shape[1])
        return flat.reshape(len(units), -1)

    pieces = []
    for k, role in enumerate(ROLE_RULES):
        piece: Columns = {name: dense(f"{name}_{k}").sum(0) for name in ("n_edges", "n_role")}
        piece |= {"layer": heads[0], "head": heads[1], "n_all": dense("n_all").sum(0)}
        piece |= {
            "role": [role] * heads.shape[1],
            "source": [source] * heads.shape[1],
            "group": [group] * heads.shape[1],
        }
        for score, weight in _WEIGHTS.items():
            below = dense(f"all_{weight}_{k}")
            piece |= estimate(score, drawn, dense(f"hit_{weight}_{k}"), below)
            with np.errstate(divide="ignore", invalid="ignore"):
                piece[f"{score}_chance"] = dense(f"chance_{weight}_{k}").sum(0) / below.sum(0)
        pieces.append(piece)
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _sums_sql(rows: str, n_bins: int) -> str:
    """Sums by layer, head, group and bin: per role k the weights into positions that have such a source, and of hits."""
    columns = []
    for k, (hit, sources) in enumerate(ROLE_RULES.values()):
        possible = "" if sources == "1" else f" FILTER ({sources} > 0)"
        columns += [f"count(*){possible} AS n_edges_{k}", f"count(*) FILTER ({hit}) AS n_role_{k}"]
        for weight in _WEIGHTS.values():
            columns += [f"coalesce(sum({weight}){possible}, 0) AS all_{weight}_{k}"]
            columns += [f"coalesce(sum({weight}) FILTER ({hit}), 0) AS hit_{weight}_{k}"]
            columns += [f"coalesce(sum({weight} * {sources} / (d.pos + 1)), 0) AS chance_{weight}_{k}"]
    return f"""
        SELECT layer, head, g, bin % {n_bins} AS bin, count(*) AS n_all, {", ".join(columns)}
        FROM (SELECT prompt_id, layer, head, dst, src, share::DOUBLE AS share, attention::DOUBLE AS attention FROM {rows}) e
        JOIN positions d ON d.place = {place("e.prompt_id", "e.dst")}
        JOIN positions s ON s.place = {place("e.prompt_id", "e.src")}
        JOIN units u ON u.prompt_id = e.prompt_id
        WHERE d.pos > 0 GROUP BY layer, head, g, bin % {n_bins}
    """
