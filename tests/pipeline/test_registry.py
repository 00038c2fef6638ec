"""The registry of stages."""

from pathlib import Path

from aftune.pipeline import registry
from aftune.pipeline.stage_functions import FUNCTIONS
from aftune.recipe import Recipe


def test_every_stage_has_its_function() -> None:
    """Those of a run with two rounds and a reference policy, and those of a comparison."""
    recipe = Recipe.model_validate({"run_dir": Path("x"), "rounds": 2, "align": {"loss": "dpo"}})
    stages = [*registry.enabled_stages(recipe), registry.HELD_OUT, registry.RL, registry.MEASURE]
    assert {stage.kind for stage in stages} == FUNCTIONS.keys()
    assert [stage.name for stage in stages if stage.kind == "align"] == ["align", "align-2"]
    assert all(FUNCTIONS[stage.kind].__name__ == stage.kind for stage in stages)
