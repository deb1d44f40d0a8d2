"""Forward passes with components edited: every pass inside `applied`, each row of its batch with edits of its own.

    head    z[h] before W_O            off 0, mean its mean, scale
    MLP     what it adds to the stream off 0, mean its mean, scale
    neuron  activation before W_out    off 0, set v, scale, on (below)

So a head that is off is one whose rows of W_O are zero, a neuron that is off one whose row of W_out is zero; a norm between a
block's output and the stream (Gemma 2, OLMo 2) is computed anew from what is left. An MLP that is off adds nothing, its bias
included. An expert's neuron has the router's weight in its activation and is edited where its expert ran, and nowhere else.

`on` is the rule of LM-Debugger (Geva et al. 2022, arXiv 2204.12130): the activation becomes the layer's largest |activation| x
|value vector| at the last token of the prompt, without any edit, plus 0.01; the same at every position and in every generated
step. One deviation: LM-Debugger writes that number before the activation function, so that its neuron ends at gelu(v);
here the activation is v itself, which has a meaning in gated MLPs too.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from flowatlas import activations, experts
from flowatlas.activations import Batch, Multiples
from flowatlas.edit_checks import check, refuse_drowning
from flowatlas.edits import Edit, disjoint
from flowatlas.errors import ConfigError
from flowatlas.means import Means
from flowatlas.models import Model

ABOVE = 0.01  # LM-Debugger's margin over the largest of the layer


@contextmanager
def applied(model: Model, edits: Sequence[Sequence[Edit]], batch: Batch, means: Means | None = None) -> Iterator[None]:
    """While it lasts, every forward pass of the model's bridge over this batch is an edited one.

    edits: a list for each row of the batch. Passes that go on from a cache of keys and values (generation) are edited at the
    columns after it. The batch may be padded on either side. Raises ConfigError as `check`, and for a row in which two
    edits are of one component at one position.
    """
    if len(edits) != len(batch.ids):
        raise ValueError(f"{len(edits)} lists of edits for {len(batch.ids)} rows")
    groups = _grouped(edits)
    check(model, groups, means)
    made = _Edits(model, batch, groups, means)
    handles: list[tuple[Any, Any]] = []
    watch = model.bridge.original_model.register_forward_pre_hook(made.begin, with_kwargs=True)
    try:
        for name, hook in made.hooks():
            point = model.hook_point(name)
            handles.append((point, point.add_hook(hook)))
        yield
    finally:
        watch.remove()
        for point, handle in handles:
            handle.hook.remove()
            point.fwd_hooks.remove(handle)


def _grouped(edits: Sequence[Sequence[Edit]]) -> dict[Edit, list[int]]:
    """The rows of each edit, in any order: no two of a row meet."""
    rows: dict[Edit, list[int]] = defaultdict(list)
    for row, of_row in enumerate(edits):
        disjoint(of_row)
        for edit in of_row:
            rows[edit].append(row)
    return rows


def multiples(model: Model, edits: Sequence[Edit], batch: Batch) -> Multiples:
    """What edits that switch heads and MLPs off or scale them multiply their parts by, in every row of a batch.

    Raises ConfigError for a mean in their place, which is no multiple of what they write.
    """
    found = Multiples({}, {})
    for edit in edits:
        kind, layer = edit.component.kind, edit.component.layer
        if kind == "neuron":
            continue  # its activation is seen as it is
        if edit.action == "mean":
            raise ConfigError(f"{edit}: what takes the place of a component has no route of its own")
        width = model.n_heads if kind == "head" else 1
        layers = found.heads if kind == "head" else found.mlps
        factor = layers.setdefault(layer, torch.ones(*batch.mask.shape, width, dtype=model.dtype, device=model.device))
        here = batch.mask.bool() if edit.positions is None else columns_of(batch, edit.positions)
        factor[..., edit.component.index][here] *= edit.value or 0.0
    return found


def largest_scores(model: Model, batch: Batch, layers: Sequence[int]) -> dict[int, Tensor]:
    """By layer, each row's largest |activation| x |value vector| at the last token of its prompt, [row], without edits."""
    acts, _ = activations.run(model, batch)
    rows = torch.arange(len(batch.ids), device=batch.ids.device)
    last = batch.mask.shape[1] - 1 - batch.mask.flip(1).argmax(1)
    found = {}
    for l in layers:
        largest = torch.zeros(len(rows), dtype=model.dtype, device=model.device)
        for expert, node, activation in acts.neuron_activations(l, rows, last):
            scores = activation.to(model.device, model.dtype).abs() * model.w_out(l, expert).norm(dim=1)
            largest[node] = torch.maximum(largest[node], scores.amax(1))
        found[l] = largest
    return found


