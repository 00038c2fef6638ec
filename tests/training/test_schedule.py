"""Learning rates: no step is lost to a warm-up that begins at 0, and a share of all steps may be all of them."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from aftune import AlignmentConfig, AlignmentTrainer
from aftune.common.errors import UsageError
from aftune.pipeline.stages.train import training_arguments
from aftune.prompts.encoding import EncodedGroup
from aftune.recipe import Recipe

GROUPS = [EncodedGroup("a", [1, 5], [[6, 7, 2], [8, 2]], [True, False], [1.0, 0.0])]


class FirstStepMoves(TrainerCallback):
    def on_train_begin(self, *args: Any, model: Any, **kwargs: Any) -> None:
        self.before = [parameter.detach().clone() for parameter in model.parameters()]

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        if state.global_step == 1:
            assert any(not torch.equal(old, new) for old, new in zip(self.before, model.parameters(), strict=True))


def learning_rates(make_llama: Callable[..., Any], tokenizer: Any, folder: Path, steps: int, **settings: Any) -> list[float]:
    """Of each step, as a share of the learning rate."""
    args = AlignmentConfig(
        output_dir=str(folder),
        use_cpu=True,
        disable_tqdm=True,
        logging_steps=1,
        max_steps=steps,
        learning_rate=2e-3,
        alignment_weight=0.0,
        **settings,
    )
    trainer = AlignmentTrainer(make_llama(), args, GROUPS, tokenizer, callbacks=[FirstStepMoves()])
    trainer.train()
    return [entry["learning_rate"] / 2e-3 for entry in trainer.state.log_history if "learning_rate" in entry]


def test_three_steps_are_three_steps(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    """The recipes' schedule: 3 % of three steps are one step of warm-up, then half a cosine over the other two."""
    shares = learning_rates(make_llama, tokenizer, tmp_path, 3, lr_scheduler_type="cosine", warmup_fraction=0.03)
    assert shares == pytest.approx([1 / 2, 1, 1 / 2])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"lr_scheduler_type": "linear", "warmup_fraction": 0.4}, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]),
        ({"lr_scheduler_type": "linear", "warmup_steps": 2}, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]),
        ({"lr_scheduler_type": "constant_with_warmup", "warmup_fraction": 0.4}, [1 / 3, 2 / 3, 1, 1, 1]),
        ({"lr_scheduler_type": "cosine", "warmup_fraction": 1.0}, [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6]),
        ({"lr_scheduler_type": "cosine"}, [(1 + math.cos(math.pi * n / 5)) / 2 for n in range(5)]),
        ({"lr_scheduler_type": "constant", "warmup_fraction": 0.4}, [1, 1, 1, 1, 1]),
    ],
)
def test_every_schedule(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, settings: dict[str, Any], expected: list[float]
) -> None:
    assert learning_rates(make_llama, tokenizer, tmp_path, 5, **settings) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"warmup_fraction": 1.0}, 50),
        ({"warmup_fraction": 0.07}, 4),
        ({"warmup_fraction": 0.1}, 5),
        ({"warmup_fraction": 0.0}, 0),
        ({"warmup_steps": 1}, 1),
        ({"warmup_steps": 0.1}, 5),
    ],
)
def test_steps_of_a_warm_up(tmp_path: Path, settings: dict[str, Any], steps: int) -> None:
    assert AlignmentConfig(output_dir=str(tmp_path), use_cpu=True, **settings).get_warmup_steps(50) == steps


def test_a_share_that_is_none(tmp_path: Path) -> None:
    for wrong in ({"warmup_fraction": 1.5}, {"warmup_fraction": -0.1}, {"warmup_fraction": 0.1, "warmup_steps": 3}):
        with pytest.raises(UsageError, match=r"warmup_fraction is .*, expected a share of all steps from 0 to 1"):
            AlignmentConfig(output_dir=str(tmp_path), use_cpu=True, **wrong)


def test_a_recipe_may_warm_up_all_the_way(tmp_path: Path) -> None:
    recipe = Recipe.model_validate({"run_dir": str(tmp_path), "model": {"device": "cpu"}, "sft": {"warmup_fraction": 1.0}})
    assert training_arguments(recipe.sft, tmp_path, recipe, validated=False).get_warmup_steps(40) == 40
