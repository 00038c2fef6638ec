"""The public names and their signatures change on purpose only."""

import inspect
import os
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from transformers import TrainingArguments

import aftune
from aftune.api import keys
from aftune.recipe import AlignSection, EngineSection, EvaluateSection, LabelSection, SampleSection, SftSection

KEPT = Path(__file__).with_name("signatures.txt")


def signature(name: str) -> str:
    """A name and its parameters, one a line. Modules of types are left out, since they differ between versions of Python; so are
    the parameters of AlignmentConfig that are transformers' own."""
    value = getattr(aftune, name)
    if name == "errors":
        return f"errors: {', '.join(value.__all__)}\n"
    if not callable(value):
        return f"{name}: {type(value).__name__}\n"
    found = inspect.signature(value)
    parameters = list(found.parameters.values())
    if name == "AlignmentConfig":
        theirs = inspect.signature(TrainingArguments).parameters
        parameters = [one for one in parameters if one.name not in theirs]
    lines = [f"    {'*, ' * (one.kind is one.KEYWORD_ONLY)}{plain(str(one))}\n" for one in parameters]
    returns = (
        "" if found.return_annotation in (found.empty, None) else f" -> {plain(inspect.formatannotation(found.return_annotation))}"
    )
    return f"{name}{returns}\n{''.join(lines)}"


def plain(text: str) -> str:
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z])", "", text)


def test_public_signatures_are_those_that_were_kept() -> None:
    now = "\n".join(map(signature, aftune.__all__))
    if os.environ.get("AFTUNE_KEEP_SIGNATURES"):
        KEPT.write_text(now, encoding="utf-8")
    assert now == KEPT.read_text(encoding="utf-8"), (
        "aftune's public names, their parameters or defaults have changed, which breaks programs that use them. If that is wanted: "
        "AFTUNE_KEEP_SIGNATURES=1 pytest tests/api/test_signatures.py keeps the new ones in tests/api/signatures.txt; commit them "
        "with a line in CHANGELOG.md"
    )


@pytest.mark.parametrize(
    ("arguments", "section", "without"),
    [
        (keys.SampleKeys, SampleSection, set()),
        (keys.LabelKeys, LabelSection, set()),
        (keys.SftKeys, SftSection, set()),
        (keys.AlignKeys, AlignSection, {"start"}),
        (keys.EvaluateKeys, EvaluateSection, {"num_candidates"}),
    ],
)
def test_keyword_arguments_are_the_keys_of_the_recipe(arguments: Any, section: Any, without: set[str]) -> None:
    """The same names and types; sections within a section may also be given as dictionaries, and an engine by its name."""
    expected = {
        name: kind for name, kind in get_type_hints(section).items() if name in section.model_fields and name not in without
    }
    found = get_type_hints(arguments)
    assert found.keys() == expected.keys()
    for name, kind in found.items():
        assert kind == expected[name] or expected[name] in get_args(kind), name
    assert EngineSection in get_args(get_type_hints(keys.SampleKeys)["engine"])
