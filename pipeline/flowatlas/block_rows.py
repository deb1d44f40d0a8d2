"""What a block's shares become: rows of edges, components, maps and neurons of one batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from flowatlas import components
from flowatlas.activations import Batch
from flowatlas.attention import BlockShares
from flowatlas.columns import Collector
from flowatlas.config import Config
from flowatlas.contributions import TopNeurons
from flowatlas.prompts import Continued, Prompt
from flowatlas.routes import Reach


class BlockRows:
    """Adds one batch's rows block by block. `reach` always is that of the nodes that an edge goes into."""

    def __init__(self, config: Config, prompts: Sequence[Prompt], batch: Batch, rows: Collector):
        device = batch.ids.device
        self.floor = config.routes.floor
        self.batch, self.rows = batch, rows
        self.prompt_ids = torch.tensor([prompt.prompt_id for prompt in prompts], device=device)
        self.asked = torch.tensor([prompt.asked for prompt in prompts], device=device)

    def add_attention(self, l: int, shares: BlockShares, reach: Reach) -> None:
        """Edges of kind attn (the sum over heads as head = -1, then every head's own), components, and maps if asked for."""
        for edges in (shares.summed, shares.heads):
            kept = reach.summed[edges.b, edges.dst] > 0
            b, dst, src, head, share, attention = (field[kept] for field in edges)
            self._add_edges("attn", l, b, dst, src, head, share, (attention, head >= 0))
        self._add_component("head", l, components.of_heads, (shares.by_head, shares.widest), reach)
        if shares.cells is not None:
            b, dst, src, head, share, attention = shares.cells
            prompt_ids = self.prompt_ids.cpu()[b.long()]
            self.rows.add(
                "maps", layer=l, prompt_id=prompt_ids, head=head, dst=dst, src=src, share=share, attention=attention
            )

    def add_step(self, kind: str, l: int, share: Tensor, reach: Reach) -> None:
        """An MLP or a residual step: its edges at the same position, and its component; share [batch, pos]."""
        b, i = ((share > self.floor) & (reach.summed > 0)).nonzero(as_tuple=True)
        never = torch.zeros_like(b, dtype=torch.bool)
        self._add_edges(kind, l, b, i, i, -1, share[b, i], (share[b, i], never))
        self._add_component(kind, l, components.of_step, (share,), reach)

    def _add_edges(
        self, kind: str, l: int, b: Tensor, dst: Tensor, src: Tensor, head, share: Tensor, attention
    ) -> None:
        self.rows.add(
            "edges", prompt_id=self.prompt_ids[b], layer=l, kind=kind, dst=dst, src=src, head=head, share=share,
            attention=attention,
        )  # fmt: skip

    def _add_component(self, name: str, l: int, measure, shares: tuple[Tensor, ...], reach: Reach) -> None:
        found = measure(*shares, reach.per_head, self.batch.mask, self.asked, self.floor)
        n_prompt, n_index = found.mean_share.shape
        index = torch.arange(n_index, device=reach.summed.device).repeat(n_prompt)
        self.rows.add(
            "components", prompt_id=self.prompt_ids.repeat_interleave(n_index), layer=l, component=name, index=index,
            **{column: values.flatten() for column, values in found._asdict().items()},
        )  # fmt: skip

    def add_neurons(self, l: int, b: Tensor, pos: Tensor, top: TopNeurons, activation: Tensor, scale: Tensor) -> None:
        """Top neurons at (b, pos); activation is what it is before a post-norm and multipliers; every argument [row]."""
        self.rows.add(
            "neurons", prompt_id=self.prompt_ids[b], layer=l, pos=pos, expert=top.expert, neuron=top.neuron,
            share=top.share, activation=activation, write_scale=scale,
        )  # fmt: skip

    def add_dominant(self, l: int, b: Tensor, pos: Tensor, top: TopNeurons, activation: Tensor, scale: Tensor) -> None:
        """Dominant neurons at the targets (b, pos); as `add_neurons`."""
        self.rows.add(
            "dominant_neurons", prompt_id=self.prompt_ids[b], target=pos, layer=l, rank=top.rank, expert=top.expert,
            neuron=top.neuron, strength=top.value, share=top.share, activation=activation, write_scale=scale,
        )  # fmt: skip


def add_prompts(rows: Collector, prompts: Sequence[Prompt]) -> None:
    """The rows of the prompts themselves."""
    plain = ("prompt_id", "source_id", "text", "group", "pair_id", "role", "answer_text", "foil_text", "extra")
    lists = ("token_ids", "tokens", "targets")
    optional = ("answer_token_ids", "foil_token_ids")
    rows.add(
        "prompts",
        n_tokens=[len(prompt.token_ids) for prompt in prompts],
        **{name: [getattr(prompt, name) for prompt in prompts] for name in plain},
        **{name: [list(getattr(prompt, name)) for prompt in prompts] for name in lists},
        **{name: [None if (ids := getattr(p, name)) is None else list(ids) for p in prompts] for name in optional},
    )
    continued = {prompt.prompt_id: prompt.continued for prompt in prompts if prompt.continued is not None}
    rows.add(
        "generated", prompt_id=list(continued),
        **{name: [getattr(one, name) for one in continued.values()] for name in Continued._fields},
    )  # fmt: skip
