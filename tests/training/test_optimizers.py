"""Optimizers by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.training_args import OptimizerNames

import small_run
from aftune import AlignmentConfig, AlignmentTrainer
from aftune.common.errors import UsageError
from aftune.pipeline.runner import run_stages
from aftune.training.optimizers import check_optimizer, optimizer_settings
from small_groups import GROUPS, SETTINGS

# Those of torch and transformers themselves.
ALWAYS = ("adamw_torch", "adafactor", "sgd", "adagrad", "rmsprop")
BITSANDBYTES = ("adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "lion_8bit", "ademamix_8bit", "rmsprop_bnb")


@pytest.mark.parametrize("name", ["adamw", *ALWAYS])
def test_names(name: str) -> None:
    check_optimizer("sft.optimizer", name, "cpu")


@pytest.mark.parametrize("name", BITSANDBYTES)
def test_those_of_bitsandbytes(name: str) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'aftune[qlora]'")
    check_optimizer("sft.optimizer", name, "cpu")


def test_an_unknown_name() -> None:
    with pytest.raises(UsageError, match=r"align\.optimizer is 'adafacto', expected adamw or an optimizer .*, such as adafactor"):
        check_optimizer("align.optimizer", "adafacto", "cpu")


@pytest.mark.parametrize("name", [optimizer.value for optimizer in OptimizerNames])
def test_every_name_works_or_says_in_one_line_why_not(name: str) -> None:
    try:
        check_optimizer("sft.optimizer", name, "cpu")
    except UsageError as error:
        text = str(error)
        assert text.startswith(f"sft.optimizer is {name!r}")
        assert "\n" not in text
        assert name not in ALWAYS


@pytest.mark.parametrize("name", ["lomo", "adalomo", "galore_adamw_layerwise", "apollo_adamw_layerwise"])
def test_those_that_step_within_a_backward_pass(name: str) -> None:
    """A step of ours has several."""
    with pytest.raises(UsageError, match=rf"sft\.optimizer is '{name}': it changes weights within each backward pass"):
        check_optimizer("sft.optimizer", name, "cpu")


def test_a_package_that_is_missing_is_told_before_anything_is_done(tmp_path: Path) -> None:
    wanted = small_run.recipe(tmp_path / "run", model={"device": "cpu"}, align={"optimizer": "adamw_torch_xla"})
    message = r"align\.optimizer is 'adamw_torch_xla', which does not work here \(.*failed to import .* from torch_xla.*\); take"
    with pytest.raises(UsageError, match=message):
        run_stages(wanted, report=lambda line: None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("optim", "package"), [("adafactor", None), ("galore_adamw", "galore_torch"), ("apollo_adamw", "apollo_torch")]
)
def test_resumes_exactly(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, optim: str, package: str | None) -> None:
    """Also where an optimizer's state holds more than tensors."""
    if package is not None:
        pytest.importorskip(package, reason=f"{package} is not installed")
    ends = []
    for checkpoint in (None, str(tmp_path / "checkpoint-2")):
        settings = {**SETTINGS, **optimizer_settings(optim), "save_strategy": "steps", "save_steps": 2, "num_train_epochs": 1}
        args = AlignmentConfig(output_dir=str(tmp_path), per_device_train_batch_size=4, **settings)
        trainer = AlignmentTrainer(make_llama(hidden_size=64), args, GROUPS, tokenizer)
        trainer.train(resume_from_checkpoint=checkpoint)
        ends.append(list(trainer.model.parameters()))
    assert all(torch.equal(weight, same) for weight, same in zip(*ends, strict=True))


class Averaging(torch.optim.SGD):
    """Like schedule-free optimizers: trains at one point, and gives another, here half of it."""

    training = False

    def train(self) -> None:
        if not self.training:
            self.training = True
            self._multiply(2.0)

    def eval(self) -> None:
        if self.training:
            self.training = False
            self._multiply(0.5)

    def _multiply(self, factor: float) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                weight.data *= factor


def test_a_model_is_measured_and_left_with_the_weights_that_its_optimizer_gives(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    """With a learning rate of 0 the weights that it gives are those of the start, and those that it trains are twice as large."""
    model = make_llama()
    start, seen, norm = float(model.lm_head.weight.norm()), [], lambda weights: float(weights.detach().norm())

    def validate(measured: Any) -> dict[str, float]:
        seen.append(norm(measured.lm_head.weight))
        return {}

    settings = {**SETTINGS, "learning_rate": 0.0, "eval_strategy": "epoch", "num_train_epochs": 2}
    args = AlignmentConfig(output_dir=str(tmp_path), per_device_train_batch_size=8, **settings)
    optimizer = Averaging(model.parameters(), lr=0.0)
    trainer = AlignmentTrainer(model, args, GROUPS, tokenizer, validate=validate, optimizers=(optimizer, None))
    trainer.train()
    assert seen == pytest.approx([start, start])
    assert norm(trainer.model.lm_head.weight) == pytest.approx(start)
    optimizer.train()
    assert norm(trainer.model.lm_head.weight) == pytest.approx(2 * start)


def test_projected_ones_take_all_linear_layers() -> None:
    assert optimizer_settings("adamw") == {}
    assert optimizer_settings("adafactor") == {"optim": "adafactor"}
    for name in ("galore_adamw", "apollo_adamw"):
        assert optimizer_settings(name) == {"optim": name, "optim_target_modules": "all-linear"}
