"""`model.precision: auto`: measured once, printed, kept by the run; an explicit bfloat16 that is slow is told."""

import json
from pathlib import Path
from typing import Any

import pytest

import small_run
from aftune.models.precision import ProductRates
from aftune.pipeline import precision_choice, runner
from aftune.pipeline.compare.runs import comparison
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.recipe import ModelSection, Recipe

FAST, SLOW = ProductRates(0.1, 0.2), ProductRates(0.1, 0.005)


def measured(monkeypatch: pytest.MonkeyPatch, rates: ProductRates) -> None:
    monkeypatch.setattr("aftune.models.precision.product_rates", lambda device: rates)
    monkeypatch.setattr(precision_choice, "product_rates", lambda device: rates)


def recipe(folder: Path, asked: str | None = None) -> Recipe:
    sections: dict[str, Any] = {name: dict(values) for name, values in small_run.SETTINGS.items()}
    sections["model"] = {} if asked is None else {"precision": asked}
    return Recipe.model_validate({"run_dir": str(folder), **sections})


def prepare(folder: Path, asked: str | None = None) -> list[str]:
    lines: list[str] = []
    runner.run_stages(recipe(folder, asked), only="prepare", report=lines.append)
    return lines


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


@pytest.mark.parametrize(("rates", "chosen", "ratio"), [(FAST, "bfloat16", "2"), (SLOW, "float32", "0.05")])
def test_auto_is_the_default_and_what_is_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rates: ProductRates, chosen: str, ratio: str
) -> None:
    measured(monkeypatch, rates)
    why = f"a bfloat16 matrix product is measured to be {ratio} times as fast as a float32 one"
    assert prepare(tmp_path)[0] == f"precision {chosen}: {why}"
    assert manifest(tmp_path)["precision"] == {"chosen": chosen, "why": why}
    assert manifest(tmp_path)["stages"]["prepare"]["settings"]["model"]["precision"] == chosen
    assert f"precision: {chosen}" in (tmp_path / "recipe.yaml").read_text()


@pytest.mark.parametrize("told_by_manifest", [True, False])
def test_a_run_keeps_its_precision_on_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told_by_manifest: bool
) -> None:
    """Runs from before the choice was noted have it in the settings of their stages."""
    measured(monkeypatch, FAST)
    prepare(tmp_path)
    if not told_by_manifest:
        (tmp_path / "manifest.json").write_text(json.dumps({"stages": manifest(tmp_path)["stages"]}))
    measured(monkeypatch, SLOW)
    lines = prepare(tmp_path)
    assert lines[0] == "precision bfloat16: as when this run began"
    assert "finished before" in lines[1]
    assert manifest(tmp_path)["precision"]["chosen"] == "bfloat16"


def test_bfloat16_that_is_slow_here_gets_a_warning_with_the_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, SLOW)
    assert prepare(tmp_path, "bfloat16")[0] == (
        "precision [yellow]bfloat16: slow on this machine, a bfloat16 matrix product is measured to be 0.05 times as fast as a "
        "float32 one; model.precision=auto takes float32[/yellow]"
    )
    measured(monkeypatch, FAST)
    assert "precision" not in " ".join(prepare(tmp_path, "bfloat16"))


def test_what_is_asked_for_replaces_what_a_run_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, FAST)
    prepare(tmp_path)
    prepare(tmp_path, "float32")
    assert manifest(tmp_path)["precision"]["chosen"] == "float32"
    assert RunDirectory(tmp_path).precision() == "float32"


def test_all_runs_of_a_comparison_have_the_precision_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, FAST)
    prepare(tmp_path / "seed-1")
    measured(monkeypatch, SLOW)
    wanted = comparison(recipe(tmp_path), ["vft"], num_seeds=2)
    assert {wanted.shared(seed).recipe.model.precision for seed in (0, 1)} == {"bfloat16"}
    assert wanted.notes == ["precision bfloat16: as when this run began"]


def test_bfloat16_weights_ask_for_bfloat16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is slow, which is told with what to do."""
    wanted = recipe(tmp_path).model_copy(update={"model": ModelSection(weights="bfloat16")})
    measured(monkeypatch, FAST)
    settled = precision_choice.settle(wanted, [])
    assert settled.recipe.model == ModelSection(weights="bfloat16", precision="bfloat16")
    assert settled.lines() == []
    measured(monkeypatch, SLOW)
    settled = precision_choice.settle(wanted, [])
    assert settled.recipe.model.precision == "bfloat16"
    assert "; model.weights=float32 with model.precision=auto takes float32" in settled.lines()[0]
