"""The demo's training text: which sentences stand side by side, and their packing into rows of tokens."""

from collections.abc import Iterator
from random import Random

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from demo.grammar import GROUPS, Prompt, draw_trainable

END = "<|endoftext|>"
VOCABULARY = 1024
CONTEXT = 64

# How often a row takes a group before the others: the slower a group is to learn, the more of it is shown.
WEIGHTS = {
    "ioi": 3.0,
    "capital": 1.0,
    "capital_fr": 1.0,
    "agreement": 1.0,
    "sequence": 2.0,
    "induction": 5.0,
    "sum": 3.0,
    "year": 1.0,
    "code": 1.5,
    "colour": 4.0,
}

# Sentences per group that the tokenizer learns from: many where rare words should be one token (number words, nouns),
# few where merging more would spoil the text (invented names, years).
TOKENIZER_SENTENCES = {
    "ioi": 2600,
    "capital": 7000,
    "capital_fr": 7000,
    "agreement": 7000,
    "sequence": 9000,
    "induction": 2000,
    "sum": 2000,
    "year": 1500,
    "code": 3000,
    "colour": 2500,
}


def draw_row(rng: Random) -> list[Prompt]:
    """One sentence of each subject, in weighted random order.

    No subject comes twice in a row (both languages' capitals are one subject), so that the packed text gives no answer
    away to whoever trains on it without hiding the neighbours.
    """
    order = sorted(GROUPS, key=lambda group: rng.random() ** (1 / WEIGHTS[group]), reverse=True)
    subjects: dict[str, str] = {}
    for group in order:
        subjects.setdefault(group.split("_")[0], group)
    return [draw_trainable(group, rng) for group in subjects.values()]


def training_rows(seed: int, count: int) -> Iterator[list[Prompt]]:
    """The training text: the same `count` rows of sentences for the same seed."""
    rng = Random(seed)
    for _ in range(count):
        yield draw_row(rng)


def tokenizer_sentences(seed: int) -> Iterator[str]:
    """Sentences of the training text in the proportions that the tokenizer learns from."""
    rng = Random(seed)
    for group, count in TOKENIZER_SENTENCES.items():
        for _ in range(count):
            yield draw_trainable(group, rng).sentence


def train_tokenizer(seed: int) -> Tokenizer:
    """Byte-level BPE as GPT-2 has it: a word's leading space belongs to its token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)  # pyright: ignore
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(tokenizer_sentences(seed), trainer)
    return tokenizer


def end_id(tokenizer: Tokenizer) -> int:
    """The id of `<|endoftext|>`: the first, as special tokens come before all others."""
    number = tokenizer.token_to_id(END)
    assert number is not None, f"the tokenizer has no {END}"
    return number


def pack(tokenizer: Tokenizer, rows: list[list[Prompt]]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and which of them are answers, both (rows, CONTEXT).

    Every sentence begins with end-of-text, as the prompts will, and the row is cut at its end.
    """
    ids = np.full((len(rows), CONTEXT), end_id(tokenizer), dtype=np.int64)
    is_answer = np.zeros((len(rows), CONTEXT), dtype=bool)
    for number, row in enumerate(rows):
        filled = 0
        for prompt in row:
            sentence = tokenizer.encode(END + prompt.sentence).ids[: CONTEXT - filled]
            answer = filled + len(tokenizer.encode(END + prompt.text).ids)
            ids[number, filled : filled + len(sentence)] = sentence
            is_answer[number, answer : answer + 1] = True  # nothing where the answer is cut off
            filled += len(sentence)
            if filled == CONTEXT:
                break
    return ids, is_answer


def answer_id(tokenizer: Tokenizer, answer: str) -> int:
    """The token that says the answer: a space and the word, or the first piece of a longer word."""
    return tokenizer.encode(" " + answer).ids[0]
