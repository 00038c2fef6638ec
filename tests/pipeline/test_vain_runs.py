"""Runs that cannot work end with warnings: in the terminal, in the manifest, on the page, and again when they are skipped."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

import small_run
from aftune.cli import run_views
from aftune.pipeline import runner
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.registry import LABEL, PREPARE, SAMPLE, SFT
from aftune.recipe import Recipe
from html_page import Elements

pytestmark = pytest.mark.xdist_group("vain_runs")  # its fixtures are slow to make, so one process runs it all


def recipe(folder: Path) -> Recipe:
    """Responses of one token when evaluated, so that none is right; the control for the same compute."""
    return small_run.recipe(
        folder,
        task={"options": {"operations": [3, 4, 5]}},  # those of two operations the base model knows
        evaluate={"max_new_tokens": 1},
        sft={"num_epochs": 3, "learning_rate": 1e-4},
        control={"match": "compute"},
    )


@pytest.fixture(scope="module")
def vain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run of one token a response, and what it reported."""
    folder = tmp_path_factory.mktemp("vain")
    lines: list[str] = []
    runner.run_stages(recipe(folder), report=lines.append)
    return folder, [Text.from_markup(line).plain for line in lines]


def entries(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = RunDirectory(folder).manifest()["stages"]
    return found


def test_with_validation_accuracy_0_the_epoch_with_the_lowest_loss_is_kept(vain: tuple[Path, list[str]]) -> None:
    """At a low learning rate the loss falls from epoch to epoch: the last is kept, not the first. The log has both numbers."""
    folder, lines = vain
    log = [entry for entry in json.loads((folder / "sft" / "log.json").read_text()) if "eval_accuracy" in entry]
    losses = [entry["eval_loss"] for entry in log]
    assert [entry["eval_accuracy"] for entry in log] == [0, 0, 0]
    assert losses == sorted(losses, reverse=True)
    assert losses[2] < losses[0]
    kept = entries(folder)["sft"]["summary"]
    assert (kept["best_epoch"], kept["validation_accuracy"]) == (3, 0)
    assert kept["validation_loss"] == losses[2]
    (text,) = entries(folder)["sft"]["warnings"]
    assert text.startswith("Validation accuracy is 0 in all 3 epochs; epoch 3 was kept for the lowest validation loss.")
    assert f"sft       warning: {text}" in lines


def test_evaluate_warns_of_what_its_figures_cannot_say(vain: tuple[Path, list[str]]) -> None:
    folder, lines = vain
    found = entries(folder)["evaluate"]["warnings"]
    starts = (
        "24 of 24 candidates were cut off and left out. Raise evaluate.max_new_tokens (it is 1)",
        "No group has both right and wrong candidates (0 all right, 0 all wrong, 6 empty): assessment accuracy cannot be",
        "Greedy responses were cut off: base 100.0 %, VFT 100.0 %, VFT, same compute 100.0 %, AFT-BC 100.0 %.",
        "No model has a single right response",
    )
    assert len(found) == len(starts)
    for text, start in zip(found, starts, strict=True):
        assert text.replace("\N{NO-BREAK SPACE}", " ").startswith(start)
        assert f"evaluate  warning: {text}" in lines


def test_every_warning_is_on_the_page(vain: tuple[Path, list[str]]) -> None:
    folder, _ = vain
    page = Elements((folder / "report.html").read_text()).text
    texts = [text for entry in entries(folder).values() for text in entry["warnings"]]
    assert len(texts) >= 5
    for text in texts:
        assert " ".join(text.split()) in page


def test_a_skipped_stage_warns_again(vain: tuple[Path, list[str]]) -> None:
    folder, before = vain
    lines: list[str] = []
    runner.run_stages(recipe(folder), report=lines.append)
    again = [Text.from_markup(line).plain for line in lines]
    warned = [line for line in before if " warning: " in line]
    assert [line for line in again if " warning: " in line] == warned
    assert sum("skipped" in line for line in again) == 8


def test_the_control_of_the_same_compute_is_called_so(vain: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, _ = vain
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics["results"]) == ["base", "vft", "vft_same_compute", "aligned"]
    assert "aligned_vs_vft_same_compute" in metrics["comparisons"]
    assert (folder / "evaluate" / "vft_same_compute" / "verdicts.jsonl").exists()
    with open(tmp_path / "printed", "w") as file:
        run_views.print_results(recipe(folder), Console(file=file, width=160))
    printed = (tmp_path / "printed").read_text()
    assert "“same compute” is VFT continued for as many trained tokens as AFT-BC takes" in printed
    assert "AFT-BC - VFT, same compute: +0.0 points" in printed
    assert "warnings: see above, or the page" in printed
    assert "same steps" not in printed + (folder / "report.html").read_text()


def test_candidates_that_are_all_cut_off(tmp_path: Path) -> None:
    wanted = small_run.recipe(tmp_path, sample={"max_new_tokens": 1})
    lines: list[str] = []
    runner.run_stages(wanted, stages=[PREPARE, SFT, SAMPLE, LABEL], report=lines.append)
    cut_off, without_pairs = RunDirectory(tmp_path).entry("label")["warnings"]
    assert cut_off.startswith("36 of 36 candidates were cut off and left out. Raise sample.max_new_tokens (it is 1)")
    assert without_pairs.startswith("No group has both right and wrong candidates (0 all right, 0 all wrong, 12 empty)")
    assert [line for line in lines if line == f"label     [yellow]warning: {cut_off}[/yellow]"]
