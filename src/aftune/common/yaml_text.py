"""YAML as recipes use it: a repeated key is an error, and 1e-4 is a number, as in YAML 1.2 and everywhere else."""

import re
from typing import Any

import yaml

_EXPONENT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)[eE][-+]?[0-9]+$")
_FLOAT = "tag:yaml.org,2002:float"
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_STARTS = list("-+.0123456789")
_MOST = 100_000  # values in a recipe


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, yaml.ScalarNode] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            first = seen.setdefault(key.value, key)
            if first is not key:
                problem = f"the key {key.value!r} appears twice, first in line {first.start_mark.line + 1}"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        return super().construct_mapping(node, deep)

    def construct_text(self, node: yaml.ScalarNode) -> str:
        """A text that files can hold: in YAML, any number can be written as an escaped character."""
        text = self.construct_scalar(node)
        try:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16")  # both halves of a pair, as JSON escapes them
        except UnicodeDecodeError as error:
            problem = "half of a surrogate pair, which is not a character"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error
        if "\0" in text:
            raise yaml.constructor.ConstructorError(None, None, "a zero character", node.start_mark)
        return text


class _Dumper(yaml.SafeDumper):
    pass


def _represent_float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    """10 epochs, not 10.0."""
    if value.is_integer() and abs(value) < 1e6:
        return dumper.represent_int(int(value))
    return dumper.represent_float(value)


_Dumper.add_representer(float, _represent_float)
_Loader.add_constructor(_TEXT, _Loader.construct_text)
for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(_FLOAT, _EXPONENT, _STARTS)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text; raises yaml.YAMLError, with the line in `problem_mark` where it is known."""
    try:
        _check_size(text)
        return yaml.load(text, _Loader)
    except RecursionError as error:
        raise yaml.YAMLError("nested too deeply") from error
    except ValueError as error:  # an integer of thousands of digits, a date that does not exist
        raise yaml.YAMLError(str(error)) from error


def _check_size(text: str) -> None:
    """Raises YAMLError where aliases make a text many times as large as it is, or repeat themselves without end."""
    known: dict[int, int] = {}  # nodes with all that is in them; 0 while they are being counted

    def size(node: yaml.Node) -> int:
        found = known.get(id(node))
        if found is None:
            known[id(node)] = 0
            parts = node.value if isinstance(node, yaml.SequenceNode | yaml.MappingNode) else []
            inner = [part for one in parts for part in (one if isinstance(one, tuple) else (one,))]
            found = known[id(node)] = 1 + sum(map(size, inner))
        if not 0 < found <= _MOST:
            raise yaml.YAMLError(f"aliases (*name) that stand for more than {_MOST:,} values, or for themselves")
        return found

    node = yaml.compose(text, _Loader)
    if node is not None:
        size(node)


def to_yaml(value: Any) -> str:
    """A YAML text from which `parse_yaml` gives the same value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False)
