"""A batch of prompts in, the rows of every table out.

1. One forward pass (`activations`).
2. From the top layer down: shares of all parts, reach of all nodes, the edges and neurons of what is reached (`_walk`).
3. One unembedding of every stored node (`vocabulary`): lens, writes of blocks, answers' ranks.
4. Direct logit effects at the targets (`vocabulary`).

Only one layer's shares exist at a time, and nothing has the shape [token, token, head, d_model].
"""

from collections.abc import Sequence

import pyarrow as pa
import torch
from torch import Tensor

from flowatlas import activations, components, contributions, lens, routes
from flowatlas.activations import Activations, Batch
from flowatlas.clock import Clock
from flowatlas.columns import Collector
from flowatlas.config import Config
from flowatlas.models import Model
from flowatlas.prompts import Prompt, Reject
from flowatlas.schema import POINTS, TABLES
from flowatlas.vocabulary import Vocabulary
from flowatlas.weights import LayerWeights


class Extractor:
    """Extracts batches of prompts; holds what is the same for all of them."""

    def __init__(self, model: Model, config: Config):
        self.model, self.config = model, config
        self.constant = lens.constant(model.final)
        settle = torch.cuda.synchronize if model.device.type == "cuda" else lambda: None
        self.clock = Clock(settle)

    def __call__(self, prompts: Sequence[Prompt]) -> tuple[dict[str, pa.Table], list[Reject]]:
        """All tables but `rejects` for these prompts, and the prompts whose residual stream is not finite."""
        with torch.inference_mode():
            with self.clock.stage("forward"):
                batch, acts, rejects = self._forward(list(prompts))
            bad = {reject.prompt_id for reject in rejects}
            prompts = [prompt for prompt in prompts if prompt.prompt_id not in bad]
            if rejects and prompts:  # again without them: their NaN must not pass through any sum
                batch, acts, _ = self._forward(prompts)
            rows = Collector()
            if prompts:
                _add_prompts(rows, prompts)
                _Extraction(self, prompts, batch, acts, rows).run()
            with self.clock.stage("tables"):
                return {name: rows.table(name) for name in TABLES if name != "rejects"}, rejects

    def _forward(self, prompts: list[Prompt]) -> tuple[Batch, Activations, list[Reject]]:
        batch = Batch.of([prompt.token_ids for prompt in prompts], self.model.device)
        acts, _ = activations.run(self.model, batch)
        return batch, acts, _not_finite(prompts, acts, batch)


