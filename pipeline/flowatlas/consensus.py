"""Consensus routes: of prompts that align token by token, how many hold each edge?

Prompts align when they are of one group, have as many tokens, and their tokens are of the same sorts in the same places
(word, digits, punctuation, later piece of a word): the prompts of a template.
"""

from collections.abc import Iterator
from typing import Any

from flowatlas.corpus import Corpus

LEAST_PROMPTS, MOST_TEMPLATES = 3, 200
LEAST_FREQUENCY = 0.25


_ALIGNED = f"""
CREATE TEMP TABLE aligned AS
WITH patterns AS (
    SELECT prompt_id, count(*) AS n_tokens,
        string_agg(kind || coalesce(marks, '') || piece, ' ' ORDER BY pos) AS pattern
    FROM positions GROUP BY prompt_id
), alike AS (
    SELECT g, n_tokens, pattern, count(*) AS n, min(prompt_id) AS example
    FROM patterns JOIN units USING (prompt_id) GROUP BY g, n_tokens, pattern
    HAVING count(*) >= {LEAST_PROMPTS} ORDER BY n DESC, example LIMIT {MOST_TEMPLATES}
), numbered AS (
    SELECT *, row_number() OVER (ORDER BY n DESC, example) - 1 AS template FROM alike
)
SELECT prompt_id, template, g, n_tokens, n, example
FROM numbered JOIN patterns USING (n_tokens, pattern) JOIN units USING (prompt_id, g)
"""

_TEMPLATES = """
WITH texts AS (
    SELECT template, unnest(tokens) AS token, unnest(range(len(tokens))) AS pos
    FROM prompts JOIN aligned USING (prompt_id)
), places AS (
    SELECT template, pos, CASE WHEN count(DISTINCT token) = 1 THEN any_value(token) END AS token
    FROM texts GROUP BY template, pos
)
SELECT template, g, n, n_tokens, example, tokens
FROM (SELECT DISTINCT template, g, n, n_tokens, example FROM aligned)
JOIN (SELECT template, list(token ORDER BY pos) AS tokens FROM places GROUP BY template) USING (template)
ORDER BY template
"""

_CONSENSUS = f"""
SELECT template, layer, kind, dst, src, head, count(*) AS n_holding, count(*) / any_value(n) AS frequency,
    avg(share::DOUBLE) AS share
FROM edges JOIN aligned USING (prompt_id) GROUP BY template, layer, kind, dst, src, head
HAVING count(*) >= {LEAST_FREQUENCY} * any_value(n) AND count(*) > 1
ORDER BY template, layer DESC, kind, dst, src, head
"""


def tables(corpus: Corpus) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of `templates` and `consensus`, as (table, columns)."""
    corpus.execute(_ALIGNED)
    rows = corpus.execute(_TEMPLATES).fetchall()  # not as arrays: a list may hold nulls
    names = ("template", "group", "n_prompts", "n_tokens", "example_id", "tokens")
    columns: dict[str, Any] = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    columns["group"] = [corpus.groups[g] if g >= 0 else None for g in columns["group"]]
    yield "templates", columns
    yield "consensus", corpus.arrays(_CONSENSUS)
