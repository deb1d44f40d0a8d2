"""Is this model what we take it for? Checked on the first batch of every run, before anything is written.

logits          our lens of the last node against Hugging Face's own logits, taken before the model was wrapped
pattern         A @ v against what the heads pass on
attention_sum   resid_pre + all heads + b_O against resid_mid
mlp_sum         resid_mid + all neurons + b_out against resid_post

Each is the largest absolute difference over the largest absolute value of what it is compared with (at least 1). A
family whose equations differ from what the table of families says fails here rather than giving plausible numbers.
"""

import torch
from torch import Tensor, nn

from flowatlas import activations, lens
from flowatlas.activations import Activations, Batch
from flowatlas.errors import GuardError
from flowatlas.models import Model
from flowatlas.weights import LayerWeights

# float64 is held to 1e-6 only: some Hugging Face norms and rotary tables compute in float32 whatever the weights are.
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.float16: 5e-3, torch.bfloat16: 3e-2}
_MAX_PROBE_TOKENS = 1024  # Hugging Face unembeds every position: enough to tell, small enough for any vocabulary


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
    """The errors by name. Raises GuardError, naming the worst, when one exceeds the tolerance of the weights' dtype."""
    with torch.inference_mode():
        acts, _ = activations.run(model, batch)
        mask = batch.mask.bool()
        x = acts.resid[-1]
        z = lens.project(model.final, x, model.final.scale(x))
        errors = {"logits": _error(lens.logits(model.final, z, lens.constant(model.final)), reference, mask)}
        for l in range(model.n_layers):
            for name, error in _layer_errors(acts, model.layer(l), l, mask).items():
                errors[name] = max(errors.get(name, 0.0), error)
    tolerance = TOLERANCE[model.weights_dtype]
    worst = max(errors, key=lambda name: errors[name])
    if not errors[worst] <= tolerance:  # also when it is NaN
        family = model.located.config.model_type
        raise GuardError(
            f"model {model.located.name} ({family}) does not add up: {worst} is off by {errors[worst]:.1e} of its size "
            f"(allowed {tolerance:.0e}); its numbers could not be trusted, so nothing was written"
        )
    return errors


def _layer_errors(acts: Activations, weights: LayerWeights, l: int, mask: Tensor) -> dict[str, float]:
    z = acts.z(l)
    heads = torch.einsum("bqhe,hed->bqd", z, weights.w_o)
    neurons = acts.neurons(l) @ weights.w_out
    pre, mid, post = acts.resid[2 * l : 2 * l + 3]
    return {
        "pattern": _error(torch.einsum("bhqk,bkhe->bqhe", acts.pattern(l), acts.v(l)), z, mask),
        "attention_sum": _error(pre + heads + (0 if weights.b_o is None else weights.b_o), mid, mask),
        "mlp_sum": _error(mid + neurons + (0 if weights.b_out is None else weights.b_out), post, mask),
    }


def _error(ours: Tensor, theirs: Tensor, mask: Tensor) -> float:
    ours, theirs = ours[mask], theirs.to(ours.dtype)[mask]
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1))
