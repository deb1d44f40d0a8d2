"""Names of components and the writing of edits, in all the forms that a person may use."""

import pytest
import yaml

from flowatlas import component_names, edits
from flowatlas.component_names import Component
from flowatlas.edits import Edit
from flowatlas.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "component", "name"),
    [
        ("L5H1", Component("head", 5, 1), "L5H1"),
        ("5.1", Component("head", 5, 1), "L5H1"),
        ("L5.H1", Component("head", 5, 1), "L5H1"),
        (" 5:1 ", Component("head", 5, 1), "L5H1"),
        ("l5n12", Component("neuron", 5, 12), "L5N12"),
        ("L5E3N12", Component("neuron", 5, 12, 3), "L5E3N12"),
        ("L5E0.N12", Component("neuron", 5, 12, 0), "L5E0N12"),
        ("L11 MLP", Component("mlp", 11), "L11 MLP"),
        ("11mlp", Component("mlp", 11), "L11 MLP"),
        ("L2 attention", Component("attn", 2), "L2 attention"),
    ],
)
def test_names_are_read_and_written(text, component, name):
    assert component_names.parse(text) == component
    assert str(component) == name
    assert component_names.parse(name) == component


@pytest.mark.parametrize("text", ["51", "", "L5", "H1", "L5E3H1", "L5E3.1", "L5X1", "L12345H1", "L5H1 and more"])
def test_what_is_no_name_is_refused(text):
    with pytest.raises(ConfigError, match="names no component"):
        component_names.parse(text)


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        ("L5H1=off", Edit(Component("head", 5, 1), "off")),
        ("5.1=mean@-1", Edit(Component("head", 5, 1), "mean", None, (-1,))),
        ("L5H1=x0.5", Edit(Component("head", 5, 1), "scale", 0.5)),
        ("L5N12=on", Edit(Component("neuron", 5, 12), "on")),
        ("L5N12=-3.5@0,2,2", Edit(Component("neuron", 5, 12), "set", -3.5, (0, 2))),
        ("L5N12=1e3", Edit(Component("neuron", 5, 12), "set", 1000.0)),
        ("L5 MLP=x-2", Edit(Component("mlp", 5), "scale", -2.0)),
    ],
)
def test_edits_are_read_and_written(text, edit):
    assert edits.parse(text) == edit
    assert edits.parse(str(edit)) == edit


@pytest.mark.parametrize("value", [1 / 3, 1234567.0, 0.1 + 0.2, -1e-7, 3.4e38, 1e22])
def test_a_value_is_written_with_all_its_digits(value):
    """Edits are compared by what they are written as."""
    edit = Edit(Component("neuron", 5, 12), "set", value)
    assert edits.parse(str(edit)) == edit


def test_edits_of_a_yaml_file():
    """`off` and `on` are false and true to YAML, and mean what they say all the same."""
    text = """
    - {component: L5H1, action: off}
    - {component: L5N1, action: on, positions: [-1]}
    - {component: 5 MLP, action: scale, value: 2}
    """
    found = [edits.of_mapping(entry) for entry in yaml.safe_load(text)]
    assert list(map(str, found)) == ["L5H1=off", "L5N1=on@-1", "L5 MLP=x2"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("L5H1", "is no edit"),
        ("L5H1=off@", "is no edit"),
        ("L5H1=away", "'away' is no action"),
        ("L5N1=set", "set needs a value"),
        ("L5H1=on", "a head can be off, mean or scale"),
        ("L5H1=2", "a head can be off, mean or scale"),
        ("L5N1=mean", "a neuron can be off, on, set or scale"),
        ("L5 attention=off", "name its heads"),
        ("L5H1=off@x", "positions are whole numbers"),
        ("L5N1=1e999", "is no finite number"),
        ("51=off", "names no component"),
    ],
)
def test_what_is_no_edit_is_refused(text, why):
    with pytest.raises(ConfigError, match=why):
        edits.parse(text)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"component": "L5H1"}, "needs component and action"),
        ({"component": "L5H1", "action": "off", "layer": 5}, "needs component and action"),
        ({"component": "L5H1", "action": "off", "value": 1}, "off takes no value"),
        ({"component": "L5N1", "action": "set", "value": "much"}, "a value is a number"),
        ({"component": "L5N1", "action": "off", "positions": []}, "an empty list of positions"),
        ({"component": "L5N1", "action": "off", "positions": 3}, "positions are whole numbers"),
    ],
)
def test_what_is_no_edit_of_a_file_is_refused(entry, why):
    with pytest.raises(ConfigError, match=why):
        edits.of_mapping(entry)
