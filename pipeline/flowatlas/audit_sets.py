"""Sets of heads and MLPs for the audit: those of a prompt's route above a threshold, and as many by other rules.

Every rival set has as many heads and as many MLPs as the route's in the same prompt, because an MLP is worth many heads.

random     heads and MLPs in an order drawn for the prompt, the same at every threshold, so that its sets are nested like routes
attention  the heads that attend most from the target to one earlier position, the first one apart, where heads rest that do
           nothing; attention says nothing of MLPs, so it has the route's
direct     the largest direct effects on the answer's logit, for it or against it
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from flowatlas.stored_prompts import StoredPrompt
from flowatlas.target_routes import Taus

Array = np.ndarray


class Members(NamedTuple):
    """Which heads [layer, head] and MLPs [layer] are in a set."""

    heads: Array
    mlps: Array

    def __invert__(self) -> "Members":
        return Members(~self.heads, ~self.mlps)

    @property
    def key(self) -> bytes:
        """The same for equal sets only."""
        return self.heads.tobytes() + self.mlps.tobytes()


class Chosen(NamedTuple):
    """A set, the rule it was chosen by (a name in CHOSEN), and which of several draws of it."""

    rule: str
    draw: int
    members: Members


def thresholds(floor: float) -> list[float]:
    """From the floor on, each twice the one before, as long as they are under 0.7: hardly a share is larger."""
    found = [floor]
    while found[-1] * 2 < 0.7:
        found.append(found[-1] * 2)
    return [float(np.float32(round(tau, 6))) for tau in found]


def sets(prompt: StoredPrompt, attention: Array, tau: float, draws: int, seed: int) -> Iterator[Chosen]:
    """The route's set at tau, then its rivals; attention [layer, head] as above, `draws` random ones."""
    route = Members(prompt.taus.heads > tau, prompt.taus.mlps > tau)
    n_heads, n_mlps = int(route.heads.sum()), int(route.mlps.sum())
    yield Chosen("route", 0, route)
    for draw in range(draws):
        rng = np.random.default_rng([seed, *b"audit", prompt.prompt_id, draw])
        order = Taus(rng.random(route.heads.shape), rng.random(route.mlps.shape))
        yield Chosen("random", draw, Members(_largest(order.heads, n_heads), _largest(order.mlps, n_mlps)))
    yield Chosen("attention", 0, Members(_largest(attention, n_heads), route.mlps))
    direct = Members(_largest(abs(prompt.direct.heads), n_heads), _largest(abs(prompt.direct.mlps), n_mlps))
    yield Chosen("direct", 0, direct)


def _largest(values: Array, n: int) -> Array:
    """Where the n largest values stand, the first ones of equal ones."""
    chosen = np.zeros(values.size, bool)
    chosen[np.argsort(-values, axis=None, kind="stable")[:n]] = True
    return chosen.reshape(values.shape)
