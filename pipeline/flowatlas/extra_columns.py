"""The dataset's extra columns as labels: of prompts (a value each), or of tokens (a list each, such as parts of speech).

A list is taken as one value for each token, special ones left out, or for each word between white space, whose tokens all
have it. Numbers of many values are cut into quarters. Null and empty values label nothing, and neither do whole numbers of
which no two are alike (an id).
"""

import dataclasses
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from flowatlas.corpus import Corpus

FETCHED = 10_000  # rows in memory at a time
MOST_VALUES = 50  # of words; a column with more (an id, a sentence) labels nothing
MOST_NUMBERS = 10  # of numbers; a column with more is cut into quarters
QUARTERS = 4

Place = tuple[int, int]  # prompt_id, position; -1 where the label is the whole prompt's


@dataclasses.dataclass
class _Column:
    """Values of one extra column as they are read; `words` counts the different ones that are no numbers."""

    values: dict[Place, str] = dataclasses.field(default_factory=dict)
    words: set[str] = dataclasses.field(default_factory=set)
    misfits: list[str] = dataclasses.field(default_factory=list)
    n_lists: int = 0

    def add(self, place: Place, value: Any) -> None:
        text = _text(value)
        if text is None or len(self.words) > MOST_VALUES:
            return
        self.values[place] = text
        if _number(text) is None:
            self.words.add(text)
            if len(self.words) > MOST_VALUES:
                self.values.clear()

    def labels(self) -> dict[Place, str]:
        """The label of each place; none where there are too many or only one."""
        if not self.words:
            return _quarters(self.values)
        labels = self.values if len(set(self.values.values())) <= MOST_VALUES else {}
        return labels if len(set(labels.values())) > 1 else {}


def labels(corpus: Corpus) -> Iterator[tuple[str, bool, dict[str, np.ndarray]]]:
    """Each column that labels something as (name, of tokens, rows of prompt_id, pos, value), by name.

    Needs `token_kinds` (see positions). Lists of the wrong length are left out, with a line on stderr for each column.
    """
    of_prompts, of_tokens = _read(corpus)
    for key, column in of_tokens.items():
        if column.misfits:
            print(
                f"flowatlas: extra column {key!r}: {len(column.misfits)} of {column.n_lists} lists have neither a value "
                f"for each token nor for each word, and are left out (first: {column.misfits[0]})",
                file=sys.stderr,
            )
    for by_token, columns in ((False, of_prompts), (True, of_tokens)):
        for key, column in sorted(columns.items()):
            if found := column.labels():
                prompt_id, pos = np.array([*found], np.int32).T
                yield key, by_token, {"prompt_id": prompt_id, "pos": pos, "value": np.array([*found.values()], object)}


def _read(corpus: Corpus) -> tuple[dict[str, _Column], dict[str, _Column]]:
    special = {row[0] for row in corpus.execute("SELECT token_id FROM token_kinds WHERE kind = 'special'").fetchall()}
    of_prompts: defaultdict[str, _Column] = defaultdict(_Column)
    of_tokens: defaultdict[str, _Column] = defaultdict(_Column)
    cursor = corpus.execute(
        "SELECT prompt_id, extra, tokens, token_ids FROM prompts WHERE extra IS NOT NULL ORDER BY prompt_id"
    )
    while rows := cursor.fetchmany(FETCHED):
        for prompt_id, extra, tokens, ids in rows:
            for key, value in json.loads(extra).items():
                if not isinstance(value, list):
                    of_prompts[key].add((prompt_id, -1), value)
                    continue
                column = of_tokens[key]
                column.n_lists += 1
                plain = [pos for pos, token_id in enumerate(ids) if token_id not in special]
                places = _places(value, tokens, plain)
                if places is None:
                    n_words = len("".join(tokens[pos] for pos in plain).split())
                    column.misfits.append(
                        f"prompt {prompt_id}, {len(value)} values for {len(plain)} tokens, {n_words} words"
                    )
                for pos, one in places or ():
                    column.add((prompt_id, pos), one)
    return of_prompts, of_tokens


def _places(values: list[Any], tokens: list[str], plain: list[int]) -> list[tuple[int, Any]] | None:
    """(position, value) of the tokens at the positions `plain`; None when the list fits neither them nor their words."""
    if len(values) == len(plain):
        return list(zip(plain, values, strict=True))
    words = _words([tokens[pos] for pos in plain])
    if len(values) != 1 + max((word for word in words if word is not None), default=-1):
        return None
    return [(pos, values[word]) for pos, word in zip(plain, words, strict=True) if word is not None]


def _words(tokens: list[str]) -> list[int | None]:
    """Which of the words between white space each token begins in; None for white space alone."""
    found, word, within = [], -1, False
    for token in tokens:
        begins = None
        for character in token:
            if not character.isspace() and not within:
                word += 1
            within = not character.isspace()
            if within and begins is None:
                begins = word
        found.append(begins)
    return found


def _text(value: Any) -> str | None:
    """A value as a label; None for what labels nothing."""
    if isinstance(value, str):
        return value or None
    return json.dumps(value) if isinstance(value, int | float) else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _quarters(values: dict[Place, str]) -> dict[Place, str]:
    """Numbers as they are where they are few, else by quarter, which is named with its smallest and largest value."""
    if len(set(values.values())) <= MOST_NUMBERS:
        return values if len(set(values.values())) > 1 else {}
    numbers = np.array([float(text) for text in values.values()])
    if len(np.unique(numbers)) == len(numbers) and np.all(numbers == np.floor(numbers)):
        return {}
    quarter = np.searchsorted(np.quantile(numbers, np.arange(1, QUARTERS) / QUARTERS), numbers)
    names = {}
    for k in np.unique(quarter):
        own = numbers[quarter == k]
        names[k] = f"quarter {k + 1}: {own.min():.6g} to {own.max():.6g}"
    return {place: names[k] for place, k in zip(values, quarter, strict=True)}
