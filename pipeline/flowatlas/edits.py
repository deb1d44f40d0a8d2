"""What an intervention does to one component, and how it is written: `L5H1=off`, `L5N12=3.5@-1`.

COMPONENT=ACTION[@POSITION,...]    off, mean, on, a number (set), xNUMBER (scale)
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from flowatlas import component_names
from flowatlas.component_names import Component
from flowatlas.errors import ConfigError

Action = Literal["off", "mean", "on", "set", "scale"]

_ALLOWED = {"head": ("off", "mean", "scale"), "mlp": ("off", "mean", "scale"), "neuron": ("off", "on", "set", "scale")}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
_WRITTEN = re.compile(
    rf"(?P<name>[^=]+)=\s*(?:(?P<word>[a-z]+)|(?P<scale>x)?(?P<value>{_NUMBER}))\s*(?:@(?P<positions>.+))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Edit:
    """One component, and what is done to it in every forward pass.

    action     off: it writes nothing. mean: it writes its mean over a dataset (heads, MLPs). on: LM-Debugger's rule for a
               neuron, see `interventions`. set: the neuron's activation becomes `value`. scale: it is multiplied by `value`.
    value      of set and scale, else None
    positions  of the prompt where it is done, from its end when negative; None for all, those that are generated included.
               A position that a prompt does not have is none of its.

    Raises ConfigError for an action that the component does not know, or a value that is missing, superfluous or no number.
    """

    component: Component
    action: Action
    value: float | None = None
    positions: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        allowed = _ALLOWED.get(self.component.kind)
        if allowed is None:
            raise ConfigError(f"{self.component} cannot be edited as a whole: name its heads")
        if self.action not in allowed:
            raise ConfigError(
                f"{self.component} cannot be {self.action!r}: a {self.component.kind} can be {_list(allowed)}"
            )
        if (self.action in ("set", "scale")) != (self.value is not None):
            raise ConfigError(
                f"{self.component}: {self.action} {'takes no' if self.value is not None else 'needs a'} value"
            )
        if self.value is not None and not math.isfinite(self.value):
            raise ConfigError(f"{self.component}: {self.value} is no finite number")
        if self.positions is not None and not self.positions:
            raise ConfigError(f"{self.component}: an empty list of positions; leave it away for all of them")

    def __str__(self) -> str:
        number = None if self.value is None else repr(self.value).removesuffix(".0")  # all of it: it is read again
        what = {"set": f"{number}", "scale": f"x{number}"}
        where = "" if self.positions is None else "@" + ",".join(map(str, self.positions))
        return f"{self.component}={what.get(self.action, self.action)}{where}"


def parse(text: str) -> Edit:
    """An edit as it is written on a command line. Raises ConfigError."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is no edit: write L5H1=off, L5N12=3.5, L5N12=x2, or L5H1=off@3,-1 for positions")
    value = None if found["value"] is None else float(found["value"])
    action = (found["word"] or ("scale" if found["scale"] else "set")).lower()
    positions = None if found["positions"] is None else found["positions"].split(",")
    return _checked(text, found["name"], action, value, positions)


def of_mapping(written: dict[str, Any]) -> Edit:
    """An edit of a YAML file: `component`, `action`, and optionally `value` and `positions`. Raises ConfigError."""
    unknown = set(written) - {"component", "action", "value", "positions"}
    if unknown or not {"component", "action"} <= set(written):
        raise ConfigError(f"{written} is no edit: it needs component and action, and may have value and positions")
    action = written["action"]
    if isinstance(action, bool):  # YAML takes the words on and off for true and false
        action = "on" if action else "off"
    return _checked(str(written), str(written["component"]), action, written.get("value"), written.get("positions"))


def disjoint(edits: Sequence[Edit]) -> None:
    """Raises ConfigError where two edits are of one component at one position: which of them should win?"""
    seen: dict[Component, list[Edit]] = {}
    for edit in edits:
        for other in seen.setdefault(edit.component, []):
            if edit.positions is None or other.positions is None or set(edit.positions) & set(other.positions):
                raise ConfigError(f"{other} and {edit} are of one component at one position: keep one of them")
        seen[edit.component].append(edit)


def _checked(text: str, name: str, action: Any, value: Any, positions: Any) -> Edit:
    """The parts of an edit that somebody wrote, as an Edit."""
    if action not in get_args(Action):
        raise ConfigError(f"{text!r}: {action!r} is no action: {_list(get_args(Action))}")
    try:
        where = None if positions is None else tuple(dict.fromkeys(int(position) for position in positions))
        number = None if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{text!r}: a value is a number, positions are whole numbers") from error
    return Edit(component_names.parse(name), action, number, where)


def _list(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
