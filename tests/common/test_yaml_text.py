"""YAML of strangers: no code, and no text that becomes many times as large as it is."""

from itertools import pairwise

import pytest
import yaml

from aftune.common.yaml_text import parse_yaml, to_yaml

NAMES = "abcdefghij"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise(NAMES)
)


@pytest.mark.parametrize("text", [BOMB, "a: &a [1, *a]\n", "a: &a {b: *a}\n"])
def test_aliases_that_grow_are_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="aliases"):
        parse_yaml(text)


def test_ordinary_aliases_are_not() -> None:
    assert parse_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n") == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}
    assert parse_yaml("") is None
    assert parse_yaml(to_yaml({"a": [1e-4, "x"]})) == {"a": [1e-4, "x"]}


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!own {}"])
def test_tags_make_no_objects(tag: str) -> None:
    with pytest.raises(yaml.YAMLError, match="could not determine a constructor"):
        parse_yaml(f"a: {tag}\n")


def test_whole_numbers_are_written_as_people_do() -> None:
    values = {"epochs": 10.0, "rate": 0.5, "small": 1e-5, "large": 1e20, "negative": -2.0, "count": 3}
    text = to_yaml(values)
    assert text == "epochs: 10\nrate: 0.5\nsmall: 1.0e-05\nlarge: 1.0e+20\nnegative: -2\ncount: 3\n"
    assert parse_yaml(text) == values
