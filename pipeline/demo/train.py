"""Trains the demo model: a GPT-2 of 0.93 M parameters that knows nothing but the demo grammar.

    PYTHONPATH=pipeline python -m demo.train --out data/models/demo

The tokenizer and the weights come from a seed, with one thread, so the same machine and library versions make the same
model again. It takes about fifteen minutes on one core.
"""

import argparse
import json
import time
from pathlib import Path
from random import Random

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from demo.corpus import CONTEXT, END, VOCABULARY, answer_id, end_id, pack, train_tokenizer, training_rows
from demo.grammar import GROUPS, Prompt, draw_pair

BATCH_ROWS = 32
MAX_LR = 2e-3
ANSWER_WEIGHT = 5.0
EVALUATION_PAIRS = 150


def build_model(end: int) -> GPT2LMHeadModel:
    """GPT-2's architecture, small. No dropout: the text is drawn anew for every step, so nothing can be overfitted."""
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=CONTEXT,
        n_embd=128,
        n_layer=4,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=end,
        eos_token_id=end,
        tie_word_embeddings=True,
    )
    return GPT2LMHeadModel(config)


def right_answers(model: GPT2LMHeadModel, tokenizer: Tokenizer, prompts: list[Prompt]) -> list[bool]:
    """Whether the most likely next token of all the vocabulary is the answer, for each prompt after end-of-text."""
    encoded = [tokenizer.encode(END + prompt.text).ids for prompt in prompts]
    ends = torch.tensor([len(ids) - 1 for ids in encoded])
    # Padding stands on the right, where a causal model cannot see it.
    tokens = torch.zeros(len(encoded), int(ends.max()) + 1, dtype=torch.long)
    for row, ids in zip(tokens, encoded, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    with torch.no_grad():
        logits = model(tokens).logits[torch.arange(len(encoded)), ends]  # (prompts, vocabulary)
    wanted = torch.tensor([answer_id(tokenizer, prompt.answer) for prompt in prompts])
    return (logits.argmax(-1) == wanted).tolist()


def evaluate(model: GPT2LMHeadModel, tokenizer: Tokenizer, seed: int, pairs: int) -> dict[str, float]:
    """Share of right answers to held-out prompts, per group."""
    rng = Random(seed)
    accuracies = {}
    for group in GROUPS:
        prompts = [prompt for _ in range(pairs) for prompt in draw_pair(group, rng)]
        right = right_answers(model, tokenizer, prompts)
        accuracies[group] = sum(right) / len(right)
    return accuracies


def alone(tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    """Positions and attention mask that show each sentence of a packed row only itself, as if it stood alone.

    tokens (rows, positions), each row beginning with end-of-text. With the neighbours in view, indirect objects and
    colours were not learnt in 3,200 steps; without them, in 1,000.
    """
    length = tokens.shape[1]
    starts = (
        torch.where(tokens == tokens[:, :1], torch.arange(length), 0).cummax(1).values
    )  # where a token's sentence begins
    visible = (starts[:, :, None] == starts[:, None, :]) & torch.ones(length, length, dtype=torch.bool).tril()
    mask = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
    return {"position_ids": torch.arange(length) - starts, "attention_mask": mask[:, None]}


def weighted_loss(model: GPT2LMHeadModel, tokens: torch.Tensor, is_answer: torch.Tensor) -> torch.Tensor:
    """Next-token cross entropy in which an answer counts ANSWER_WEIGHT times: most other words are drawn at random."""
    logits = model(tokens, **alone(tokens)).logits[:, :-1]  # (rows, positions, vocabulary)
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    weights = 1 + (ANSWER_WEIGHT - 1) * is_answer[:, 1:].flatten()
    return (losses * weights).sum() / weights.sum()


def train(model: GPT2LMHeadModel, tokenizer: Tokenizer, data: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    """One pass over `data`, ids and answers as `pack` makes them, with AdamW and a one-cycle learning rate."""
    ids, is_answer = (torch.from_numpy(array) for array in data)
    steps = len(ids) // BATCH_ROWS
    optimizer = torch.optim.AdamW(model.parameters(), lr=MAX_LR, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, MAX_LR, total_steps=steps, pct_start=0.1)
    started = time.monotonic()
    for step in range(steps):
        batch = slice(step * BATCH_ROWS, (step + 1) * BATCH_ROWS)
        loss = weighted_loss(model, ids[batch], is_answer[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 100 == 0 or step + 1 == steps:
            minutes = (time.monotonic() - started) / 60
            print(f"step {step + 1:5d}/{steps}  loss {loss.item():.3f}  {minutes:.1f} min", flush=True)
        if (step + 1) % 250 == 0:
            accuracies = evaluate(model, tokenizer, seed + step, pairs=50)
            print("    " + "  ".join(f"{group} {share:.0%}" for group, share in accuracies.items()), flush=True)


def table(accuracies: dict[str, float]) -> str:
    """The accuracies as a Markdown table."""
    lines = ["| group | held-out accuracy |", "|---|---|"]
    lines += [f"| {group} | {share:.1%} |" for group, share in accuracies.items()]
    return "\n".join(lines)


CARD = """# flowatlas demo model

A GPT-2 of {parameters:.2f} M parameters (4 layers, 4 heads, width 128, context {context}, tied embeddings, float32)
with a byte-level BPE tokenizer of {vocabulary:,} tokens. Both were trained from scratch on sentences of a small
invented grammar (`pipeline/demo/grammar.py`): nobody else's text went into it, and it can do nothing outside of that
grammar. It is there to be taken apart: it loads from this folder without a network and answers in milliseconds.

## What it can do

Share of held-out prompts whose most likely next token, of all {vocabulary:,}, is the answer: {count} prompts drawn per
group, with repeats where a group has fewer. Held-out prompts are made of combinations that are never trained on.

{table}

Put `{end}` before a prompt: every training row began with it. The tokenizer knows it as its BOS and EOS token
but does not add it by itself.

## Recipe

    PYTHONPATH=pipeline python -m demo.train --out data/models/demo --seed {seed} --steps {steps}

AdamW (weight decay 0.01, gradients clipped at 1), one-cycle learning rate up to {lr}, {steps} steps of {rows} rows x
{context} tokens, each seen once; no dropout; one thread. Sentences in a row are separated by `{end}` and tell of
different things, and each is trained on as if it stood alone: its positions begin at 0 and it attends to no other
sentence. Positions from {longest} on, the length of the longest sentence, are therefore untrained. An answer counts
{weight:.0f} times in the loss. {minutes:.0f} minutes on one core. Weights: {size:.1f} MB.
"""


def write_tokenizer(tokenizer: Tokenizer, out: Path) -> None:
    """Saves the tokenizer as transformers loads it; `<|endoftext|>` is its BOS, EOS and unknown token, as in GPT-2."""
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, unk_token=END, model_max_length=CONTEXT
    )
    fast.save_pretrained(str(out))


def write_card(model: GPT2LMHeadModel, accuracies: dict[str, float], out: Path, **facts) -> None:
    """Writes the model card next to the weights."""
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    card = CARD.format(
        parameters=parameters,
        context=CONTEXT,
        vocabulary=VOCABULARY,
        count=2 * EVALUATION_PAIRS,
        table=table(accuracies),
        end=END,
        lr=MAX_LR,
        weight=ANSWER_WEIGHT,
        rows=BATCH_ROWS,
        size=(out / "model.safetensors").stat().st_size / 1e6,
        **facts,
    )
    (out / "README.md").write_text(card, encoding="utf-8")


def main() -> None:
    """Trains, prints the accuracies and writes the model folder."""
    parser = argparse.ArgumentParser(description="train the demo model")
    parser.add_argument("--out", type=Path, default=Path("data/models/demo"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=3200)
    arguments = parser.parse_args()
    started = time.monotonic()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    rows = list(training_rows(arguments.seed, arguments.steps * BATCH_ROWS))
    tokenizer = train_tokenizer(arguments.seed)
    data = pack(tokenizer, rows)
    print(f"{len(rows):,} rows drawn in {time.monotonic() - started:.0f} s", flush=True)
    model = build_model(end_id(tokenizer))
    train(model, tokenizer, data, arguments.seed)
    accuracies = evaluate(model.eval(), tokenizer, arguments.seed, EVALUATION_PAIRS)
    print(table(accuracies))
    arguments.out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(arguments.out)
    write_tokenizer(tokenizer, arguments.out)
    longest = int(alone(torch.from_numpy(data[0][:1000]))["position_ids"].max()) + 1
    minutes = (time.monotonic() - started) / 60
    write_card(
        model, accuracies, arguments.out, seed=arguments.seed, steps=arguments.steps, minutes=minutes, longest=longest
    )
    print(json.dumps({"out": str(arguments.out), "minutes": round(minutes, 1)}))


if __name__ == "__main__":
    main()
