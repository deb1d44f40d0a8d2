"""Which edits a model takes, and what they come to: has it these components, and is a value small enough for its sum?

A head, a neuron or an MLP is one term among others. Where a term is more than 1/eps times the largest of the others, adding it
leaves no digit of them (eps of the numbers that the model computes in: 1.2e-7 in float32, 0.0078 in bfloat16). Further up
norms then square what overflows, and what comes out are finite numbers, probabilities even, that are none of the model's. So an
edit of that size is refused rather than shown.
"""

from collections.abc import Collection

import torch
from torch import Tensor

from flowatlas.component_names import Component
from flowatlas.edits import Edit
from flowatlas.errors import ConfigError
from flowatlas.means import Means
from flowatlas.models import Model

_VALUED = ("set", "scale", "on")  # the others write nothing, or what was seen in a dataset


def check(model: Model, edits: Collection[Edit], means: Means | None = None) -> None:
    """Raises ConfigError where the model has no such component, or an edit needs means that are not given."""
    for edit in edits:
        _exists(model, edit.component)
        if edit.action == "mean" and means is None:
            raise ConfigError(
                f"{edit}: the mean over a dataset is not known here: only `flowatlas intervene RUN` has it"
            )
        if edit.value is not None and abs(edit.value) > torch.finfo(model.weights_dtype).max:
            raise ConfigError(f"{edit}: the model's numbers ({model.weights_dtype}) do not go so far")


def _exists(model: Model, component: Component) -> None:
    def within(index: int, count: int, what: str) -> None:
        if not 0 <= index < count:
            raise ConfigError(f"model {model.located.name} has no {component}: its {what} are 0 to {count - 1}")

    within(component.layer, model.n_layers, "layers")
    if component.kind == "head":
        within(component.index, model.n_heads, "heads")
    elif component.kind == "neuron":
        n_experts = model.n_experts(component.layer)
        if n_experts is None:
            raise ConfigError(
                f"model {model.located.name}: {component} cannot be edited: the neurons of its layer are not told apart"
            )
        if (component.expert >= 0) != (n_experts > 0):
            form = f"L{component.layer}E0N{component.index}" if n_experts else f"L{component.layer}N{component.index}"
            raise ConfigError(f"model {model.located.name} has no {component}: write {form} in this layer")
        if n_experts:
            within(component.expert, n_experts, "experts")
        within(component.index, len(model.w_out(component.layer, component.expert)), "neurons")


def refuse_drowning(edit: Edit, new: Tensor, old: Tensor, here: Tensor) -> None:
    """Raises ConfigError where an edit's values `new` leave nothing of what stood at its site.

    new, old [row, column, ...]: what the edit puts there, and all that the layer's heads, neurons or MLP held without it; here
    [row, column] bool, of positions of the prompt alone.
    """
    if edit.action not in _VALUED or not bool(here.any()):
        return
    limit = 1 / torch.finfo(old.dtype).eps
    size = new.abs().flatten(2).amax(2) if new.ndim > 2 else new.abs()
    most = torch.where(here, old.abs().flatten(2).amax(2), 0).amax(1, keepdim=True)
    most = torch.where(most > 0, most, 1)
    drowning = here & (size / most > limit)
    if bool(drowning.any()):
        row, column = drowning.nonzero()[0].tolist()
        dtype = str(old.dtype).removeprefix("torch.")
        raise ConfigError(
            f"{edit} comes to {size[row, column].item():.3g} where its layer has {most[row, 0].item():.3g} at most: {dtype} "
            "keeps nothing else beside it, so what the model says then cannot be trusted: give a smaller value"
        )
