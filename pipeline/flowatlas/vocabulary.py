"""The vocabulary side of an extraction: lenses, writes and direct effects of one batch as rows of tables."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from flowatlas import lens
from flowatlas.activations import Activations
from flowatlas.answers import MISSING, Asked
from flowatlas.columns import Collector
from flowatlas.config import Config
from flowatlas.contributions import TopNeurons
from flowatlas.kernels import top_differences, top_tokens
from flowatlas.models import Model
from flowatlas.prompts import Prompt
from flowatlas.routes import Walked
from flowatlas.schema import WRITERS


class Vocabulary:
    """Reads tokens out of one batch's residual stream."""

    def __init__(
        self,
        model: Model,
        config: Config,
        constant: Tensor | None,
        prompts: Sequence[Prompt],
        acts: Activations,
        is_target: Tensor,
        asked: Asked,
        rows: Collector,
    ):
        self.model, self.final, self.constant = model, model.final, constant
        self.lens = config.lens
        self.acts, self.rows = acts, rows
        self.is_target, self.answer, self.foil, self.answer_from = is_target, asked.answer, asked.foil, asked.came_from
        self.k_writes = min(config.writes.top_k, model.vocab_size)
        device = is_target.device
        self.prompt_ids = torch.tensor([p.prompt_id for p in prompts], device=device)
        self.asked_at = torch.tensor([p.asked for p in prompts], device=device)
        self.layer_at = torch.tensor(model.stream.layer, device=device)  # by depth
        self.point_at = torch.tensor(model.stream.point, device=device)

    # -- nodes --------------------------------------------------------------------------------------------------------

    def read_nodes(self, walked: Walked) -> None:
        """Unembed every stored node and the one before it once; add the rows of nodes, lens, targets and block writes."""
        self.walked = walked
        stored = torch.stack(walked.stored)  # [depth, batch, pos]
        needed = stored.clone()
        needed[:-1] |= stored[1:]
        # Sorted by column, then depth: the node before a stored one is the row before it.
        keys = needed.permute(1, 2, 0).nonzero()
        resid = torch.stack(self.acts.resid)
        for chunk, fresh in self._chunks(keys):
            b, pos, depth = chunk.unbind(1)
            emitted = (stored[depth, b, pos] & fresh).nonzero(as_tuple=True)[0]
            if len(emitted):
                self._read_chunk(resid[depth, b, pos], b, pos, depth, emitted)

    def _chunks(self, keys: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Cut the rows into chunks; each but the first begins with the last row of the one before, which is not fresh."""
        size, begin = max(2, lens.rows_at_once(self.final)), 0
        while begin < len(keys):
            first = max(0, begin - 1)
            chunk = keys[first : first + size]
            yield chunk, torch.arange(len(chunk), device=keys.device) >= begin - first
            begin = first + size

    def _read_chunk(self, x: Tensor, b: Tensor, pos: Tensor, depth: Tensor, emitted: Tensor) -> None:
        scale = self.final.scale(x)
        z = lens.project(self.final, x, scale)
        self._block_writes(z, scale[:, 0], b, pos, depth, emitted)
        scores = lens.logits(self.final, z, self.constant)
        found = lens.read(scores if len(emitted) == len(scores) else scores[emitted], self.lens.top_k)
        where = (b[emitted], pos[emitted], depth[emitted])
        previous = torch.full_like(found.top_ids, MISSING)
        later = where[2] > 0
        previous[later] = lens.ranks(scores, emitted[later] - 1, found.top_ids[later])
        self._add_lens(found, where, previous, raw=False)
        if self.lens.raw:
            bare = lens.read(lens.project_raw(self.final, x[emitted]), self.lens.top_k)
            self._add_lens(bare, where, torch.full_like(previous, MISSING), raw=True)
        self._add_nodes(x[emitted], scores, emitted, found, where)

    def _add_lens(self, found: lens.Lens, where: tuple[Tensor, ...], previous: Tensor, raw: bool) -> None:
        n, k = found.top_ids.shape
        b, pos, depth = (values.repeat_interleave(k) for values in where)
        prob = (found.top_values - found.logsumexp[:, None]).exp()
        self.rows.add(
            "lens", prompt_id=self.prompt_ids[b], layer=self.layer_at[depth], point=self.point_at[depth], pos=pos, raw=raw,
            rank=torch.arange(1, k + 1).repeat(n), token_id=found.top_ids.flatten(),
            logit=found.top_values.flatten(), prob=prob.flatten(),
            prev_rank=(previous.flatten(), previous.flatten() != MISSING),
        )  # fmt: skip

    def _add_nodes(
        self, x: Tensor, scores: Tensor, emitted: Tensor, found: lens.Lens, where: tuple[Tensor, ...]
    ) -> None:
        b, pos, depth = where
        in_column = self.is_target[b, pos]
        contrasted = in_column & (self.foil[b, pos] != MISSING)
        asked = torch.stack([self.answer[b, pos], self.foil[b, pos]], 1).clamp_min(0)
        logit = scores[emitted[:, None], asked]  # [node, (answer, foil)]
        rank = torch.zeros_like(asked)
        rank[in_column] = lens.ranks(scores, emitted[in_column], asked[in_column])
        at = [torch.stack(values)[depth, b, pos] for values in self._by_depth()]
        self.rows.add(
            "nodes", prompt_id=self.prompt_ids[b], layer=self.layer_at[depth], point=self.point_at[depth], pos=pos,
            reach_summed=at[0], reach_per_head=at[1], stored_share=at[2].clamp_max(1), bias_share=at[3],
            norm=x.norm(dim=-1), entropy=found.entropy, logsumexp=found.logsumexp,
            answer_rank=(rank[:, 0], in_column), answer_logit=(logit[:, 0], in_column),
            foil_rank=(rank[:, 1], contrasted), foil_logit=(logit[:, 1], contrasted),
        )  # fmt: skip
        last = ((depth == len(self.acts.resid) - 1) & in_column).nonzero(as_tuple=True)[0]
        self._add_targets(last, b[last], pos[last], found, logit, rank, contrasted[last])

    def _by_depth(self) -> tuple[list[Tensor], ...]:
        walked = self.walked
        reach = walked.reach
        return [r.summed for r in reach], [r.per_head for r in reach], walked.stored_share, walked.bias_share

    def _add_targets(
        self, last: Tensor, b: Tensor, pos: Tensor, found: lens.Lens, logit: Tensor, rank: Tensor, contrasted: Tensor
    ) -> None:
        """The explained positions, from the lens of their last node; `last` are its rows in `found`."""
        logsumexp = found.logsumexp[last]
        prob = (logit[last] - logsumexp[:, None]).exp()
        self.rows.add(
            "targets", prompt_id=self.prompt_ids[b], target=pos, predicted_id=found.top_ids[last, 0],
            predicted_prob=(found.top_values[last, 0] - logsumexp).exp(), answer_id=self.answer[b, pos],
            answer_from=self.answer_from[b, pos], answer_prob=prob[:, 0], answer_rank=rank[last, 0],
            foil_id=(self.foil[b, pos], contrasted), foil_prob=(prob[:, 1], contrasted),
            foil_rank=(rank[last, 1], contrasted), logsumexp=logsumexp,
        )  # fmt: skip

    # -- writes -------------------------------------------------------------------------------------------------------

    def _block_writes(self, z: Tensor, scale: Tensor, b: Tensor, pos: Tensor, depth: Tensor, emitted: Tensor) -> None:
        """Writes of attention blocks and MLPs by linearity: z(node) - z(node before) * s_before / s_node.

        In a parallel block that is the sum of both: the MLP's is projected by itself, and attention's is the rest.
        """
        above = emitted[depth[emitted] > 0]
        factor = scale[above - 1] / scale[above]
        b, pos, depth = b[above], pos[above], depth[above]
        if self.model.stream.parallel:
            written = torch.empty_like(self.acts.resid[0][b, pos])
            for l in range(self.model.n_layers):
                own = self.layer_at[depth] == l
                written[own] = self.acts.mlp_out(l)[b[own], pos[own]]
            of_mlp = lens.project(self.final, written, scale[above, None])
            of_attention = z[above] - factor[:, None] * z[above - 1] - of_mlp
            for name, scores in (("attn", of_attention), ("mlp", of_mlp)):
                found = top_tokens(scores, self.k_writes, both_ends=True)
                self._add_block_writes(torch.full_like(depth, WRITERS.index(name)), b, pos, depth, *found)
        else:
            writer = torch.tensor([WRITERS.index("attn"), WRITERS.index("mlp")], device=z.device)
            found = top_differences(z, above, above - 1, factor, self.k_writes)
            self._add_block_writes(writer[self.point_at[depth]], b, pos, depth, *found)

    def _add_block_writes(
        self, writer: Tensor, b: Tensor, pos: Tensor, depth: Tensor, values: Tensor, ids: Tensor
    ) -> None:
        layer, index = self.layer_at[depth], torch.zeros_like(pos)
        self._add_writes(self.prompt_ids[b], layer, writer, index, pos, values, ids)

    def add_head_writes(
        self, l: int, prompt_id: Tensor, pos: Tensor, head: Tensor, written: Tensor, scale: Tensor
    ) -> None:
        """Promoted and suppressed tokens of single heads; written [row, d_model], scale [row, 1] of the nodes after."""
        for some in torch.arange(len(head), device=head.device).split(lens.rows_at_once(self.final)):
            scores = lens.project(self.final, written[some], scale[some])
            values, ids = top_tokens(scores, self.k_writes, both_ends=True)
            layer, writer = torch.full_like(some, l), torch.full_like(some, WRITERS.index("head"))
            self._add_writes(prompt_id[some], layer, writer, head[some], pos[some], values, ids)

    def _add_writes(
        self, prompt_id: Tensor, layer: Tensor, writer: Tensor, index: Tensor, pos: Tensor, values: Tensor, ids: Tensor
    ) -> None:
        """values, ids [write, end, k]: end 0 promoted, end 1 suppressed; only what moves the logit in that direction."""
        sign = torch.tensor([1, -1], device=values.device)
        n, end, rank = (values * sign[:, None] > 0).nonzero(as_tuple=True)
        self.rows.add(
            "writes", prompt_id=prompt_id[n], layer=layer[n], component=writer[n],
            index=index[n], pos=pos[n], sign=sign[end], rank=rank + 1, token_id=ids[n, end, rank],
            score=values[n, end, rank],
        )  # fmt: skip

    # -- direct effects -----------------------------------------------------------------------------------------------

    def logit_effects(self) -> None:
        """What every component adds to the answer's and the foil's logit at each target, under the last node's scale."""
        b, pos = self.is_target.nonzero(as_tuple=True)
        contrasted = self.foil[b, pos] != MISSING
        directions = self._directions(b, pos)
        embedded = self.acts.resid[0][b, pos]
        self._add_effects("embed", -1, b, pos, [(embedded * d).sum(-1, keepdim=True) for d in directions], contrasted)
        for l in range(self.model.n_layers):
            weights = self.model.layer(l)
            z, mlp, b_o = self.acts.z(l)[b, pos], self.acts.mlp_out(l)[b, pos], self.acts.biases(l, weights)[0]
            heads = [(z * torch.einsum("hed,nd->nhe", weights.w_o, d)).sum(-1) for d in directions]
            self._add_effects("head", l, b, pos, heads, contrasted)
            if b_o is not None:
                b_o = b_o if b_o.ndim == 1 else b_o[b, pos]
                self._add_effects("bias", l, b, pos, [(d * b_o).sum(-1, keepdim=True) for d in directions], contrasted)
            self._add_effects("mlp", l, b, pos, [(mlp * d).sum(-1, keepdim=True) for d in directions], contrasted)

    def _directions(self, b: Tensor, pos: Tensor) -> list[Tensor]:
        """What a part's output is multiplied by to have its effect at the answer, and at the foil: each [target, d_model]."""
        scale = self.final.scale(self.acts.resid[-1][b, pos])
        return [
            lens.answer_direction(self.final, token[b, pos].clamp_min(0), scale) for token in (self.answer, self.foil)
        ]

    @cached_property
    def _asked_directions(self) -> list[Tensor]:
        """Those of each prompt where its answer is asked, [batch, d_model]: the same for the neurons of every block."""
        return self._directions(torch.arange(len(self.asked_at), device=self.asked_at.device), self.asked_at)

    def neuron_effects(self, l: int, b: Tensor, pos: Tensor, top: TopNeurons) -> None:
        """What block l's stored neurons add to the answer's and the foil's logit where it is asked; b, pos, top [row]."""
        row = (pos == self.asked_at[b]).nonzero(as_tuple=True)[0]
        b, pos, expert, neuron = b[row], pos[row], top.expert[row], top.neuron[row]
        written = self.acts.resid[-1].new_zeros(len(row), self.model.d_model)
        for one in expert.unique().tolist():
            own = expert == one
            written[own] = top.activation[row][own, None] * self.model.value_vectors(l, one)[neuron[own]]
        effects = [(written * d[b]).sum(-1) for d in self._asked_directions]
        self.rows.add(
            "neuron_effects", prompt_id=self.prompt_ids[b], target=pos, layer=l, expert=expert, neuron=neuron,
            effect_answer=effects[0], effect_foil=(effects[1], self.foil[b, pos] != MISSING),
        )  # fmt: skip

    def _add_effects(
        self, name: str, l: int, b: Tensor, pos: Tensor, effects: list[Tensor], contrasted: Tensor
    ) -> None:
        """effects: at the answer and at the foil, each [target, index]."""
        n, n_index = effects[0].shape
        self.rows.add(
            "logit_effects", prompt_id=self.prompt_ids[b].repeat_interleave(n_index),
            target=pos.repeat_interleave(n_index), layer=l, component=name,
            index=torch.arange(n_index, device=b.device).repeat(n), effect_answer=effects[0].flatten(),
            effect_foil=(effects[1].flatten(), contrasted.repeat_interleave(n_index)),
        )  # fmt: skip
