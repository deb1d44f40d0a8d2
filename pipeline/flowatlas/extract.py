"""A batch of prompts in, the rows of every table out.

1. One forward pass (`activations`), and while it is at a block the shares of its attention (`attention`).
2. From the top layer down: reach of all nodes, the edges and neurons of what is reached (`_walk`).
3. One unembedding of every stored node (`vocabulary`): lens, writes of blocks, answers' ranks.
4. Direct logit effects at the targets (`vocabulary`).
5. Where it is asked for, the answers without single components (`knockouts`), from the tables that 1 to 4 came to.

Only one block's attention weights exist at a time, and nothing has the shape [token, token, head, d_model].
"""

from collections.abc import Sequence
from contextlib import nullcontext

import pyarrow as pa
import torch
from torch import Tensor

from flowatlas import activations, answers, attention, contributions, lens, routes
from flowatlas.activations import Activations, Batch
from flowatlas.attention import BlockShares
from flowatlas.attention_kernel import Room
from flowatlas.block_rows import BlockRows, add_prompts
from flowatlas.clock import Clock
from flowatlas.columns import Collector
from flowatlas.config import Config
from flowatlas.edits import Edit
from flowatlas.generation import Continuation
from flowatlas.interventions import applied, multiples
from flowatlas.knockouts import Knockouts
from flowatlas.means import Means
from flowatlas.models import Model
from flowatlas.prompts import Prompt, Reject
from flowatlas.schema import TABLES
from flowatlas.vocabulary import Vocabulary
from flowatlas.weights import LayerWeights


class Extractor:
    """Extracts batches of prompts; holds what is the same for all of them."""

    def __init__(self, model: Model, config: Config, continuation: Continuation | None = None):
        self.model, self.config, self.continuation = model, config, continuation
        self.constant = lens.constant(model.final)
        self.room = Room()
        settle = torch.cuda.synchronize if model.device.type == "cuda" else lambda: None
        self.clock = Clock(settle)
        self._knockouts: Knockouts | None = None

    def knock_out(self, means: Means, seed: int) -> None:
        """From here on also knock out components, with these means in the place of some."""
        self._knockouts = Knockouts(self.model, self.config.knockouts, seed, means)

    def __call__(
        self, prompts: Sequence[Prompt], edits: Sequence[Edit] = ()
    ) -> tuple[dict[str, pa.Table], list[Reject]]:
        """All tables but `rejects` for these prompts, and the prompts whose residual stream is not finite.

        Where the run generates, the prompts are continued first. Under `edits` all of it is what an edited model does.
        """
        with torch.inference_mode():
            if self.continuation is not None:
                with self.clock.stage("generate"):
                    prompts = self.continuation(prompts, edits)
            with self.clock.stage("forward"):
                batch, acts, shares, rejects = self._forward(list(prompts), edits)
            bad = {reject.prompt_id for reject in rejects}
            prompts = [prompt for prompt in prompts if prompt.prompt_id not in bad]
            if rejects and prompts:  # again without them: their NaN must not pass through any sum
                batch, acts, shares, _ = self._forward(prompts, edits)
            rows = Collector()
            if prompts:
                _Extraction(self, prompts, batch, acts, shares, rows).run()
            with self.clock.stage("tables"):
                tables = {name: rows.table(name) for name in TABLES if name != "rejects"}
            if self._knockouts is not None:
                with self.clock.stage("knockouts"):
                    tables["knockouts"] = self._knockouts.table(tables)
            return tables, rejects

    def _forward(
        self, prompts: list[Prompt], edits: Sequence[Edit]
    ) -> tuple[Batch, Activations, list[BlockShares], list[Reject]]:
        """One forward pass; each block's attention is read while it is there."""
        batch = Batch.of([prompt.token_ids for prompt in prompts], self.model.device)
        floor, maps = self.config.routes.floor, self.config.maps
        found: list[BlockShares] = []

        def read(l: int, acts: Activations) -> None:
            with self.clock.stage("shares", within="forward"):
                cells = maps.floor if maps.store else None
                found.append(attention.block_shares(self.model, acts, l, batch.lengths, floor, cells, self.room))
                acts.forget_attention(l)

        with applied(self.model, [edits] * len(prompts), batch) if edits else nullcontext():
            acts, _ = activations.run(self.model, batch, read, multiples(self.model, edits, batch))
        rejects = [
            Reject(prompts[b].prompt_id, prompts[b].source_id, "not_finite", f"NaN or infinity at {place}")
            for b, place in acts.not_finite(batch.mask).items()
        ]
        return batch, acts, found, rejects


