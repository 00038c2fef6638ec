"""Whole runs that train adapters."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import small_run
from aftune.common.errors import UsageError
from aftune.models.loading import resolve
from aftune.pipeline.runner import run_stages

STAGES = ("sft", "align", "control")


@pytest.fixture
def runs(adapter_runs: dict[bool, Path]) -> dict[bool, Path]:
    return adapter_runs


def metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())["results"]
    return found


def test_merged_or_not_the_figures_are_the_same(runs: dict[bool, Path]) -> None:
    ours, theirs = (metrics(runs[merge]) for merge in (True, False))
    assert ours.keys() == theirs.keys() == {"base", "vft", "vft_same_steps", "aligned"}
    for model, values in ours.items():
        assert values["accuracy"] == theirs[model]["accuracy"]
        assert values["reference_perplexity"] == pytest.approx(theirs[model]["reference_perplexity"], rel=1e-4)
    assert len({values["reference_perplexity"] for values in ours.values()}) == 4  # each stage trained something


def test_a_target_that_the_model_lacks_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    recipe = small_run.recipe(tmp_path / "run", adapter={"kind": "lora", "targets": ["q_prj"]})
    with pytest.raises(UsageError, match="no layer 'q_prj'; the nearest are q_proj"):
        run_stages(recipe, report=lambda line: None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_leaves(runs: dict[bool, Path], stage: str) -> None:
    merged, alone = (runs[merge] / stage for merge in (True, False))
    assert {path.name for path in merged.iterdir()} == {"adapter", "model", "log.json", "SHA256SUMS"}
    assert (merged / "model" / "config.json").exists()
    assert not (merged / "model" / "adapter_config.json").exists()
    assert (alone / "model" / "adapter_config.json").exists()
    assert not (alone / "adapter").exists()
    ours, theirs = (load_file(path / "adapter_model.safetensors") for path in (merged / "adapter", alone / "model"))
    assert all(ours[name].equal(theirs[name]) for name in theirs)


def test_only_adapted_layers_differ_from_the_base(runs: dict[bool, Path]) -> None:
    base = load_file(Path(resolve("bundled")) / "model.safetensors")
    ours = load_file(runs[True] / "align" / "model" / "model.safetensors")
    moved = {name for name, weight in base.items() if not weight.float().equal(ours[name].float())}
    assert {name.split(".")[-2] for name in moved} == {"q_proj", "v_proj"}


def test_alignment_continues_the_adapter_of_vft(runs: dict[bool, Path]) -> None:
    """Its steps are small beside those of VFT: the adapters stay close, where a new one would start from zero."""
    vft, aligned = (load_file(runs[True] / stage / "adapter" / "adapter_model.safetensors") for stage in ("sft", "align"))
    for name, weight in vft.items():
        if "lora_A" in name:
            assert float((aligned[name] - weight).norm()) < 0.5 * float(weight.norm())


def test_another_adapter_redoes_what_depends_on_it(runs: dict[bool, Path]) -> None:
    from aftune.pipeline.directory.run_directory import RunDirectory
    from aftune.pipeline.plans import plan

    recipe = small_run.recipe(runs[True], adapter={"kind": "lora", "rank": 8}, model={"save_dtype": "float32"})
    plans = {item.stage.name: item for item in plan(recipe, RunDirectory(runs[True]))}
    assert plans["prepare"].status == "finished"
    assert plans["sft"].status == "redo"
    assert plans["sft"].reason == "adapter.rank: 4 -> 8"