class _Extraction:
    """One batch on its way: the state that the steps share."""

    def __init__(
        self, extractor: Extractor, prompts: Sequence[Prompt], batch: Batch, acts: Activations, rows: Collector
    ):
        self.model, self.clock = extractor.model, extractor.clock
        self.floor, self.neurons_k = extractor.config.routes.floor, extractor.config.neurons.top_k
        self.maps = extractor.config.maps
        self.batch, self.acts, self.rows = batch, acts, rows
        self.prompt_ids = torch.tensor([prompt.prompt_id for prompt in prompts], device=batch.ids.device)
        self.is_target = torch.zeros_like(batch.mask, dtype=torch.bool)
        for b, prompt in enumerate(prompts):
            self.is_target[b, list(prompt.targets)] = True
        self.last_target = torch.tensor([prompt.targets[-1] for prompt in prompts], device=batch.ids.device)
        self.vocabulary = Vocabulary(extractor.model, extractor.config, extractor.constant, batch, acts, rows)
        self.vocabulary.choose_answers(prompts, self.is_target)

    def run(self) -> None:
        with self.clock.stage("walk"):
            walked = self._walk()
        with self.clock.stage("lens"):
            self.vocabulary.read_nodes(walked)
        with self.clock.stage("effects"):
            self.vocabulary.logit_effects()

    def _walk(self) -> routes.Walked:
        """From the top down. Each block's weights are made once and its shares dropped when it is done."""
        top = routes.start(self.is_target.to(self.model.dtype))
        reach, stored_share, bias_share = [top], [], []
        for l in reversed(range(self.model.n_layers)):
            weights = self.model.layer(l)
            mid, share, bias = self._through_mlp(l, weights, reach[0])
            stored_share.insert(0, share)
            bias_share.insert(0, bias)
            below, share, bias = self._through_attention(l, weights, mid)
            stored_share.insert(0, share)
            bias_share.insert(0, bias)
            reach[:0] = [below, mid]
        nothing = torch.zeros_like(top.summed)
        stored = [self._stored(node) for node in reach]
        return routes.Walked(reach, stored, [nothing, *stored_share], [nothing, *bias_share])

    def _stored(self, reach: routes.Reach) -> Tensor:
        return (reach.summed > 0) | self.is_target

    def _through_mlp(self, l: int, weights: LayerWeights, reach: routes.Reach) -> tuple[routes.Reach, Tensor, Tensor]:
        floor, whole, residual = self.floor, self.acts.resid[2 * l + 2], self.acts.resid[2 * l + 1]
        mlp, rest = contributions.mlp_shares(whole, residual, self.acts.mlp_out(l))
        on_route = reach.summed > 0
        self._add_step("mlp", l, mlp, on_route)
        self._add_step("resid_mlp", l, rest, on_route)
        self._add_component("mlp", l, components.of_step, mlp, reach)
        self._add_component("resid_mlp", l, components.of_step, rest, reach)
        bias = self._neurons(l, weights, self._stored(reach), on_route & (mlp > floor))
        stored = (routes.above(mlp, floor) + routes.above(rest, floor)) * on_route
        return routes.through_mlp(reach, mlp, rest, floor), stored, bias

    def _through_attention(
        self, l: int, weights: LayerWeights, reach: routes.Reach
    ) -> tuple[routes.Reach, Tensor, Tensor]:
        floor, whole, residual = self.floor, self.acts.resid[2 * l + 1], self.acts.resid[2 * l]
        pattern = self.acts.pattern(l)
        values = contributions.head_values(self.acts.v(l), weights.w_o)
        shares = contributions.attention_shares(whole, residual, pattern, values, weights.b_o, self.batch.lengths)
        summed, largest = shares.heads.sum(-1), shares.heads.amax(-1)
        on_route = reach.summed > 0
        self._add_attention(l, shares.heads, summed, pattern, on_route)
        if self.maps.store:
            self._add_maps(l, shares.heads, pattern)
        self._add_step("resid_attn", l, shares.residual, on_route)
        self._add_component("head", l, components.of_heads, shares.heads, reach)
        self._add_component("resid_attn", l, components.of_step, shares.residual, reach)
        self._head_writes(l, weights, (shares.heads > floor).any(2) & on_route[..., None])
        stored = (routes.above(summed, floor).sum(-1) + routes.above(shares.residual, floor)) * on_route
        below = routes.through_attention(reach, summed, largest, shares.residual, floor)
        return below, stored, shares.bias

    def _add_attention(self, l: int, heads: Tensor, summed: Tensor, pattern: Tensor, on_route: Tensor) -> None:
        """Edges of kind attn: the sum over heads as head = -1, then every head's own; heads [batch, query, key, head]."""
        b, i, j = ((summed > self.floor) & on_route[:, :, None]).nonzero(as_tuple=True)
        never = torch.zeros_like(b, dtype=torch.bool)
        self._add_edges("attn", l, b, i, j, -1, summed[b, i, j], (summed[b, i, j], never))
        b, i, j, h = ((heads > self.floor) & on_route[:, :, None, None]).nonzero(as_tuple=True)
        attention = pattern[b, h, i, j]
        self._add_edges("attn", l, b, i, j, h, heads[b, i, j, h], (attention, torch.ones_like(b, dtype=torch.bool)))

    def _add_maps(self, l: int, heads: Tensor, pattern: Tensor) -> None:
        """Cells of every head's two maps, of every query of a prompt; heads [batch, query, key, head].

        They may be many and wait for the end of the batch: kept as narrow as they are stored, and off the device.
        """
        share = heads.permute(0, 3, 1, 2)  # (batch, head, query, key), as the pattern
        kept = ((share > self.maps.floor) | (pattern > self.maps.floor)) & self.batch.mask[:, None, :, None].bool()
        b, h, i, j = kept.nonzero(as_tuple=True)
        places = {"prompt_id": self.prompt_ids[b], "head": h, "dst": i, "src": j}
        narrow = {name: values.to(torch.int32).cpu() for name, values in places.items()}
        cells = {"share": share[b, h, i, j], "attention": pattern[b, h, i, j]}
        self.rows.add("maps", layer=l, **narrow, **{name: cell.float().cpu() for name, cell in cells.items()})

    def _add_step(self, kind: str, l: int, share: Tensor, on_route: Tensor) -> None:
        """Edges from a node to the one above it at the same position; share [batch, pos]."""
        b, i = ((share > self.floor) & on_route).nonzero(as_tuple=True)
        never = torch.zeros_like(b, dtype=torch.bool)
        self._add_edges(kind, l, b, i, i, -1, share[b, i], (share[b, i], never))

    def _add_edges(
        self, kind: str, l: int, b: Tensor, dst: Tensor, src: Tensor, head, share: Tensor, attention
    ) -> None:
        self.rows.add(
            "edges", prompt_id=self.prompt_ids[b], layer=l, kind=kind, dst=dst, src=src, head=head, share=share,
            attention=attention,
        )  # fmt: skip

    def _add_component(self, name: str, l: int, measure, share: Tensor, reach: routes.Reach) -> None:
        found = measure(share, reach.per_head, self.batch.mask, self.last_target, self.floor)
        n_prompt, n_index = found.mean_share.shape
        index = torch.arange(n_index, device=share.device).repeat(n_prompt)
        self.rows.add(
            "components", prompt_id=self.prompt_ids.repeat_interleave(n_index), layer=l, component=name, index=index,
            **{column: values.flatten() for column, values in found._asdict().items()},
        )  # fmt: skip

    def _neurons(self, l: int, weights: LayerWeights, stored: Tensor, wanted: Tensor) -> Tensor:
        """Top neurons of the MLPs on the route; returns the bias share of b_out at every stored node [batch, pos]."""
        b, i = stored.nonzero(as_tuple=True)
        whole, residual = self.acts.resid[2 * l + 2][b, i], self.acts.resid[2 * l + 1][b, i]
        activation = self.acts.neurons(l)[b, i]
        shares = contributions.neuron_shares(whole, residual, activation, weights.w_out, weights.b_out)
        bias = torch.zeros_like(self.acts.resid[0][..., 0])
        bias[b, i] = shares.bias
        on = wanted[b, i].nonzero(as_tuple=True)[0]
        top, neuron = shares.neurons[on].topk(min(self.neurons_k, shares.neurons.shape[1]), -1)
        scaled = lens.write_scale(self.model.final, activation[on], self.model.final.scale(whole[on]))
        node, rank = (top > 0).nonzero(as_tuple=True)
        chosen = neuron[node, rank]
        self.rows.add(
            "neurons", prompt_id=self.prompt_ids[b[on][node]], layer=l, pos=i[on][node], expert=-1, neuron=chosen,
            share=top[node, rank], activation=activation[on][node, chosen], write_scale=scaled[node, chosen],
        )  # fmt: skip
        return bias

    def _head_writes(self, l: int, weights: LayerWeights, wanted: Tensor) -> None:
        """Promoted and suppressed tokens of the heads with a stored edge; wanted [batch, query, head]."""
        b, i, h = wanted.nonzero(as_tuple=True)
        z = self.acts.z(l)
        written = z.new_zeros(len(h), self.model.d_model)
        for head in h.unique().tolist():
            own = h == head
            written[own] = z[b[own], i[own], head] @ weights.w_o[head]
        scale = self.model.final.scale(self.acts.resid[2 * l + 1][b, i])
        self.vocabulary.add_head_writes(l, self.prompt_ids[b], i, h, written, scale)


def _add_prompts(rows: Collector, prompts: Sequence[Prompt]) -> None:
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


def _not_finite(prompts: list[Prompt], acts: Activations, batch: Batch) -> list[Reject]:
    """Prompts in whose residual stream a NaN or an infinity stands, with the first place where it does."""
    rejects: dict[int, Reject] = {}
    for depth, resid in enumerate(acts.resid):
        bad = ~torch.isfinite(resid).all(-1) & batch.mask.bool()
        for b, pos in bad.nonzero().tolist() if bool(bad.any()) else []:
            place = f"layer {(depth - 1) // 2} {POINTS[(depth + 1) % 2]}, position {pos}"
            prompt = prompts[b]
            rejects.setdefault(
                b, Reject(prompt.prompt_id, prompt.source_id, "not_finite", f"NaN or infinity at {place}")
            )
    return list(rejects.values())
