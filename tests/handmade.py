"""A GPT-2 in the Hugging Face format whose circuit is put in by hand, and a dataset of which one group needs it.

Two blocks of four heads. The residual stream has a place for each token, each position, each token before, and each
prediction. L0H1 attends to the position before and copies its token into the place `before`. L1H2 looks for positions whose
`before` is its own token, so for what came after an earlier copy, and predicts the token there; where there is none it rests
on the first position, from which it reads nothing. All other weights are small and random.
"""

import json
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

WORDS, POSITIONS, HEAD = (
    24,
    24,
    26,
)  # tokens, the most in a prompt, width of a head (one direction for each token, and two)
TOKEN, POSITION, BEFORE, PREDICTED = 0, WORDS, WORDS + POSITIONS, 2 * WORDS + POSITIONS  # where each place begins
WIDTH = 4 * HEAD
PREVIOUS_TOKEN, INDUCTION = (0, 1), (1, 2)  # layer, head
NOISE = 0.01


def save_model(folder: Path) -> Path:
    """Save the model and its tokenizer of the words `<s> a1 ... a23`."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=WORDS, n_positions=POSITIONS, n_embd=WIDTH, n_layer=2, n_head=4, n_inner=16, bos_token_id=0,
        eos_token_id=0, tie_word_embeddings=False,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "ln" not in name:
                weight.copy_(torch.randn_like(weight) * NOISE)
        model.transformer.wte.weight[:, TOKEN : TOKEN + WORDS] += torch.eye(WORDS)
        model.transformer.wpe.weight[:, POSITION : POSITION + POSITIONS] += torch.eye(POSITIONS)
        model.lm_head.weight[:, PREDICTED : PREDICTED + WORDS] += torch.eye(WORDS)
        _previous_token(model)
        _induction(model)
    model.save_pretrained(folder)
    words = {"<s>": 0} | {f"a{i}": i for i in range(1, WORDS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<s>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>").save_pretrained(folder)
    return folder


def save_prompts(path: Path, n: int = 24) -> Path:
    """n prompts each of the groups `repeated` (words come again; the answer is what came after) and `fresh`."""
    rows = []
    for i in range(n):
        words = [f"a{k}" for k in (torch.randperm(WORDS - 1, generator=torch.Generator().manual_seed(i)) + 1).tolist()]
        half, length = 6 + i % 4, 3 + i % 3
        rows.append({"text": " ".join(words[:half] + words[:length]), "group": "repeated", "answer": words[length]})
        rows.append({"text": " ".join(words[: half + length]), "group": "fresh"})
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def _parts(model: GPT2LMHeadModel, layer: int, head: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Views of a head's query, key and value weights [WIDTH, HEAD], its query's bias [HEAD] and its output [HEAD, WIDTH]."""
    block = cast(Any, model).transformer.h[layer].attn
    query, key, value = (block.c_attn.weight[:, k * WIDTH + head * HEAD :][:, :HEAD] for k in range(3))
    return query, key, value, block.c_attn.bias[head * HEAD :][:HEAD], block.c_proj.weight[head * HEAD :][:HEAD]


def _previous_token(model: GPT2LMHeadModel) -> None:
    query, key, value, _, output = _parts(model, *PREVIOUS_TOKEN)
    later = torch.arange(1, POSITIONS)
    query[POSITION + later, later] += 3
    key[POSITION + later - 1, later] += 3
    value[TOKEN : TOKEN + WORDS, :WORDS] += torch.eye(WORDS)
    output[:WORDS, BEFORE : BEFORE + WORDS] += torch.eye(WORDS)


def _induction(model: GPT2LMHeadModel) -> None:
    query, key, value, query_bias, output = _parts(model, *INDUCTION)
    query[TOKEN : TOKEN + WORDS, :WORDS] += 3 * torch.eye(WORDS)
    key[BEFORE : BEFORE + WORDS, :WORDS] += 3 * torch.eye(WORDS)
    query_bias[HEAD - 1] += 10  # rests on the first position, which wins over all but a match
    key[POSITION, HEAD - 1] += 2
    words = torch.arange(1, WORDS)  # of <s> it reads nothing
    value[TOKEN + words, words] += 1
    output[:WORDS, PREDICTED : PREDICTED + WORDS] += torch.eye(WORDS)