class _Extraction:
    """One batch on its way: the state that the steps share."""

    def __init__(
        self,
        extractor: Extractor,
        prompts: Sequence[Prompt],
        batch: Batch,
        acts: Activations,
        shares: list[BlockShares],
        rows: Collector,
    ):
        self.model, self.clock, self.config = extractor.model, extractor.clock, extractor.config
        self.batch, self.acts, self.attention = batch, acts, shares
        self.is_target = torch.zeros_like(batch.mask, dtype=torch.bool)
        for b, prompt in enumerate(prompts):
            self.is_target[b, list(prompt.targets)] = True
        self.block_rows = BlockRows(extractor.config, prompts, batch, rows)
        model, constant = extractor.model, extractor.constant
        prompts, asked = answers.choose(model, constant, prompts, batch, acts, self.is_target, rows)
        add_prompts(rows, prompts)
        self.vocabulary = Vocabulary(model, extractor.config, constant, prompts, acts, self.is_target, asked, rows)

    def run(self) -> None:
        with self.clock.stage("walk"):
            walked = self._walk()
        with self.clock.stage("lens"):
            self.vocabulary.read_nodes(walked)
        with self.clock.stage("effects"):
            self.vocabulary.logit_effects()

    def _walk(self) -> routes.Walked:
        """From the top down. Each block's weights are made once and its shares dropped when it is done."""
        reach = [routes.start(self.is_target.to(self.model.dtype))]
        nothing = torch.zeros_like(reach[0].summed)
        stored_share, bias_share = [], []
        steps = (
            (self._through_attention,) if self.model.stream.parallel else (self._through_mlp, self._through_attention)
        )
        for l in reversed(range(self.model.n_layers)):
            weights = self.model.layer(l)
            for step in steps:
                below, share, bias = step(l, weights, reach[0])
                reach.insert(0, below)
                stored_share.insert(0, share)
                bias_share.insert(0, bias)
        stored = [self._stored(node) for node in reach]
        return routes.Walked(reach, stored, [nothing, *stored_share], [nothing, *bias_share])

    def _stored(self, reach: routes.Reach) -> Tensor:
        return (reach.summed > 0) | self.is_target

    def _through_mlp(self, l: int, weights: LayerWeights, reach: routes.Reach) -> tuple[routes.Reach, Tensor, Tensor]:
        """From resid_post to resid_mid; also the sum of the stored shares into resid_post, and b_out's share in it."""
        floor, stream, resid = self.block_rows.floor, self.model.stream, self.acts.resid
        whole, residual = resid[stream.post(l)], resid[stream.attended(l)]
        mlp, rest = contributions.mlp_shares(whole, residual, self.acts.mlp_out(l))
        on_route = reach.summed > 0
        self.block_rows.add_step("mlp", l, mlp, reach)
        self.block_rows.add_step("resid_mlp", l, rest, reach)
        b_out = self.acts.biases(l, weights)[1]
        bias = self._neurons(l, residual, b_out, self._stored(reach), on_route & (mlp > floor))
        stored = (routes.above(mlp, floor) + routes.above(rest, floor)) * on_route
        return routes.through_mlp(reach, mlp, rest, floor), stored, bias

    def _through_attention(
        self, l: int, weights: LayerWeights, reach: routes.Reach
    ) -> tuple[routes.Reach, Tensor, Tensor]:
        """From the node after attention to resid_post below; in a parallel block that node is its only one."""
        floor, shares = self.block_rows.floor, self.attention[l]
        on_route = reach.summed > 0
        self.block_rows.add_attention(l, shares, reach)
        self.block_rows.add_step("resid_attn", l, shares.residual, reach)
        if self.config.writes.heads:
            self._head_writes(l, weights, shares.heads, on_route)
        stored = shares.stored + routes.above(shares.residual, floor)
        if shares.mlp is not None:
            self.block_rows.add_step("mlp", l, shares.mlp, reach)
            wanted = on_route & (shares.mlp > floor)
            whole = self.acts.resid[self.model.stream.post(l)]
            self._neurons(l, whole - self.acts.mlp_out(l), None, wanted | self.is_target, wanted)
            stored = stored + routes.above(shares.mlp, floor)
        below = routes.through_attention(reach, shares.summed, shares.heads, shares.residual, floor, shares.mlp)
        return below, stored * on_route, shares.bias

    def _neurons(self, l: int, residual: Tensor, b_out: Tensor | None, asked: Tensor, wanted: Tensor) -> Tensor:
        """Store the top neurons of the MLPs at the wanted nodes, and the dominant ones at targets, which are all asked.

        Returns b_out's share at every asked node [batch, pos].
        """
        b, pos = asked.nonzero(as_tuple=True)
        whole = self.acts.resid[self.model.stream.post(l)][b, pos]
        at_nodes = b_out if b_out is None or b_out.ndim == 1 else b_out[b, pos]
        blocks = self.acts.neuron_blocks(l, b, pos)
        shares = contributions.neuron_shares(whole, residual[b, pos], blocks, at_nodes)
        k, factor, norm = self.config.neurons.top_k, self.acts.mlp_factor(l), self.model.final.scale(whole)[:, 0]
        top = contributions.top_neurons(blocks, shares.neurons, wanted[b, pos], k)
        dominant = contributions.dominant_neurons(blocks, shares.neurons, self.is_target[b, pos], k)
        for add, some in ((self.block_rows.add_neurons, top), (self.block_rows.add_dominant, dominant)):
            own = some.activation if factor is None else some.activation / factor[b, pos][some.node, 0]
            scale = lens.write_scale(self.model.final, some.activation, norm[some.node])
            add(l, b[some.node], pos[some.node], some, own, scale)
        self.vocabulary.neuron_effects(l, b[top.node], pos[top.node], top)
        bias = torch.zeros_like(self.acts.resid[0][..., 0])
        bias[b, pos] = shares.bias
        return bias

    def _head_writes(self, l: int, weights: LayerWeights, edges: routes.Edges, on_route: Tensor) -> None:
        """Promoted and suppressed tokens of the heads with a stored edge; on_route [batch, query]."""
        z = self.acts.z(l)
        wanted = torch.zeros_like(z[..., 0], dtype=torch.bool)  # [batch, query, head]
        wanted[edges.b, edges.dst, edges.head] = True
        b, i, h = (wanted & on_route[..., None]).nonzero(as_tuple=True)
        written = z.new_zeros(len(h), self.model.d_model)
        for head in h.unique().tolist():
            own = h == head
            written[own] = z[b[own], i[own], head] @ weights.w_o[head]
        scale = self.model.final.scale(self.acts.resid[self.model.stream.attended(l)][b, i])
        self.vocabulary.add_head_writes(l, self.block_rows.prompt_ids[b], i, h, written, scale)
