"""One forward pass: a padded batch of token ids in, the residual stream and what was added to it out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowatlas import experts
from flowatlas.errors import GuardError
from flowatlas.models import Model
from flowatlas.weights import LayerWeights, NeuronBlock


@dataclass(frozen=True)
class Batch:
    """Prompts padded to one length, on the right but for generation.

    ids, mask [batch, pos]; lengths [batch]. With causal attention nothing before the padding can see it; the mask is
    given all the same, because some families derive positions from it.
    """

    ids: Tensor
    mask: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, prompts: list[tuple[int, ...]], device: torch.device | str = "cpu", left: bool = False) -> "Batch":
        """`left`: padded on that side, so that all rows end at the last column and tokens can be added there."""
        lengths = torch.tensor([len(ids) for ids in prompts])
        width = int(lengths.max())
        ids = torch.zeros(len(prompts), width, dtype=torch.long)
        first = (width - lengths if left else torch.zeros_like(lengths)).tolist()
        for row, tokens in enumerate(prompts):
            ids[row, first[row] : first[row] + len(tokens)] = torch.tensor(tokens)
        columns = torch.arange(width)
        mask = (columns >= width - lengths[:, None] if left else columns < lengths[:, None]).long()
        return cls(ids.to(device), mask.to(device), lengths.to(device))


class Multiples(NamedTuple):
    """What edits multiply parts by: by layer heads [batch, pos, head] and MLPs [batch, pos, 1]; 1 where absent."""

    heads: dict[int, Tensor]
    mlps: dict[int, Tensor]


class Activations:
    """What one forward pass left behind, in the compute dtype, layer by layer.

    `resid` is the residual stream by depth (see `stream`), each [batch, pos, d_model].

    Between an output and the residual a family may divide by a norm's scale s and multiply by a constant m. Both are frozen:
    every part is taken times the *factor* m / s of its position. The parts of attention then are
    scaled_pattern * (v @ w_o), the MLP's the activation * w_out of `neuron_blocks`, and what is shown is `pattern`.
    """

    def __init__(self, model: Model, multiples: Multiples | None = None):
        self._model, self._multiples = model, multiples or Multiples({}, {})
        self._cache: dict[str, Tensor] = {}
        self.resid: list[Tensor] = []

    def take(self, name: str, value: Tensor, depth: int | None) -> None:
        """Keep what came by a hook; the nodes of the stream, which have a depth, come by in its order."""
        if depth is None:
            self._cache[name] = value
        else:
            self.resid[depth : depth + 1] = [value.to(self._model.device, self._model.dtype)]

    def forget_attention(self, l: int) -> None:
        """Let block l's attention weights and values go: they are the largest of what is kept."""
        for name in ("pattern", "v"):
            del self._cache[f"blocks.{l}.attn.hook_{name}"]
        for block in self._model.bridge.blocks[: l + 1]:  # which keeps them too, some only when the block is through
            block.attn._pattern = None

    def not_finite(self, mask: Tensor) -> dict[int, str]:
        """By prompt (row of mask [batch, pos]) the first place in its stream where a NaN or an infinity stands, in words.

        The prompt where it stands lowest in the stream comes first.
        """
        places: dict[int, str] = {}
        for depth, resid in enumerate(self.resid):
            bad = ~torch.isfinite(resid).all(-1) & mask.bool()
            for b, pos in bad.nonzero().tolist() if bool(bad.any()) else []:
                places.setdefault(b, f"{self._model.stream.place(depth)}, position {pos}")
        return places

    def _get(self, name: str) -> Tensor:
        return self._cache[name].to(self._model.device, self._model.dtype)

    def _factor(self, l: int, norm: str | None) -> Tensor | None:
        """m / s of an output's positions [batch, pos, 1]; None where nothing is done to it."""
        multiplier = self._model.multiplier
        if norm is not None:
            return multiplier / self._get(f"blocks.{l}.{norm}.hook_scale")
        return None if multiplier == 1 else torch.full_like(self.resid[0][..., :1], multiplier)

    def attention_factor(self, l: int) -> Tensor | None:
        """What a head's output is taken times, [batch, pos, 1]; None for 1."""
        return self._factor(l, self._model.located.family.post_norms[0])

    def mlp_factor(self, l: int) -> Tensor | None:
        """What a neuron's output is taken times, [batch, pos, 1]; None for 1."""
        factor, edited = self._factor(l, self._model.located.family.post_norms[1]), self._multiples.mlps.get(l)
        return factor if edited is None else edited if factor is None else factor * edited

    def edited_heads(self, l: int) -> Tensor | None:
        """What each head's parts are taken times, [batch, query, head]; None for 1."""
        return self._multiples.heads.get(l)

    def pattern(self, l: int) -> Tensor:
        """Attention weights A [batch, head, query, key]."""
        return self._get(f"blocks.{l}.attn.hook_pattern")

    def scaled_pattern(self, l: int) -> Tensor:
        """What each v @ w_o is multiplied by in the residual stream: A times the query's factor."""
        pattern, factor, edited = self.pattern(l), self.attention_factor(l), self.edited_heads(l)
        pattern = pattern if factor is None else pattern * factor[:, None]
        return pattern if edited is None else pattern * edited.transpose(1, 2)[..., None]

    def v(self, l: int) -> Tensor:
        """Values [batch, key, head, d_head], bias included, grouped heads expanded."""
        v = self._get(f"blocks.{l}.attn.hook_v")
        if self._model.located.family.values_by_head:
            v = v.transpose(1, 2)
        if self._model.value_clip is not None:  # the hook sees them before they are cut
            v = v.clamp(-self._model.value_clip, self._model.value_clip)
        return v.repeat_interleave(self._model.n_heads // v.shape[2], 2)

    def z(self, l: int) -> Tensor:
        """What each head passes to w_o, sum over keys of scaled_pattern * v: [batch, query, head, d_head]."""
        z, factor = self.z_of_heads(l), self.attention_factor(l)
        return z if factor is None else z * factor[..., None]

    def z_of_heads(self, l: int) -> Tensor:
        """The same without the factor: as it comes by, [batch, query, head, d_head]."""
        z = self._get(f"blocks.{l}.attn.hook_z")
        return z.reshape(*z.shape[:2], self._model.n_heads, -1)  # the heads lie in this order, whatever the hook says

    def biases(self, l: int, weights: LayerWeights) -> tuple[Tensor | None, Tensor | None]:
        """b_O and b_out as they are added to the stream, each [d_model], or [batch, pos, d_model] where it has a factor."""
        both = (weights.b_o, self.attention_factor(l)), (weights.b_out, self.mlp_factor(l))
        b_o, b_out = (bias if bias is None or factor is None else bias * factor for bias, factor in both)
        return b_o, b_out

    def neuron_blocks(self, l: int, b: Tensor, pos: Tensor) -> list[NeuronBlock]:
        """The neurons of block l's MLP at nodes; b, pos [node].

        A dense MLP is one block with every node, a mixture one for each expert that ran; none where they cannot be told apart.
        """
        factor, found = self.mlp_factor(l), []
        for expert, node, activation in self.neuron_activations(l, b, pos):
            activation = activation.to(self._model.device, self._model.dtype)
            activation = activation if factor is None else activation * factor[b[node], pos[node]]
            found.append(NeuronBlock(expert, node, activation, self._model.value_vectors(l, expert)))
        return found

    def neuron_activations(self, l: int, b: Tensor, pos: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """By expert, -1 in a dense MLP: its number, the nodes that it ran for, its neurons' activations [n, neuron].

        As the model has them: in its own dtype, before any norm or multiplier.
        """
        places, name = self._model.located.family.experts, f"blocks.{l}."
        if self._model.is_dense(l):
            yield -1, torch.arange(len(b), device=b.device), self._cache[name + "mlp.hook_post"][b, pos]
        elif places is not None:
            flat = b * self.resid[0].shape[1] + pos  # a router sees one row of positions for all prompts
            x = self._cache[name + "mlp.hook_in"][b, pos]
            weights, indices = (self._cache[name + hook][flat] for hook in (places.weights, places.indices))
            yield from experts.activations(self._model.bridge.blocks[l].mlp, places, x, weights, indices)

    def mlp_out(self, l: int) -> Tensor:
        """What the MLP adds to the stream, with its bias: [batch, pos, d_model]."""
        return self._get(f"blocks.{l}.hook_mlp_out")


_OF_A_NODE = ("hook_resid_mid", "hook_resid_post")  # by the node's point, as in POINTS
_OF_A_BLOCK = ("attn.hook_pattern", "attn.hook_v", "attn.hook_z", "hook_mlp_out")


def _residual_hooks(model: Model) -> list[str]:
    """The hooks that see the nodes of the stream, by depth."""
    nodes = list(zip(model.stream.layer, model.stream.point, strict=True))
    return ["blocks.0.hook_resid_pre", *(f"blocks.{l}.{_OF_A_NODE[point]}" for l, point in nodes[1:])]


def _by_block(model: Model) -> list[set[str]]:
    """The hooks that must come by before a block is through; the embedding's is the first block's."""
    nodes, scales = _residual_hooks(model), [f"{norm}.hook_scale" for norm in model.located.family.post_norms if norm]
    names = [
        {f"blocks.{l}.{name}" for name in (*_OF_A_BLOCK, *scales, *_neuron_hooks(model, l))}
        for l in range(model.n_layers)
    ]
    for name, l in zip(nodes, model.stream.layer, strict=True):
        names[max(l, 0)].add(name)
    return names


def _neuron_hooks(model: Model, l: int) -> tuple[str, ...]:
    """What `neuron_blocks` needs of block l."""
    places = model.located.family.experts
    if model.is_dense(l):
        return ("mlp.hook_post",)
    return () if places is None else ("mlp.hook_in", places.weights, places.indices)


def run(
    model: Model,
    batch: Batch,
    after_block: Callable[[int, Activations], None] | None = None,
    multiples: Multiples | None = None,
) -> tuple[Activations, Tensor]:
    """Run the model once; returns its activations and the bridge's own logits at the last column [batch, 1, token].

    `after_block(l, acts)` is called when block l is through, with all that came by so far. `multiples` are those of edits
    that are done meanwhile. Raises GuardError when a hook that the family must have does not fire.
    """
    acts = Activations(model, multiples)
    depths = {name: depth for depth, name in enumerate(_residual_hooks(model))}
    waiting = _by_block(model)
    through = iter(range(model.n_layers))
    block = next(through)

    def listen(name: str, of_block: set[str]) -> Callable[..., None]:
        def take(value: Any, hook: Any) -> None:
            nonlocal block
            acts.take(name, value[0] if isinstance(value, tuple) else value, depths.get(name))
            of_block.discard(name)
            while block is not None and not waiting[block]:
                if after_block is not None:
                    after_block(block, acts)
                block = next(through, None)

        return take

    # The sums of a sequential block also hold where it is taken for a parallel one; but it has a node that this one has not.
    foreign = [f"blocks.{l}.{_OF_A_NODE[0]}" for l in range(model.n_layers) if model.stream.parallel]
    strange: list[str] = []
    keep: dict[str, Any] = {"logits_to_keep": 1, "use_cache": False, "output_attentions": False}
    hooks = {name: listen(name, of_block) for of_block in waiting for name in of_block}
    hooks |= {name: lambda value, hook, name=name: strange.append(f"{name} came by") for name in foreign}
    points = [(model.hook_point(name), hook) for name, hook in hooks.items()]
    handles = [(point, point.add_hook(hook)) for point, hook in points if point is not None]
    try:
        with torch.inference_mode():
            logits = model.bridge(batch.ids, attention_mask=batch.mask, **keep)
    finally:
        for point, handle in handles:
            handle.hook.remove()
            point.fwd_hooks.remove(handle)
    if block is not None:
        strange.append(f"{min(waiting[block])} never came by")
    if strange:
        raise GuardError(
            f"model {model.located.name}: its blocks are not built as its family's are ({strange[0]}); "
            "its numbers could not be trusted, so nothing was written"
        )
    return acts, logits


def mlp_without_heads(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    """What block 0's MLP puts out [batch, pos, d_model]: as it is, and when the heads of the block write nothing."""
    z, mlp_out, found = "blocks.0.attn.hook_z", "blocks.0.hook_mlp_out", []

    def nothing(heads: Tensor, hook: Any) -> Tensor:
        return torch.zeros_like(heads)

    def keep(output: Tensor, hook: Any) -> None:
        found.append(output.to(model.device, model.dtype))

    with torch.inference_mode():
        for hooks in ([(mlp_out, keep)], [(z, nothing), (mlp_out, keep)]):
            model.bridge.run_with_hooks(batch.ids, attention_mask=batch.mask, use_cache=False, fwd_hooks=hooks)
    return found[0], found[1]
