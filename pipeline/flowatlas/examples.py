"""Examples of what each head and neuron does: where it carried most, evenly spread ones, and random ones.

Every prompt in which a head (neuron) is stored stands for its largest share there. The largest alone would mislead
(Bolukbasi et al. 2021, *An Interpretability Illusion for BERT*), so one at each decile and a random draw stand beside them.
"""

from collections.abc import Iterator
from typing import Any

from flowatlas.corpus import Corpus, of_peak, peak

TOP, RANDOM, DECILES = 10, 5, 10

# Of every prompt in which a component is stored: where its share is largest.
_PEAKS = {
    "head": f"SELECT layer, -1 AS expert, head AS index, prompt_id, max({peak('dst', 'src')}) AS key "
    "FROM edges WHERE head >= 0 GROUP BY layer, head, prompt_id",
    "neuron": "SELECT layer, expert, neuron AS index, prompt_id, peak AS key FROM neurons_values JOIN kept USING (c)",
}


def tables(corpus: Corpus) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of `examples`, as (table, columns)."""
    for component, peaks in _PEAKS.items():
        found = corpus.arrays(_sql(peaks, corpus.reader.plan.config.get("run", {}).get("seed") or 0))
        yield "examples", {"component": [component] * len(found["layer"]), **found}


def _sql(peaks: str, seed: int) -> str:
    part = "layer, expert, index"
    return f"""
        WITH peaks AS (
            {peaks}
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
        SELECT {part}, choice, place, n AS n_prompts, prompt_id, {of_peak("key")}
        FROM chosen ORDER BY {part}, choice DESC, place
    """