def on_values(model: Model, token_ids: tuple[int, ...], edits: Sequence[Edit]) -> dict[int, float]:
    """By layer, what the neurons that `edits` turn on are set to in a prompt."""
    layers = sorted({edit.component.layer for edit in edits if edit.action == "on"})
    found = largest_scores(model, Batch.of([token_ids], model.device), layers) if layers else {}
    return {l: largest[0].item() + ABOVE for l, largest in found.items()}


@dataclass
class _Group:
    """One edit in the rows that have it.

    mask [row, column] as of the batch; rows [row] bool; columns [row, column] bool where positions are named, for the width of
    the batch; value [row, 1], what a neuron is set to.
    """

    edit: Edit
    mask: Tensor
    rows: Tensor
    columns: Tensor | None
    value: Tensor | None

    def here(self, begin: int, value: Tensor) -> Tensor:
        """[row, column or 1] bool: where it is done to a value [row, column, ...] whose first column is `begin`."""
        if self.columns is None:
            return self.rows[:, None].to(value.device)
        known = self.columns[:, begin : begin + value.shape[1]].to(value.device)
        return F.pad(known, (0, value.shape[1] - known.shape[1]))

    def put(self, old: Tensor, begin: int, mean: Tensor | None, site: Tensor) -> Tensor:
        """old [row, column, ...] edited; site [row, column, ...] is all that its layer held. Raises as `refuse_drowning`."""
        here, new = self.here(begin, old), self.new(old, mean)
        known = self.mask[:, begin : begin + old.shape[1]].bool().to(old.device)
        of_prompt = F.pad(known, (0, old.shape[1] - known.shape[1]), value=True)  # what is generated has no padding
        refuse_drowning(self.edit, new, site, here & of_prompt)
        return torch.where(here.view(*here.shape, *[1] * (old.ndim - 2)), new, old)

    def new(self, old: Tensor, mean: Tensor | None) -> Tensor:
        """What stands in place of a component's old value [row, column, ...]."""
        if self.edit.action == "off":
            return torch.zeros_like(old)
        if self.edit.action == "scale" and self.edit.value is not None:
            return old * self.edit.value
        there = mean if self.edit.action == "mean" else self.value
        assert there is not None
        return there.to(old).expand_as(old)


