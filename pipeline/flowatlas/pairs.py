"""Contrasts within pairs: what carries more in the clean prompt than in the corrupt one of the same pair?"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from flowatlas.contrasts import assemble
from flowatlas.corpus import N_TAUS, Corpus, deal
from flowatlas.inference import draw_units, interval, moments, ratios, sign_flip_p
from flowatlas.sums import Family

Columns = dict[str, Any]


def find_pairs(corpus: Corpus) -> list[tuple[str, str]]:
    """Make `sides` (prompt_id, kind, pair, sign, g, bin): a prompt's place in its pair; returns the pairs of roles, by `kind`.

    A pair_id counts for two roles when it has exactly one prompt of each. A pair is of the group that both are of.
    """
    corpus.execute(
        "CREATE TEMP TABLE single AS SELECT pair_id, role, any_value(prompt_id) AS prompt_id FROM prompts "
        "WHERE pair_id IS NOT NULL AND role IS NOT NULL GROUP BY pair_id, role HAVING count(*) = 1"
    )
    found = corpus.arrays(
        "SELECT a.prompt_id AS a, b.prompt_id AS b, a.role AS role_a, b.role AS role_b, "
        "CASE WHEN u.g = v.g THEN u.g ELSE -1 END AS g FROM single a JOIN single b ON a.pair_id = b.pair_id "
        "AND a.role < b.role JOIN units u ON u.prompt_id = a.prompt_id JOIN units v ON v.prompt_id = b.prompt_id "
        "ORDER BY role_a, role_b, a, b"
    )
    both = list(zip(found["role_a"].tolist(), found["role_b"].tolist(), strict=True))
    kinds = sorted(set(both))
    kind = np.array([kinds.index(roles) for roles in both], np.int32)
    g = found["g"].astype(np.int32)
    bins = np.zeros(len(both), np.int32)
    for k in range(len(kinds)):
        bins[kind == k] = deal(corpus.rng("pairs", k), int(np.sum(kind == k)))
    pair = np.arange(len(both), dtype=np.int32)
    sides = [(found["a"], np.ones(len(both), np.int32)), (found["b"], -np.ones(len(both), np.int32))]
    columns = {"prompt_id": np.concatenate([side for side, _ in sides]).astype(np.int32)}
    columns["sign"] = np.concatenate([sign for _, sign in sides])
    for name, values in (("kind", kind), ("pair", pair), ("g", g), ("bin", bins)):
        columns[name] = np.tile(values, 2)
    corpus.register("sides", columns)
    return kinds


def tables(family: Family, kinds: list[tuple[str, str]]) -> Iterator[tuple[str, Columns]]:
    """Rows of `contrasts` between roles, as (table, columns): over all pairs, then group by group."""
    if not kinds:
        return
    _sum_pairs(family)
    corpus = family.corpus
    for kind, roles in enumerate(kinds):
        present = [
            row[0] for row in corpus.execute(f"SELECT DISTINCT g FROM sides WHERE kind = {kind} ORDER BY 1").fetchall()
        ]
        scopes = [(None, present)] + [(corpus.groups[g], [g]) for g in present if g >= 0 and corpus.groups]
        for group, codes in scopes:
            yield "contrasts", _compare(family, kind, roles, group, codes)


def _sum_pairs(family: Family) -> None:
    """`<family>_pairs` (kind, g, bin, c, ...): sums over pairs of both sides, their differences and squares."""
    name, taus = family.name, family.corpus.taus
    measures = family.compared
    effect = "" if "effect" not in measures else "LEFT JOIN blocks_effect_values USING (prompt_id, c)"
    inner = ", ".join(
        f"coalesce(sum({m}) FILTER (sign > 0), 0) AS a_{m}, coalesce(sum({m}) FILTER (sign < 0), 0) AS b_{m}, "
        f"count({m}) AS n_{m}"
        for m in measures
    )
    for side, sign in (("a", ">"), ("b", "<")):
        inner += f", coalesce(max(route_tau) FILTER (sign {sign} 0), 0) AS tau_{side}"
    outer = ", ".join(
        f"sum(a_{m} - b_{m}) AS d_{m}, sum((a_{m} - b_{m}) * (a_{m} - b_{m})) AS d2_{m}, "
        f"sum(a_{m}) AS a_{m}, sum(b_{m}) AS b_{m}, sum(n_{m}) AS n_{m}"
        for m in measures
    )
    active = ", ".join(
        f"count_if(tau_{side} > {tau}::FLOAT) AS on_{side}{k}" for side in "ab" for k, tau in enumerate(taus)
    )
    family.corpus.execute(
        f"CREATE OR REPLACE TEMP TABLE {name}_pairs AS SELECT kind, g, bin, c, {outer}, {active} "
        f"FROM (SELECT kind, g, bin, pair, c, {inner} FROM {name}_values JOIN sides USING (prompt_id) {effect} "
        "GROUP BY kind, g, bin, pair, c) GROUP BY kind, g, bin, c"
    )


def _compare(family: Family, kind: int, roles: tuple[str, str], group: str | None, codes: list[int]) -> Columns:
    corpus, where = family.corpus, f"kind = {kind} AND g IN ({', '.join(map(str, codes))})"
    rng = corpus.rng("pairs", family.name, kind, group)
    count = corpus.arrays(f"SELECT bin, count(*) // 2 AS n FROM sides WHERE {where} GROUP BY bin ORDER BY bin")
    pairs, row_of = count["n"].astype(float), {int(bin_): row for row, bin_ in enumerate(count["bin"])}
    rows = corpus.arrays(f"SELECT * FROM {family.name}_pairs WHERE {where}")
    place = np.array([row_of[int(bin_)] for bin_ in rows["bin"]], int), rows["c"].astype(int)
    n, drawn = int(pairs.sum()), draw_units(rng, len(pairs))

    def total(name: str) -> np.ndarray:
        return np.bincount(place[1], weights=rows[name].astype(float), minlength=family.n_parts)

    pieces = []
    for measure in family.compared:
        units = np.zeros((len(pairs), family.n_parts))
        np.add.at(units, place, rows[f"d_{measure}"].astype(float))  # pairs of several groups may share a bin
        spread = moments(np.full(family.n_parts, n), total(f"d_{measure}"), total(f"d2_{measure}"))
        low, high = interval(ratios(drawn, units, pairs), len(pairs))
        with np.errstate(divide="ignore", invalid="ignore"):
            standardised = np.where(spread.variance > 0, spread.mean / np.sqrt(spread.variance), np.nan)
        # neurons have no row where they are not stored: share 0; an effect must be known on both sides of every pair
        known = np.full(family.n_parts, measure != "effect") | (total(f"n_{measure}") == 2 * n)
        piece = {"measure": measure, "mean_a": total(f"a_{measure}") / n, "mean_b": total(f"b_{measure}") / n}
        piece |= {"difference": np.where(known, spread.mean, np.nan), "difference_low": low, "difference_high": high}
        p = sign_flip_p(rng, units / pairs[:, None])
        pieces.append({**piece, "standardised": standardised, "p": np.where(known, p, np.nan)})
    active = [np.stack([total(f"on_{side}{k}") for k in range(N_TAUS)]) / n for side in "ab"]
    head = {"contrast": "roles", "a": roles[0], "b": roles[1], "group": group, "n_a": n, "n_b": n}
    return assemble(family, head, pieces, active)
