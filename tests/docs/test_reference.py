"""The generated pages are those of today's code, and every key and command is on them."""

import re
from pathlib import Path

import pytest
import typer
from scripts import make_reference

from aftune.cli.main import app
from aftune.pipeline.registry import enabled_stages
from aftune.recipe import Recipe


@pytest.mark.parametrize("name", make_reference.PAGES)
def test_the_page_is_current(name: str) -> None:
    """Where this fails: `make reference`."""
    assert (make_reference.FOLDER / name).read_text(encoding="utf-8") == make_reference.PAGES[name]()


def test_every_command_has_a_heading() -> None:
    text = make_reference.commands_page()
    names = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert [name for name in names if f"### aftune {name}\n" not in text] == []
    assert len(names) > 20


def test_every_stage_is_in_the_table() -> None:
    page = (make_reference.FOLDER.parent / "runs.md").read_text(encoding="utf-8")
    names = [stage.name for stage in enabled_stages(Recipe(run_dir=Path("runs")))]
    assert re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)[: len(names)] == names


def test_values_are_told() -> None:
    """A range, a choice, a mark, a section within a section and an optional one, each worked by hand."""
    text = make_reference.recipe_page()
    for row in (
        "| `dropout` | Share of the inputs of the adapter that are dropped in training. | `0` | number, at least 0 and below 1 |",
        "| `reading` | strict reads the format that was asked for, flexible the last statement of an answer. | `strict` "
        "| `strict`, `flexible` |",
        "| `learning_rate` | The highest learning rate, after warm-up. | `2e-5` | number, above 0 |",
        "| `keep` ° | How many of the last checkpoints are kept. | `2` | whole number, at least 1 |",
        "| `sources` | Other models whose responses join. | `[]` | list of [section](#samplesources) |",
        "| `path` ° | A file, or a folder of them, here or in `data`. | **needed** | path |",
        "## candidates\n",
        "### sample.engine\n",
    ):
        assert row in text
