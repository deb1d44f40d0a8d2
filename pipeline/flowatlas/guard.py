"""Is this model what we take it for? Checked on the first batch of every run, before anything is written.

logits          our lens of the last node against Hugging Face's own logits, taken before the model was wrapped
pattern         A @ v against what the heads pass on
attention_sum   resid_pre + all heads + b_O against resid_mid; in a parallel block, with the MLP's output, against resid_post
mlp_sum         resid_mid + the MLP's output against resid_post
neuron_sum      all neurons + b_out against the MLP's output

Each is the largest absolute difference over the largest absolute value of what it is compared with (at least 1). A
family whose equations differ from what the table of families says fails here rather than giving plausible numbers.

The sums are blind to what an MLP reads: resid_pre + attention + MLP is resid_post in a parallel block and in a sequential
one. So block 0 runs once more with its heads silenced: its MLP must answer the same if the blocks are parallel, and only then.
"""

import math

import torch
from torch import Tensor, nn

from flowatlas import activations, lens
from flowatlas.activations import Activations, Batch
from flowatlas.errors import GuardError
from flowatlas.models import Model

# float64 is held to 1e-6 only: some Hugging Face norms and rotary tables compute in float32 whatever the weights are.
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.float16: 5e-3, torch.bfloat16: 3e-2}
_MAX_PROBE_TOKENS = 1024  # Hugging Face unembeds every position: enough to tell, small enough for any vocabulary

_MAX_SILENCED_TOKENS = 16


def probe_batch(prompts: list[tuple[int, ...]], device: torch.device | str = "cpu") -> Batch:
    """The first prompts of a batch, as many as the guard needs; the first one is cut if it alone is longer."""
    chosen, width = [prompts[0][:_MAX_PROBE_TOKENS]], min(len(prompts[0]), _MAX_PROBE_TOKENS)
    for ids in prompts[1:]:
        width = max(width, len(ids))
        if width * (len(chosen) + 1) > _MAX_PROBE_TOKENS:
            break
        chosen.append(ids)
    return Batch.of(chosen, device)


def reference_logits(hf: nn.Module, batch: Batch) -> Tensor:
    """Logits [batch, pos, token] of the untouched Hugging Face model."""
    return hf(batch.ids, attention_mask=batch.mask, use_cache=False).logits


def check(model: Model, batch: Batch, reference: Tensor) -> dict[str, float]:
    """The errors by name. Raises GuardError, naming the worst, when one exceeds the tolerance of the weights' dtype.

    A prompt to which Hugging Face itself answers with NaN or infinity says nothing about us: it is left out here, and
    rejected when its turn comes. Where no prompt is left, GuardError says where the first such value stands.
    """
    batch, reference = _finite(model, batch, reference)
    errors: dict[str, float] = {}
    mask = batch.mask.bool()

    def check_block(l: int, acts: Activations) -> None:
        for name, error in _layer_errors(model, acts, l, mask).items():
            errors[name] = max(errors.get(name, 0.0), error, key=_size)
        acts.forget_attention(l)

    with torch.inference_mode():
        acts, _ = activations.run(model, batch, check_block)
        x = acts.resid[-1]
        z = lens.project(model.final, x, model.final.scale(x))
        errors["logits"] = _error(lens.logits(model.final, z, lens.constant(model.final)), reference, mask)
        silenced = _silenced(model, batch)
    tolerance = TOLERANCE[model.weights_dtype]
    worst = max(errors, key=lambda name: _size(errors[name]))
    if _size(errors[worst]) > tolerance:
        family = model.located.config.model_type
        raise GuardError(
            f"model {model.located.name} ({family}) does not add up: {worst} is off by {errors[worst]:.1e} of its size "
            f"(allowed {tolerance:.0e}); its numbers could not be trusted, so nothing was written"
        )
    if silenced > tolerance if model.stream.parallel else silenced == 0:
        is_, taken = ("sequential", "parallel") if model.stream.parallel else ("parallel", "sequential")
        raise GuardError(
            f"model {model.located.name} ({model.located.config.model_type}): its blocks are {is_} and were taken for {taken}; "
            "its routes could not be trusted, so nothing was written"
        )
    return errors


def _finite(model: Model, batch: Batch, reference: Tensor) -> tuple[Batch, Tensor]:
    """The prompts whose reference logits are finite."""
    good = (torch.isfinite(reference).all(-1) | ~batch.mask.bool()).all(-1)
    if bool(good.all()):
        return batch, reference
    if bool(good.any()):
        return Batch(batch.ids[good], batch.mask[good], batch.lengths[good]), reference[good]
    with torch.inference_mode():
        acts, _ = activations.run(model, batch, lambda l, acts: acts.forget_attention(l))
    first = next(iter(acts.not_finite(batch.mask).values()), None)
    where = "in the logits" if first is None else f"first at {first}"
    mend = "are its weights whole?"
    if model.weights_dtype == torch.float16:
        mend = "float16 overflows early: try model.dtype=bfloat16 or float32"
    raise GuardError(
        f"model {model.located.name} answers every prompt of the first batch with NaN or infinity, {where}; {mend}"
    )


def _size(error: float) -> float:
    """An error that can be compared: NaN is the worst."""
    return math.inf if math.isnan(error) else error


def _silenced(model: Model, batch: Batch) -> float:
    """How much the output of block 0's MLP depends on its heads, at the start of the first prompt."""
    n = min(int(batch.lengths[0]), _MAX_SILENCED_TOKENS)
    few = Batch.of([tuple(batch.ids[0, :n].tolist())], model.device)
    with_heads, without = activations.mlp_without_heads(model, few)
    return _error(without, with_heads, few.mask.bool())


def _layer_errors(model: Model, acts: Activations, l: int, mask: Tensor) -> dict[str, float]:
    stream, weights, mlp_out = model.stream, model.layer(l), acts.mlp_out(l)
    pre, attended, post = (acts.resid[depth] for depth in (stream.pre(l), stream.attended(l), stream.post(l)))
    z, (b_o, b_out) = acts.z(l), acts.biases(l, weights)
    attention = torch.einsum("bqhe,hed->bqd", z, weights.w_o) + (0 if b_o is None else b_o)
    errors = {
        "pattern": _error(torch.einsum("bhqk,bkhe->bqhe", acts.scaled_pattern(l), acts.v(l)), z, mask),
        "attention_sum": _error(pre + attention + (mlp_out if stream.parallel else 0), attended, mask),
    }
    if model.has_neurons(l):
        neurons = _sum_of_neurons(acts, l, mask) + (0 if b_out is None else b_out)
        errors["neuron_sum"] = _error(neurons, mlp_out, mask)
    return errors if stream.parallel else errors | {"mlp_sum": _error(attended + mlp_out, post, mask)}


def _sum_of_neurons(acts: Activations, l: int, mask: Tensor) -> Tensor:
    b, pos = mask.nonzero(as_tuple=True)
    total = torch.zeros_like(acts.resid[0])
    for block in acts.neuron_blocks(l, b, pos):
        total.index_put_((b[block.node], pos[block.node]), block.activation @ block.w_out, accumulate=True)
    return total


def _error(ours: Tensor, theirs: Tensor, mask: Tensor) -> float:
    ours, theirs = ours[mask], theirs.to(ours.dtype)[mask]
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1))
