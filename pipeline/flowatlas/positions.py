"""A table of every position of every prompt: what its token is, and how many earlier positions stand in a role to it."""

import numpy as np

from flowatlas.corpus import Corpus
from flowatlas.kinds_of_tokens import token_kind

# Which sources meet a role: SQL over `d`, the row of `positions` of the destination, and `s`, that of the source.
# The second is how many such sources a destination has, 0 to dst. Position 0, which has no choice, is left out.
ROLE_RULES = {
    "previous token": ("s.pos = d.pos - 1", "1"),
    "current token": ("s.pos = d.pos", "1"),
    "first token": ("s.pos = 0", "1"),
    "duplicate token": ("s.token_id = d.token_id AND s.pos < d.pos", "d.n_same"),
    "induction": ("s.before_id = d.token_id AND s.pos < d.pos", "d.n_after"),
    "same word": ("s.word = d.word AND s.pos < d.pos", "d.n_pieces"),
    "same punctuation": ("s.marks = d.marks AND s.pos < d.pos", "d.n_marks"),
}


def place(prompt_id: str, pos: str) -> str:
    """SQL of one number for a position of a prompt.

    Who joins both ends of an edge joins by it: by (prompt_id, pos) a planner may pair all positions of a prompt first.
    """
    return f"(({prompt_id}::BIGINT << 17) | {pos})"


def make_positions(corpus: Corpus) -> None:
    """Make the table `positions` (prompt_id, pos, place, token_id, before_id, kind, piece, word, marks, n_same, n_after, ...).

    `word` numbers the words of a prompt; `n_same` counts earlier positions of the same token, `n_after` those that follow
    one (and are earlier still), `n_pieces` earlier pieces of the word, `n_marks` earlier punctuation of the same group.
    """
    _make_token_kinds(corpus)
    corpus.execute(_POSITIONS)


_POSITIONS = f"""
CREATE TEMP TABLE positions AS
WITH flat AS (
    SELECT prompt_id, unnest(token_ids) AS token_id, unnest(range(len(token_ids)))::INTEGER AS pos FROM prompts
), known AS (
    SELECT *, lag(token_id) OVER w AS before_id, begins AND coalesce(lag(ends) OVER w, false) AS goes_on
    FROM flat JOIN token_kinds USING (token_id)
    WINDOW w AS (PARTITION BY prompt_id ORDER BY pos)
), worded AS (
    SELECT *, sum((NOT goes_on)::INTEGER) OVER w::INTEGER AS run, kind IN ('word', 'digit') AS in_word,
        coalesce(lead(goes_on) OVER w, false) AS goes_on_after
    FROM known
    WINDOW w AS (PARTITION BY prompt_id ORDER BY pos)
), counted AS (
    SELECT *, row_number() OVER (PARTITION BY prompt_id, token_id ORDER BY pos) - 1 AS n_same,
        row_number() OVER (PARTITION BY prompt_id, run ORDER BY pos) - 1 AS n_pieces,
        row_number() OVER (PARTITION BY prompt_id, marks ORDER BY pos) - 1 AS n_alike
    FROM worded
)
SELECT prompt_id, pos, {place("prompt_id", "pos")} AS place, token_id, before_id, kind, marks,
    CASE WHEN in_word THEN run END AS word,
    CASE WHEN NOT in_word THEN 'no word' WHEN goes_on THEN 'later piece'
        WHEN goes_on_after THEN 'first piece' ELSE 'whole word' END AS piece,
    n_same, n_pieces, CASE WHEN marks IS NULL THEN 0 ELSE n_alike END AS n_marks,
    n_same - (before_id IS NOT DISTINCT FROM token_id)::INTEGER AS n_after  -- what follows the token before is itself
FROM counted
"""


def _make_token_kinds(corpus: Corpus) -> None:
    ids = corpus.arrays("SELECT DISTINCT unnest(token_ids) AS token_id FROM prompts ORDER BY 1")["token_id"]
    texts = corpus.reader.vocabulary.table(ids.astype(np.int32))
    kinds = [
        token_kind(text, special)
        for text, special in zip(texts["token"].to_pylist(), texts["special"].to_pylist(), strict=True)
    ]
    columns = {"token_id": ids.astype(np.int32), "kind": np.array([kind.kind for kind in kinds], object)}
    columns["marks"] = np.array([kind.marks for kind in kinds], object)
    columns["begins"] = np.array([kind.begins for kind in kinds], bool)
    columns["ends"] = np.array([kind.ends for kind in kinds], bool)
    corpus.register("token_kinds", columns)
