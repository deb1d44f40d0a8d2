"""Writes the demo prompts, data/prompts/demo.jsonl, from the held-out part of the grammar and a seed.

    PYTHONPATH=pipeline python -m demo.prompts            # write the file
    PYTHONPATH=pipeline python -m demo.prompts --check    # is the committed file what this script makes?

The prompts depend on the tokenizer (clean and corrupt have equally many tokens), never on what the model answers.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from random import Random

from tokenizers import Tokenizer

from demo.corpus import answer_id
from demo.grammar import Pair, Prompt, draw_pair

# Pairs per group. Where combinations are few (capitals, sums) the count stays below what is held out.
PAIRS = {
    "ioi": 56,
    "capital": 20,
    "induction": 40,
    "agreement": 36,
    "sequence": 32,
    "capital_fr": 14,
    "sum": 28,
    "code": 32,
    "colour": 36,
    "year": 32,
}
OPENING = "When Mary and John went to the"  # how the first prompt begins, which is what a visitor sees first
MAX_TOKENS = 32
MAX_DRAWS = 20_000


def fits(pair: Pair, tokenizer: Tokenizer, used: set[str]) -> bool:
    """Whether both prompts are new, short enough, of the same length in tokens and told apart by their answers."""
    lengths = {len(tokenizer.encode(prompt.text).ids) for prompt in pair}
    answers = {answer_id(tokenizer, prompt.answer) for prompt in pair}
    is_new = used.isdisjoint(prompt.text for prompt in pair)
    return is_new and len(lengths) == 1 and max(lengths) <= MAX_TOKENS and len(answers) == 2


def draw_group(group: str, tokenizer: Tokenizer, seed: int) -> list[Pair]:
    """The pairs of one group, each text once."""
    rng = Random(f"{group} {seed}")
    used: set[str] = set()
    pairs: list[Pair] = []
    for _ in range(MAX_DRAWS):
        if len(pairs) == PAIRS[group]:
            return pairs
        pair = draw_pair(group, rng)
        opens = group != "ioi" or bool(pairs) or (pair[0].text.startswith(OPENING) and pair[0].answer == "Mary")
        if opens and fits(pair, tokenizer, used):
            pairs.append(pair)
            used.update(prompt.text for prompt in pair)
    raise SystemExit(f"{group}: {len(pairs)} of {PAIRS[group]} pairs after {MAX_DRAWS:,} draws; lower PAIRS[{group!r}]")


def row(prompt: Prompt, tokenizer: Tokenizer, group: str, number: int, role: str) -> dict[str, str]:
    """A line of the file. A longer word is asked for by its first piece, so that every answer is one token."""
    answer, foil = (tokenizer.decode([answer_id(tokenizer, word)]).strip() for word in (prompt.answer, prompt.foil))
    pair_id = f"{group}-{number:04d}"
    return {
        "id": f"{pair_id}-{role}",
        "text": prompt.text,
        "group": group,
        "pair_id": pair_id,
        "role": role,
        "answer": answer,
        "foil": foil,
        "template": prompt.template,
        "language": prompt.language,
    }


def demo_rows(tokenizer: Tokenizer, seed: int) -> list[dict[str, str]]:
    """All rows. Groups take turns, so that any stretch of the file shows several."""
    drawn = {group: draw_group(group, tokenizer, seed) for group in PAIRS}
    return [
        row(prompt, tokenizer, group, number, role)
        for number in range(max(PAIRS.values()))
        for group, pairs in drawn.items()
        for pair in pairs[number : number + 1]
        for prompt, role in zip(pair, ("clean", "corrupt"), strict=True)
    ]


def demo_file(model: Path, seed: int) -> str:
    """The text of data/prompts/demo.jsonl."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in demo_rows(tokenizer, seed))


def main() -> None:
    """Writes the file, or with --check compares it."""
    parser = argparse.ArgumentParser(description="write the demo prompts")
    parser.add_argument("--model", type=Path, default=Path("data/models/demo"))
    parser.add_argument("--out", type=Path, default=Path("data/prompts/demo.jsonl"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="compare the file with what would be written")
    arguments = parser.parse_args()
    text = demo_file(arguments.model, arguments.seed)
    if not arguments.check:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        partial = arguments.out.with_suffix(".partial")
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, arguments.out)
        print(f"{arguments.out}: {text.count(chr(10))} prompts")
    elif not arguments.out.exists() or arguments.out.read_text(encoding="utf-8") != text:
        sys.exit(f"{arguments.out} is not what demo.prompts makes; run: PYTHONPATH=pipeline python -m demo.prompts")


if __name__ == "__main__":
    main()
