"""Components of a model by name: `L5H1` a head, `L5N12` a neuron (`L5E3N12` an expert's), `L5 MLP` an MLP.

The one place that reads and writes them in Python; explorer/src/component-names.js is its twin and reads the same.
"""

import re
from dataclasses import dataclass
from typing import Literal

from flowatlas.errors import ConfigError

Kind = Literal["head", "neuron", "mlp", "attn"]

_TYPED = re.compile(
    r"L?(?P<layer>\d{1,4})[.: ]?"
    r"(?:(?:E(?P<expert>\d{1,4})[.:]?)?(?P<kind>[HN])?(?P<index>\d{1,7})|(?P<block>MLP|ATTN|ATTENTION))",
    re.IGNORECASE,
)


@dataclass(frozen=True, order=True)
class Component:
    """A head, a neuron, an MLP or an attention block; str() is its name.

    layer, index count from 0 (index is 0 for a whole block); expert is -1 in a dense MLP.
    """

    kind: Kind
    layer: int
    index: int = 0
    expert: int = -1

    def __str__(self) -> str:
        if self.kind == "head":
            return f"L{self.layer}H{self.index}"
        if self.kind == "neuron":
            return f"L{self.layer}{'' if self.expert < 0 else f'E{self.expert}'}N{self.index}"
        return f"L{self.layer} {'MLP' if self.kind == 'mlp' else 'attention'}"


def parse(text: str) -> Component:
    """The component of a name in any form that the explorer's search takes too: `L5H1`, `5.1`, `L5.H1`, `5:1`, `5 mlp`.

    Raises ConfigError for anything else.
    """
    found = _TYPED.fullmatch(text.strip())
    component = None if found is None else _component(text, found)
    if component is None:
        raise ConfigError(f"{text!r} names no component: write L5H1, L5N12, L5E3N12 (an expert's neuron) or 'L5 MLP'")
    return component


def _component(text: str, found: re.Match[str]) -> Component | None:
    layer, kind = int(found["layer"]), (found["kind"] or "").upper()
    if found["block"]:
        return Component("mlp" if found["block"].upper() == "MLP" else "attn", layer)
    if kind == "N":
        return Component("neuron", layer, int(found["index"]), int(found["expert"] or -1))
    if found["expert"] or not (kind or re.search("[.:]", text)):  # heads have no expert; 51 is a number, not a head
        return None
    return Component("head", layer, int(found["index"]))
