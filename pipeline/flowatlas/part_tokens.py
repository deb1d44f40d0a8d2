"""Tokens of components: what each head reads and where it carries it, what it promotes there, what a neuron fires at.

Pairs are ranked by their sum of shares, promoted tokens by the number of positions. Ranking needs one number per pair;
the other columns are computed for the listed pairs alone, in a second pass.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from flowatlas.corpus import Corpus, of_peak, peak

Columns = dict[str, Any]
HEAD_PLACES, NEURON_PLACES = 20, 10
PROMOTED_RANKS = 3  # of a head's promoted tokens at a position, so many are paired with the token it reads

# Shares are summed as whole numbers of 2**-30: such sums are the same in any order, so equal ones keep one order.
_UNITS = 1 << 30
_SUM = f"sum((share::DOUBLE * {_UNITS})::BIGINT)"
_PART = "layer, expert, index"

_MOVES = """
CREATE VIEW moves AS
SELECT prompt_id, layer, -1 AS expert, head AS index, token_ids[src + 1] AS source_id, token_ids[dst + 1] AS to_id, share,
    attention, NULL::FLOAT AS score
FROM edges JOIN prompts USING (prompt_id) WHERE head >= 0
"""

# The token that a head reads at a position is that of its largest edge into it, the earliest of equals.
_WRITES = f"""
CREATE TEMP TABLE writes_pairs AS
WITH promoted AS (
    SELECT prompt_id, layer, index AS head, pos AS dst, token_id, score FROM writes
    WHERE component = 'head' AND sign = 1 AND rank <= {PROMOTED_RANKS}
), largest AS (
    SELECT prompt_id, layer, head, max({peak("dst", "src")}) AS key
    FROM edges SEMI JOIN promoted USING (prompt_id, layer, head, dst) GROUP BY prompt_id, layer, head, dst
), read AS (
    SELECT prompt_id, layer, head, {of_peak("key")} FROM largest
)
SELECT prompt_id, layer, -1 AS expert, head AS index, s.token_id AS source_id, p.token_id AS to_id,
    share, NULL::FLOAT AS attention, score
FROM promoted p JOIN read USING (prompt_id, layer, head, dst) JOIN positions s USING (prompt_id)
WHERE s.pos = src
"""

_FIRES = """
CREATE VIEW fires AS
SELECT prompt_id, layer, expert, neuron AS index, token_id AS source_id, NULL::INTEGER AS to_id, share,
    NULL::FLOAT AS attention, NULL::FLOAT AS score
FROM neurons JOIN kept USING (layer, expert, neuron) JOIN positions USING (prompt_id, pos)
"""

_PAIRS = {
    "moves": (_MOVES, "moves", "head"),
    "writes": (_WRITES, "writes_pairs", "head"),
    "fires": (_FIRES, "fires", "neuron"),
}


def tables(corpus: Corpus) -> Iterator[tuple[str, Columns]]:
    """The rows of `token_pairs`, `promoted` and `activations`, as (table, columns)."""
    texts = corpus.reader.vocabulary.texts
    for pair, (make, name, component) in _PAIRS.items():
        corpus.execute(make)
        found = corpus.arrays(_pairs_sql(name, HEAD_PLACES if component == "head" else NEURON_PLACES))
        n = len(found["layer"])
        found |= {"component": [component] * n, "pair": [pair] * n, "source": texts(found["source_id"].tolist())}
        found["to"] = texts(found["to_id"].tolist()) if component == "head" else [None] * n
        yield "token_pairs", found
    promoted = corpus.arrays(_PROMOTED)
    promoted |= {"token": texts(promoted["token_id"].tolist()), "expert": np.full(len(promoted["layer"]), -1)}
    yield "promoted", promoted
    yield "activations", corpus.arrays(_ACTIVATIONS)


def _pairs_sql(name: str, places: int) -> str:
    """The pairs with the largest sums of shares, of the rows `name`."""
    pair = "source_id, to_id"
    return f"""
        WITH sums AS (
            SELECT {_PART}, {pair}, {_SUM} AS total FROM {name} GROUP BY {_PART}, {pair}
        ), ranked AS (
            SELECT *, sum(total) OVER (PARTITION BY {_PART}) AS of_all,
                row_number() OVER (PARTITION BY {_PART} ORDER BY total DESC, {pair}) AS place
            FROM sums QUALIFY place <= {places}
        ), found AS (
            SELECT {_PART}, {pair}, count(*) AS n, count(DISTINCT prompt_id) AS n_prompts,
                avg(attention::DOUBLE) AS attention, avg(score::DOUBLE) AS score
            FROM {name} r SEMI JOIN ranked k ON r.layer = k.layer AND r.expert = k.expert AND r.index = k.index
                AND r.source_id = k.source_id AND r.to_id IS NOT DISTINCT FROM k.to_id
            GROUP BY {_PART}, {pair}
        )
        SELECT k.layer, k.expert, k.index, k.source_id, k.to_id, place, n, n_prompts, attention, score,
            total / {_UNITS} / n AS share, total / greatest(of_all, 1) AS part
        FROM ranked k JOIN found f ON f.layer = k.layer AND f.expert = k.expert AND f.index = k.index
            AND f.source_id = k.source_id AND f.to_id IS NOT DISTINCT FROM k.to_id
    """


_PROMOTED = f"""
WITH ranked AS (
    SELECT component, layer, index, sign, token_id, count(*) AS n,
        sum(count_if(rank = 1)) OVER part AS n_all,
        row_number() OVER (PARTITION BY component, layer, index, sign ORDER BY count(*) DESC, token_id) AS place
    FROM writes GROUP BY component, layer, index, sign, token_id
    WINDOW part AS (PARTITION BY component, layer, index, sign)
    QUALIFY place <= {HEAD_PLACES}
)
SELECT component, layer, index, sign, token_id, any_value(place) AS place, any_value(n_all) AS n_all, any_value(n) AS n,
    count(DISTINCT prompt_id) AS n_prompts, avg(score::DOUBLE) AS score
FROM writes JOIN ranked USING (component, layer, index, sign, token_id)
GROUP BY component, layer, index, sign, token_id
"""

_ACTIVATIONS = """
SELECT * EXCLUDE best, -best.p AS top_prompt, -best.q AS top_pos FROM (
    SELECT layer, expert, neuron, count(*) AS n, count(DISTINCT prompt_id) AS n_prompts,
        avg((activation > 0)::INTEGER) AS positive, avg(activation::DOUBLE) AS activation,
        min(activation) AS activation_least, max(activation) AS activation_most, avg(share::DOUBLE) AS share,
        max({s: share, p: -prompt_id, q: -pos}) AS best
    FROM neurons GROUP BY layer, expert, neuron
)
"""
