"""Trackers: what they are told, that a missing one is an error at once, and real files of TensorBoard."""

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import small_run
from aftune import AlignmentConfig, AlignmentTrainer
from aftune.common.errors import UsageError
from aftune.pipeline.runner import run_stages
from aftune.pipeline.stages.train import training_arguments
from aftune.training.trackers import check_trackers, grouped
from small_groups import GROUPS, SETTINGS

VARIABLES = ("TENSORBOARD_LOGGING_DIR", "WANDB_PROJECT", "WANDB_RUN_GROUP", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TAGS")
ALL = ["tensorboard", "trackio", "wandb", "mlflow"]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """Nothing of these names is installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in missing else find(name, *rest))


@pytest.mark.parametrize("name", ALL)
def test_a_tracker_that_is_missing_is_an_error_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    without(monkeypatch, name, "tensorboardX")
    wanted = small_run.recipe(tmp_path / "run", track={"report_to": [name]})
    message = f"^track.report_to: {name} is not installed; install it with pip install {name}, or leave it out$"
    with pytest.raises(UsageError, match=message):
        run_stages(wanted, report=lambda line: None)
    assert not (tmp_path / "run").exists()


def test_no_tracker_is_looked_for_that_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, *ALL)
    check_trackers("track.report_to", [])


def test_the_stages_of_a_run_have_names_in_one_project(tmp_path: Path) -> None:
    """What TrainingArguments take; nothing is tracked unless the recipe says so."""
    recipe = small_run.recipe(tmp_path / "run", track={"report_to": ALL, "project": "chains"})
    for stage in ("sft", "align"):
        args = training_arguments(getattr(recipe, stage), recipe.run_dir / stage, recipe, validated=False)
        assert (args.report_to, args.project, args.run_name) == (ALL, "chains", f"{tmp_path}/run/{stage}")
    recipe = small_run.recipe(tmp_path / "run")
    args = training_arguments(recipe.sft, recipe.run_dir / "sft", recipe, validated=False)
    assert (args.report_to, args.project) == ([], "aftune")
    assert AlignmentConfig(output_dir=str(tmp_path), use_cpu=True).report_to == []


def environment(project: str | None) -> dict[str, str | None]:
    with grouped([], Path("runs/x/align/tensorboard"), "runs/x", project):
        return {name: os.environ.get(name) for name in VARIABLES}


def test_the_environment_names_project_and_group_while_a_stage_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables are those in the documentation of transformers and wandb. The recipe's project counts more than that of the
    environment, and a group that is there already more than ours."""
    expected = {
        "TENSORBOARD_LOGGING_DIR": "runs/x/align/tensorboard",
        "WANDB_PROJECT": "aftune",
        "WANDB_RUN_GROUP": "runs/x",
        "MLFLOW_EXPERIMENT_NAME": "aftune",
        "MLFLOW_TAGS": json.dumps({"group": "runs/x"}),
    }
    assert environment(None) == expected
    assert not any(name in os.environ for name in VARIABLES)
    assert environment("mine") == {**expected, "WANDB_PROJECT": "mine", "MLFLOW_EXPERIMENT_NAME": "mine"}
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    monkeypatch.setenv("WANDB_RUN_GROUP", "sweep")
    assert environment(None) == {**expected, "WANDB_PROJECT": "theirs", "WANDB_RUN_GROUP": "sweep"}
    assert environment("mine")["WANDB_PROJECT"] == "mine"
    assert os.environ["WANDB_PROJECT"] == "theirs"


@pytest.mark.parametrize("failed", [False, True])
def test_runs_of_wandb_and_mlflow_end_with_their_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failed: bool) -> None:
    """Also where training fails."""
    ended: list[tuple[str, Any]] = []
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(finish=lambda exit_code: ended.append(("wandb", exit_code))))
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(end_run=lambda status: ended.append(("mlflow", status))))

    def train() -> None:
        with grouped(ALL, tmp_path, "g", None):
            assert not ended
            if failed:
                raise OSError

    if failed:
        with pytest.raises(OSError):
            train()
    else:
        train()
    assert ended == [("wandb", int(failed)), ("mlflow", "FAILED" if failed else "FINISHED")]


def test_tensorboard_from_python(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    """The files are where transformers puts them, and have what was logged."""
    reading = "tensorboard.backend.event_processing.event_accumulator"
    module = pytest.importorskip(reading, reason="TensorBoard is not installed: pip install tensorboard")
    args = AlignmentConfig(
        output_dir=str(tmp_path),
        report_to="tensorboard",
        max_steps=3,
        per_device_train_batch_size=8,
        eval_strategy="steps",
        **SETTINGS,
    )
    trainer = AlignmentTrainer(make_llama(), args, GROUPS, tokenizer, validate=lambda model: {"accuracy": 0.25})
    trainer.train()
    (folder,) = (tmp_path / "runs").iterdir()
    read = module.EventAccumulator(str(folder)).Reload()
    for name, tag in (("score_better", "train/score_better"), ("grad_norm", "train/grad_norm"), ("eval_accuracy", "eval/accuracy")):
        logged = [(entry["step"], entry[name]) for entry in trainer.state.log_history if name in entry]
        assert len(logged) == 3
        assert [(event.step, event.value) for event in read.Scalars(tag)] == [
            (step, pytest.approx(value, rel=1e-6)) for step, value in logged
        ]
