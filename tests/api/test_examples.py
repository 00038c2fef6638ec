"""The examples in docstrings and in docs/python.md do what they show."""

import doctest
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import aftune
from aftune.common.progress import console

DOCUMENT = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
FUNCTIONS = [name for name in aftune.__all__ if name.islower() and not name.startswith("_") and name != "errors"]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A slow machine gets lines of progress, which are not a part of an example."""
    console.quiet = True
    yield
    console.quiet = False


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_docstring(name: str) -> None:
    found = doctest.DocTestFinder(recurse=False).find(getattr(aftune, name), name, globs={})
    ran = [doctest.DocTestRunner().run(one) for one in found]
    assert [one.failed for one in ran] == [0]
    assert ran[0].attempted > 2


def test_the_notebook_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks, one after the other, as they stand; what is shown as a comment after a line is what that line gives."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    shown = 0
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT, flags=re.DOTALL):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # so few problems teach little, as aftune says
            exec(compile(block, "docs/python.md", "exec"), names)
        for expression, result in re.findall(r"^(\w.*?)  # -> (.*)$", block, flags=re.MULTILINE):
            assert repr(eval(expression, names)) == result, expression
            shown += 1
    assert shown > 3
    assert (tmp_path / "aligned" / "model" / "model.safetensors").exists()
