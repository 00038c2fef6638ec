"""What models and units are called."""

from typing import Any

import pytest

from aftune.pipeline.compare.methods import METHODS
from aftune.recipe import AlignSection, Recipe
from aftune.recipe.names import beta_unit, control_note, method_name, model_names, rl_name


def recipe(**sections: Any) -> Recipe:
    return Recipe.model_validate({"run_dir": "x", **sections})


@pytest.mark.parametrize(
    ("align", "name"),
    [
        ({}, "AFT-BC"),
        ({"constraint": "none"}, "AFT"),
        ({"loss": "dpo", "constraint": "none"}, "DPO"),
        ({"loss": "rrhf", "constraint": "detached"}, "RRHF-DC"),
        ({"loss": "pro"}, "PRO-BC"),
        ({"loss": "simpo"}, "SimPO-BC"),
        ({"loss": "dpo", "constraint": "none", "sft_on": "positives"}, "RPO"),
        ({"alignment_weight": 0.0, "sft_on": "positives"}, "RFT"),
        ({"alignment_weight": 0.0}, "VFT, continued"),
    ],
)
def test_the_aligned_model_is_called_by_its_method(align: dict[str, Any], name: str) -> None:
    assert method_name(AlignSection(**align)) == name
    assert [one.label for one in model_names(["aligned"], recipe(align=align))] == [name]


def test_a_comparison_calls_methods_as_a_run_does() -> None:
    for method in METHODS.values():
        made = method.recipe(recipe())
        if method.name.startswith("vft-"):
            key = {"vft-steps": "vft_same_steps", "vft-compute": "vft_same_compute"}[method.name]
            assert [one.label for one in model_names([key], made)] == [method.title]
        elif method.name in ("grpo", "rloo"):
            assert method.title == rl_name(made.rl.algorithm) == method.name.upper()
        elif method.name != "vft":
            assert method.title == method_name(made.align)


def test_names_stand_in_the_order_of_training() -> None:
    keys = ["aligned", "other", "aligned_round_2", "vft_same_compute", "base", "aligned_round_1", "vft"]
    names = model_names(keys, recipe(rounds=3, control={"match": "compute"}))
    assert [name.label for name in names] == [
        "base",
        "VFT",
        "VFT, same compute",
        "AFT-BC, round 1",
        "AFT-BC, round 2",
        "AFT-BC",
        "other",
    ]


def test_the_control_is_called_by_what_it_matches() -> None:
    assert control_note(recipe()) == "“same steps” is VFT continued for as many optimizer steps as AFT-BC takes"
    compute = recipe(control={"match": "compute"}, align={"loss": "dpo"})
    assert control_note(compute) == "“same compute” is VFT continued for as many trained tokens as DPO-BC takes"


def test_units_of_beta() -> None:
    assert [beta_unit(loss) for loss in ("aft", "pro", "rrhf", "dpo", "infonca")] == ["nats per token"] * 3 + ["nats"] * 2
    assert beta_unit("rrhf", "padded") == "nats per token of the padded row"