class _Edits:
    """The hooks of one `applied`, and the column at which the pass that runs began."""

    def __init__(self, model: Model, batch: Batch, groups: dict[Edit, list[int]], means: Means | None):
        self._model, self._means, self._begin = model, means, 0
        on = sorted({edit.component.layer for edit in groups if edit.action == "on"})
        self._largest = largest_scores(model, batch, on) if on else {}
        self._by_site: dict[tuple[int, str], list[_Group]] = defaultdict(list)
        for edit, rows in groups.items():
            self._by_site[edit.component.layer, edit.component.kind].append(self._group(batch, edit, rows))

    def begin(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """Called before each pass: it begins at the first column that the cache does not hold."""
        cache = kwargs.get("past_key_values")
        self._begin = 0 if cache is None else int(cache.get_seq_length())

    def hooks(self) -> Iterator[tuple[str, Callable[..., Any]]]:
        """By name of the bridge's hook, what is done there."""
        for (l, kind), groups in self._by_site.items():
            if kind == "head":
                yield f"blocks.{l}.attn.hook_z", self._heads(l, groups)
            elif kind == "mlp":
                yield f"blocks.{l}.hook_mlp_out", self._mlp(l, groups)
            elif self._model.is_dense(l):
                yield f"blocks.{l}.mlp.hook_post", self._neurons(groups)
            else:
                yield from self._expert_neurons(l, groups)

    def _group(self, batch: Batch, edit: Edit, rows: list[int]) -> _Group:
        of_edit = torch.zeros(len(batch.ids), dtype=torch.bool, device=batch.ids.device)
        of_edit[rows] = True
        value = self._largest[edit.component.layer][:, None] + ABOVE if edit.action == "on" else None
        if edit.action == "set":
            value = torch.full((len(batch.ids), 1), edit.value or 0.0, dtype=self._model.dtype, device=batch.ids.device)
        columns = None if edit.positions is None else columns_of(batch, edit.positions) & of_edit[:, None]
        return _Group(edit, batch.mask, of_edit, columns, value)

    def _heads(self, l: int, groups: list[_Group]) -> Callable[..., Tensor]:
        def hook(z: Tensor, hook: Any) -> Tensor:
            # The heads lie in this order, whatever shape the hook has; cut with the real head size.
            heads = z.reshape(*z.shape[:2], self._model.n_heads, -1).clone()
            for group in groups:
                h = group.edit.component.index
                mean = None if self._means is None else self._means.heads[l, h]
                heads[:, :, h] = group.put(heads[:, :, h], self._begin, mean, z)
            return heads.reshape(z.shape)

        return hook

    def _mlp(self, l: int, groups: list[_Group]) -> Callable[..., Tensor]:
        def hook(out: Tensor, hook: Any) -> Tensor:
            mean, site = None if self._means is None else self._means.mlps[l], out
            for group in groups:
                out = group.put(out, self._begin, mean, site)
            return out

        return hook

    def _neurons(self, groups: list[_Group]) -> Callable[..., Tensor]:
        def hook(activation: Tensor, hook: Any) -> Tensor:
            edited = activation.clone()
            for group in groups:
                n = group.edit.component.index
                edited[:, :, n] = group.put(edited[:, :, n], self._begin, None, activation)
            return edited

        return hook

    def _expert_neurons(self, l: int, groups: list[_Group]) -> Iterator[tuple[str, Callable[..., Any]]]:
        """A mixture hands out the sum of its experts only: what an edit changes in it is added to that sum."""
        places, mlp = self._model.located.family.experts, self._model.bridge.blocks[l].mlp
        assert places is not None
        seen: dict[str, Tensor] = {}
        names = ("mlp.hook_in", places.weights, places.indices)

        def keep(name: str) -> Callable[..., None]:
            def hook(value: Tensor, hook: Any) -> None:
                seen[name] = value

            return hook

        def edit(out: Tensor, hook: Any) -> Tensor:
            x, weights, indices = (seen[name] for name in names)
            ran = experts.activations(mlp, places, x.flatten(0, 1), weights, indices)
            change = torch.zeros_like(out).flatten(0, 1)
            for expert, node, activation in ran:
                mine = [group for group in groups if group.edit.component.expert == expert]
                if mine:
                    change[node] += self._changed(activation, mine, node, out.shape) @ self._raw(l, mine, out)
            return out + change.view_as(out)

        yield from ((f"blocks.{l}.{name}", keep(name)) for name in names)
        yield f"blocks.{l}.mlp.hook_post", edit

    def _raw(self, l: int, groups: list[_Group], like: Tensor) -> Tensor:
        """Value vectors of the groups' neurons, [group, d_model]."""
        component = groups[0].edit.component
        return self._model.w_out(l, component.expert)[[group.edit.component.index for group in groups]].to(like)

    def _changed(self, activation: Tensor, groups: list[_Group], node: Tensor, shape: torch.Size) -> Tensor:
        """New less old activation [node, group] of the groups' neurons, at the nodes (in rows x columns) that ran."""
        found = []
        for group in groups:
            old = activation.new_zeros(shape[:2].numel())
            old[node] = activation[:, group.edit.component.index]
            site = activation.new_zeros(shape[:2].numel(), 1)
            site[node] = activation.abs().amax(1, keepdim=True)
            old, site = old.view(shape[:2]), site.view(*shape[:2], 1)
            found.append((group.put(old, self._begin, None, site) - old).flatten()[node])
        return torch.stack(found, 1)


def columns_of(batch: Batch, positions: tuple[int, ...]) -> Tensor:
    """[row, column] bool: where the named positions of each row's prompt stand in the batch."""
    first, found = batch.mask.argmax(1), torch.zeros_like(batch.mask, dtype=torch.bool)
    for position in positions:
        at = torch.full_like(batch.lengths, position) if position >= 0 else batch.lengths + position
        rows = ((at >= 0) & (at < batch.lengths)).nonzero()[:, 0]
        found[rows, (first + at)[rows]] = True
    return found
