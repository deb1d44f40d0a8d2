"""Examples of what each head and neuron does: where it carried most, evenly spread ones, and random ones.

Every prompt in which a head (neuron) is stored stands for its largest share there. The largest alone would mislead
(Bolukbasi et al. 2021, *An Interpretability Illusion for BERT*), so one at each decile and a random draw stand beside them.
"""

from collections.abc import Iterator
from typing import Any

from flowatlas.corpus import Corpus

TOP, RANDOM, DECILES = 10, 5, 10

# One integer that orders a prompt's edges by share, then by position, so that equal shares have one winner in every
# build: 30 bits of share (exact for a float32 from 1/64 up) and 17 each of dst and src (contexts up to 131071 tokens).
_BITS = 17
_KEY = (
    f"(((share::DOUBLE * 1073741824)::UBIGINT << {2 * _BITS}) | "
    f"(({(1 << _BITS) - 1} - dst)::UBIGINT << {_BITS}) | ({(1 << _BITS) - 1} - src)::UBIGINT)"
)
_MASK = (1 << _BITS) - 1

_STORED = {
    "head": "SELECT prompt_id, layer, -1 AS expert, head AS index, dst, src, share FROM edges WHERE head >= 0",
    "neuron": "SELECT prompt_id, layer, expert, neuron AS index, pos AS dst, pos AS src, share "
    "FROM neurons JOIN kept USING (layer, expert, neuron)",
}


def tables(corpus: Corpus) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of `examples`, as (table, columns)."""
    for component, stored in _STORED.items():
        found = corpus.arrays(_sql(stored, corpus.reader.plan.config.get("run", {}).get("seed") or 0))
        yield "examples", {"component": [component] * len(found["layer"]), **found}


def _sql(stored: str, seed: int) -> str:
    part = "layer, expert, index"
    return f"""
        WITH peaks AS (
            SELECT {part}, prompt_id, max({_KEY}) AS key FROM ({stored}) GROUP BY {part}, prompt_id
        ), ranked AS (
            SELECT *, row_number() OVER (PARTITION BY {part} ORDER BY key DESC, prompt_id) AS rank FROM peaks
        ), sizes AS (
            SELECT {part}, count(*) AS n FROM peaks GROUP BY {part}
        ), wanted AS (
            SELECT {part}, n, 'top' AS choice, place, place AS rank FROM sizes, range(1, {TOP + 1}) t(place)
            UNION ALL SELECT {part}, n, 'decile', step, (1 + round((n - 1) * step / {DECILES}))::BIGINT
            FROM sizes, range({DECILES + 1}) t(step) WHERE n > {DECILES}
            UNION ALL SELECT {part}, n, 'random', min(lot), rank FROM (
                SELECT {part}, n, lot, 1 + (md5_number_lower(concat_ws('/', {part}, lot, {int(seed)})) % n)::BIGINT AS rank
                FROM sizes, range(1, {RANDOM + 1}) t(lot)
            ) GROUP BY {part}, n, rank
        ), chosen AS (
            SELECT wanted.*, prompt_id, key FROM wanted JOIN ranked USING ({part}, rank)
        )
        SELECT {part}, choice, place, n AS n_prompts, prompt_id,
            {_MASK} - ((key >> {_BITS}) & {_MASK})::INTEGER AS dst, {_MASK} - (key & {_MASK})::INTEGER AS src,
            ((key >> {2 * _BITS})::DOUBLE / 1073741824)::FLOAT AS share
        FROM chosen ORDER BY {part}, choice DESC, place
    """
