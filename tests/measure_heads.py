"""Do the heads that the statistics name matter? Ablates them in the model, and every other set of as many heads of their layer.

    python tests/measure_heads.py RUN MODEL      # a run of the demo; writes the table of docs/stats.md

A head is ablated by putting its mean output over all positions of all prompts in the place of its output everywhere. What
is measured is the mean drop, in nats or logits, of what the heads are said to be for.
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


@dataclasses.dataclass(frozen=True)
class Finding:
    """Heads that a query found, and the drops when they, and when other sets of their layer are ablated."""

    name: str
    how: str
    measured: str
    heads: Heads
    drop: float
    others: list[float]


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
        self.model = cast(Any, AutoModelForCausalLM).from_pretrained(model_dir).eval()
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
        self.logits(frozenset())

    def logits(self, heads: Heads) -> Tensor:
        """[prompt, position, token]; without heads to ablate it takes their means."""
        hooks = [
            block.attn.c_proj.register_forward_pre_hook(self._hook(layer, heads))
            for layer, block in enumerate(self.blocks)
        ]
        with torch.no_grad():
            found = self.model(self.ids, attention_mask=self.mask).logits
        for hook in hooks:
            hook.remove()
        return found

    def _hook(self, layer: int, heads: Heads) -> Callable:
        def replace(_: object, args: tuple[Tensor]) -> tuple[Tensor] | None:
            if not heads:
                self.means[layer] = args[0][self.mask.bool()].mean(0)
                return None
            joined = args[0].clone()  # all heads' outputs beside each other, before W_O
            for head in (head for its, head in heads if its == layer):
                part = slice(head * self.width, (head + 1) * self.width)
                joined[..., part] = self.means[layer][part]
            return (joined,)

        return replace

    def score(self, name: str, heads: Heads) -> float:
        """What is measured, with these heads ablated."""
        logits, rows = self.logits(heads), torch.arange(len(self.ids))
        if name == "subword merging":
            chances = logits[:, :-1].log_softmax(-1).gather(-1, self.ids[:, 1:, None])[..., 0]
            return chances[self.later_piece[:, :-1]].mean().item()
        at = logits[rows, self.last]
        gap = at[rows, self.answer] - at[rows, self.foil]
        return gap[torch.tensor(self.groups == {"indirect objects": "ioi"}.get(name, name))].mean().item()


def measure(run_dir: Path, model_dir: str | Path) -> list[Finding]:
    """Each kind of head: what was found, and what ablation says."""
    findings = []
    with flowatlas.open(run_dir) as run:
        ablated = Ablated(run, model_dir)
        n_heads = ablated.model.config.n_head
        for name, (query, how, measured) in _QUERIES.items():
            heads = frozenset(run.sql(query).fetchall())
            (layer,) = {layer for layer, _ in heads}
            whole = ablated.score(name, frozenset())
            sets = [frozenset((layer, head) for head in some) for some in combinations(range(n_heads), len(heads))]
            drops = {other: whole - ablated.score(name, other) for other in sets}
            findings.append(Finding(name, how, measured, heads, drops.pop(heads), list(drops.values())))
    return findings


def markdown(findings: list[Finding]) -> str:
    """The table of docs/stats.md."""
    lines = [
        "| heads for | found by | heads | measured | drop | drop of the others: mean, most |",
        "|---|---|---|---|---|---|",
    ]
    for f in findings:
        names = ", ".join(f"L{layer}H{head}" for layer, head in sorted(f.heads))
        others = f"{np.mean(f.others):.2f}, {max(f.others):.2f}"
        lines.append(f"| {f.name} | {f.how} | {names} | {f.measured} | {f.drop:.2f} | {others} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("run", type=Path)
    parser.add_argument("model", type=Path)
    args = parser.parse_args()
    table = markdown(measure(args.run, args.model))
    DOCUMENT.write_text(PLACE.sub(lambda found: f"{found[1]}{table}{found[2]}", DOCUMENT.read_text()))
    print(table)


if __name__ == "__main__":
    main()
