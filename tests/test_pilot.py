"""`benchmarks/pilot.py`: which models it makes, what it takes from their runs, and the figures that it prints."""

import importlib
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from aftune.recipe import load_recipe


@pytest.fixture(scope="module")
def pilot(repository: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(repository / "benchmarks")
        return importlib.import_module("pilot")


def model(pilot: Any, right: list[float], common: list[float], own: list[float]) -> Any:
    """A model measured for one seed, on questions that are named by their places."""
    return pilot.Measured(*({str(i): [value] for i, value in enumerate(values)} for values in (right, common, own)), [1])


def test_the_grid_begins_with_the_model_that_is_sampled_from(pilot: Any) -> None:
    names = [setting.name for setting in pilot.grid([500, 100], [2, 0.5])]
    assert names == ["train-500-epochs-2", "train-100-epochs-0.5", "train-100-epochs-2", "train-500-epochs-0.5"]


def test_a_model_changes_nothing_else_in_the_recipe(pilot: Any, repository: Path) -> None:
    recipe = load_recipe(repository / "recipes" / "pilot.yaml")
    own = pilot.Setting(250, 4).recipe(recipe, 3)
    assert (own.task.train, own.sft.num_epochs, own.seed) == ("train[:250]", 4.0, 3)
    assert own.run_dir == recipe.run_dir / "seed-3" / "train-250-epochs-4"
    kept = {"task": recipe.task, "sft": recipe.sft, "seed": recipe.seed, "run_dir": recipe.run_dir}
    assert own.model_copy(update=kept) == recipe


def test_a_question_of_several_seeds_counts_once(pilot: Any) -> None:
    """Question a: (1 + 0) / 2, b: 1 in the second seed only; their mean is 3/4, where that of all values would be 2/3."""
    values: dict[str, list[float]] = {}
    pilot.add(values, ["a", "b"], [1.0, None])
    pilot.add(values, ["b", "a"], [1.0, 0.0])
    assert values == {"a": [1.0, 0.0], "b": [1.0]}
    assert pilot.mean(values) == 0.75


def test_rows_and_correlations(pilot: Any) -> None:
    """Accuracies 1/4, 1/2, 3/4; with common candidates 0, 1/2, 1 on a line, with own ones 1/2, 0, 1, of which r is 1/2: products of
    deviations -1/4 (0), 0 (-1/2), 1/4 (1/2) sum to 1/8, squares to 1/8 and 1/2; sqrt(1/16) = 1/4. Without the model of one
    epoch two are left, too few."""
    quarters = [[float(i < number) for i in range(4)] for number in (1, 2, 3)]
    found = {
        pilot.Setting(100, 1): model(pilot, quarters[0], [0.0, 0.0], [0.5]),
        pilot.Setting(100, 2): model(pilot, quarters[1], [0.0, 1.0], [0.0]),
        pilot.Setting(200, 2): model(pilot, quarters[2], [1.0, 1.0], [1.0]),
    }
    rows = pilot.rows(found)
    assert [row[:3] for row in rows] == [["100", "1", "1"], ["100", "2", "1"], ["200", "2", "1"]]
    assert [row[3].split()[0] for row in rows] == ["25.0", "50.0", "75.0"]
    assert [row[4].split()[0] for row in rows] == ["0.0", "50.0", "100.0"]
    assert [row[6] for row in rows] == ["1", "1", "1"]
    assert pilot.correlation_rows(found) == [
        ["all", "3", "1.00 [-1.00, 1.00]", "0.50 [-1.00, 1.00]"],
        ["without 1 epoch", "2", "-", "-"],
    ]
    differences = [[name, text.split()[0]] for name, text in pilot.judgement_rows(found)]
    assert differences == [
        ["train-100-epochs-1 minus train-200-epochs-2", "-100.0"],
        ["train-100-epochs-2 minus train-200-epochs-2", "-50.0"],  # ((0 - 1) + (1 - 1)) / 2
    ]


def test_the_figure_is_a_file_of_its_own(pilot: Any) -> None:
    """Every colour that it uses is in it."""
    found = {pilot.Setting(100, 1): model(pilot, [0.0, 1.0], [0.5], []), pilot.Setting(200, 1): model(pilot, [1.0], [1.0], [])}
    text = pilot.figure(found, "common")
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    used = {part.partition(")")[0] for part in text.split("var(")[1:]}
    assert {"--vft", "--wrong", "--ink"} <= used
    assert all(f"{name}: #" in text for name in used)
    assert "200 problems" in text


def test_the_shipped_recipe(pilot: Any, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two models: the table has what their own metrics have, and a second call makes nothing again."""
    small = ["task.validation=validation[:4]", "task.test=test[6:14]", "sft.batch_size=8", "evaluate.max_new_tokens=64"]
    recipe = load_recipe(repository / "recipes" / "pilot.yaml", [*small, f"run_dir={tmp_path}", "model.precision=float32"])
    settings = pilot.grid([8, 16], [1])
    pilot.measure_grid(recipe, settings, 1)
    printed = capsys.readouterr().out
    for setting in settings:
        metrics = json.loads((tmp_path / "seed-0" / setting.name / "measure" / "metrics.json").read_text())
        (line,) = [line for line in printed.splitlines() if line.startswith(f"| {setting.size} | 1 |")]
        cells = [cell.split()[0] for cell in line.strip("| ").split(" | ")]
        assert cells[3] == f"{100 * metrics['accuracy']:.1f}"
        assert cells[4] == f"{100 * metrics['assessment_accuracy']:.1f}"
    assert {path.name for path in (tmp_path / "seed-0" / "train-8-epochs-1").iterdir() if path.is_dir()} == {
        "prepare",
        "sft",
        "measure",
    }
    assert (tmp_path / "pilot-common.svg").exists()
    pilot.measure_grid(recipe, settings, 1)
    again = capsys.readouterr().out
    assert again.count("finished before, skipped") == 4 + 3
    assert again[again.index("| problems") :] == printed[printed.index("| problems") :]
