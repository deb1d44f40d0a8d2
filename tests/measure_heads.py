"""Do the heads that the statistics name matter? Ablates them in the model, and every other set of as many heads.

    python tests/measure_heads.py RUN MODEL      # a run of the demo; writes the table of docs/stats.md

A head is ablated by putting its mean output over all positions of all prompts in the place of its output everywhere. What
is measured is the mean drop, in nats or logits, of what the heads are said to be for, and of the same elsewhere: in the
other groups of prompts, or at the other tokens.
"""

import argparse
import dataclasses
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

import flowatlas
from flowatlas.atlas import Atlas
from flowatlas.kinds_of_tokens import token_kind

DOCUMENT = Path(__file__).parents[1] / "docs" / "stats.md"
PLACE = re.compile(r"(<!-- ablations -->\n).*(<!-- /ablations -->)", re.DOTALL)
Heads = frozenset[tuple[int, int]]
NOBODY: Heads = frozenset()
_GROUPS = {"indirect objects": "ioi", "induction": "induction"}
_PREVIOUS = (
    "SELECT layer, head FROM stats.roles WHERE \"group\" IS NULL AND role = 'previous token' AND source = 'edges' "
    "ORDER BY contribution DESC LIMIT 1"
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """Heads that a query found, and the drops when they are ablated, and when any other set of as many is."""

    name: str
    how: str
    measured: str
    heads: Heads
    drop: float
    others: dict[Heads, float]
    elsewhere: dict[str, float]

    @property
    def place(self) -> int:
        """1 when no other set is missed as much."""
        return 1 + sum(drop >= self.drop for drop in self.others.values())

    @property
    def of_layer(self) -> list[float]:
        """Drops of the other sets within the layer of the found heads."""
        layers = {layer for layer, _ in self.heads}
        return [drop for heads, drop in self.others.items() if {layer for layer, _ in heads} == layers]


@dataclasses.dataclass(frozen=True)
class Composition:
    """Attention of the induction head to the position after an earlier copy, whole, and with an earlier head ablated."""

    head: tuple[int, int]
    previous_token: tuple[int, int]
    whole: float
    without: dict[tuple[int, int], float]


# What each kind of head is found by: the rows of a table of statistics, the best first, and how many of them.
_QUERIES = {
    "indirect objects": (
        "SELECT layer, index FROM stats.contrasts WHERE contrast = 'rest' AND a = 'ioi' AND component = 'head' "
        "AND measure = 'target_share' ORDER BY difference DESC LIMIT 2",
        "`contrasts`: `ioi` against the rest, largest two differences of `target_share`",
        "answer less foil at the last token, logits, `ioi`",
    ),
    "induction": (
        "SELECT layer, head FROM stats.roles WHERE \"group\" IS NULL AND role = 'induction' AND source = 'edges' "
        "ORDER BY contribution DESC LIMIT 1",
        "`roles`: largest `contribution` of `induction`",
        "answer less foil at the last token, logits, `induction`",
    ),
    "subword merging": (
        "SELECT layer, head FROM stats.roles WHERE \"group\" IS NULL AND role = 'same word' AND source = 'edges' "
        "ORDER BY contribution DESC LIMIT 1",
        "`roles`: largest `contribution` of `same word`",
        "log probability of the next token after a later piece of a word, nats",
    ),
}


class Ablated:
    """The model on the prompts of a run, with any heads replaced by their means."""

    def __init__(self, run: Atlas, model_dir: str | Path) -> None:
        self.model = cast(Any, AutoModelForCausalLM).from_pretrained(model_dir, attn_implementation="eager").eval()
        self.blocks, self.width = self.model.transformer.h, self.model.config.n_embd // self.model.config.n_head
        rows = run.sql(
            'SELECT token_ids, target, answer_id, foil_id, "group", tokens FROM prompts JOIN targets USING (prompt_id) '
            "QUALIFY target = max(target) OVER (PARTITION BY prompt_id) ORDER BY prompt_id"
        ).fetchall()
        self.ids = torch.zeros(len(rows), max(len(row[0]) for row in rows), dtype=torch.long)
        self.mask = torch.zeros_like(self.ids)
        for k, row in enumerate(rows):
            self.ids[k, : len(row[0])], self.mask[k, : len(row[0])] = torch.tensor(row[0]), 1
        self.last, self.answer, self.foil = (torch.tensor([row[k] for row in rows]) for k in (1, 2, 3))
        self.groups = np.array([row[4] for row in rows])
        self.later_piece = torch.zeros_like(self.mask, dtype=torch.bool)
        for k, row in enumerate(rows):
            for pos in range(1, len(row[5]) - 1):  # a later piece, with a next token to predict
                before, this = token_kind(row[5][pos - 1]), token_kind(row[5][pos])
                self.later_piece[k, pos] = before.ends and this.begins
        self.means: dict[int, Tensor] = {}
        self.forward(NOBODY, torch.arange(len(rows)))

    def forward(self, heads: Heads, rows: Tensor) -> Any:
        """The model's output for some prompts, cut to the longest. The first call, of all without heads, takes the means."""
        n = int(self.mask[rows].sum(1).max())
        hooks = [
            block.attn.c_proj.register_forward_pre_hook(self._hook(layer, heads))
            for layer, block in enumerate(self.blocks)
        ]
        with torch.no_grad():
            found = self.model(self.ids[rows, :n], attention_mask=self.mask[rows, :n], output_attentions=True)
        for hook in hooks:
            hook.remove()
        return found

    def _hook(self, layer: int, heads: Heads) -> Callable:
        def replace(_: object, args: tuple[Tensor]) -> tuple[Tensor]:
            if layer not in self.means:
                self.means[layer] = args[0][self.mask.bool()].mean(0)
            joined = args[0].clone()  # all heads' outputs beside each other, before W_O
            for head in (head for its, head in heads if its == layer):
                part = slice(head * self.width, (head + 1) * self.width)
                joined[..., part] = self.means[layer][part]
            return (joined,)

        return replace

    def of_group(self, group: str) -> Tensor:
        """The rows of a group."""
        return torch.from_numpy(np.flatnonzero(self.groups == group))

    def gap(self, heads: Heads, rows: Tensor) -> float:
        """Mean over prompts of the answer's logit less the foil's at the last target."""
        at = self.forward(heads, rows).logits[torch.arange(len(rows)), self.last[rows]]
        return (at.gather(-1, self.answer[rows, None]) - at.gather(-1, self.foil[rows, None])).mean().item()

    def next_token(self, heads: Heads) -> tuple[float, float]:
        """Mean log probability of the next token after a later piece of a word, and after any other token."""
        logits = self.forward(heads, torch.arange(len(self.ids))).logits[:, :-1]
        chances = logits.log_softmax(-1).gather(-1, self.ids[:, 1:, None])[..., 0]
        later = self.later_piece[:, :-1]
        return chances[later].mean().item(), chances[self.mask[:, 1:].bool() & ~later].mean().item()

    def score(self, name: str, heads: Heads) -> float:
        """What is measured, with these heads ablated."""
        return self.gap(heads, self.of_group(_GROUPS[name])) if name in _GROUPS else self.next_token(heads)[0]

    def elsewhere(self, name: str, heads: Heads) -> dict[str, float]:
        """The drop of the same where the heads are not said to be needed, by name of the place."""
        if name not in _GROUPS:
            return {"after other tokens": self.next_token(NOBODY)[1] - self.next_token(heads)[1]}
        others = [group for group in sorted(set(self.groups.tolist())) if group != _GROUPS[name]]
        return {f"`{g}`": self.gap(NOBODY, self.of_group(g)) - self.gap(heads, self.of_group(g)) for g in others}

    def induction_attention(self, head: tuple[int, int], heads: Heads) -> float:
        """Mean attention of a head to positions after an earlier copy of the token, where there is one; group `induction`."""
        rows = self.of_group("induction")
        attention = self.forward(heads, rows).attentions[head[0]][:, head[1]]
        n = attention.shape[-1]
        ids, there = self.ids[rows, :n], self.mask[rows, :n].bool()
        source = torch.zeros(len(rows), n, n, dtype=torch.bool)  # [prompt, query, key]
        source[:, :, 1:] = ids[:, :, None] == ids[:, None, :-1]
        source &= torch.ones(n, n, dtype=torch.bool).tril() & there[:, :, None]
        return (attention * source).sum(-1)[source.any(-1)].mean().item()


def measure(run_dir: Path, model_dir: str | Path) -> tuple[list[Finding], Composition]:
    """Each kind of head: what was found, and what ablation says; and what the induction head needs of earlier ones."""
    findings = []
    with flowatlas.open(run_dir) as run:
        ablated = Ablated(run, model_dir)
        shape = ablated.model.config
        every = [(layer, head) for layer in range(shape.n_layer) for head in range(shape.n_head)]
        for name, (query, how, measured) in _QUERIES.items():
            heads = frozenset(run.sql(query).fetchall())
            whole = ablated.score(name, NOBODY)
            drops = {
                other: whole - ablated.score(name, other) for other in map(frozenset, combinations(every, len(heads)))
            }
            elsewhere = ablated.elsewhere(name, heads)
            findings.append(Finding(name, how, measured, heads, drops.pop(heads), drops, elsewhere))
        (head,) = findings[1].heads
        earlier = [other for other in every if other[0] < head[0]]
        without = {other: ablated.induction_attention(head, frozenset([other])) for other in earlier}
        whole = ablated.induction_attention(head, NOBODY)
        return findings, Composition(head, run.sql(_PREVIOUS).fetchall()[0], whole, without)


def _named(heads: Heads) -> str:
    return ", ".join(f"L{layer}H{head}" for layer, head in sorted(heads))


def markdown(findings: list[Finding], composition: Composition) -> str:
    """The tables of docs/stats.md."""
    lines = [
        "| heads for | found by | heads | measured | drop | place | next | elsewhere: mean, most |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for f in findings:
        best = max(f.others, key=lambda heads: f.others[heads])
        most = max(f.elsewhere, key=lambda place: f.elsewhere[place])
        elsewhere = f"{np.mean([*f.elsewhere.values()]):.2f}, {f.elsewhere[most]:.2f} ({most})"
        place = f"{f.place} of {1 + len(f.others)}"
        next_ = f"{_named(best)} {f.others[best]:.2f}"
        row = (f.name, f.how, _named(f.heads), f.measured, f"{f.drop:.2f}", place, next_, elsewhere)
        lines.append(f"| {' | '.join(row)} |")
    c = composition
    lines += [
        "",
        f"| attention of {_named(frozenset([c.head]))} to the position after an earlier copy, group `induction` | |",
        "|---|---|",
    ]
    lines.append(f"| whole model | {c.whole:.2f} |")
    lines += [f"| without {_named(frozenset([head]))} | {value:.2f} |" for head, value in c.without.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("run", type=Path)
    parser.add_argument("model", type=Path)
    args = parser.parse_args()
    table = markdown(*measure(args.run, args.model))
    DOCUMENT.write_text(PLACE.sub(lambda found: f"{found[1]}{table}{found[2]}", DOCUMENT.read_text()))
    print(table)


if __name__ == "__main__":
    main()
