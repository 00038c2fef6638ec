"""Trackers of experiments, through transformers' integrations.

TrainingArguments names them (`report_to`) and what is tracked (`run_name`, and for trackio `project`). What else keeps the stages
of a run together, the integrations and the trackers take from the environment.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from accelerate.utils import patch_environment
from transformers import integrations

from aftune.common.errors import MissingPackageError

PROJECT = "aftune"  # where none is given


def check_trackers(key: str, names: Sequence[str]) -> None:
    """Raises MissingPackageError, which starts with `key`, for a tracker that is not installed."""
    for name in names:
        if not getattr(integrations, f"is_{name}_available")():
            raise MissingPackageError(f"{key}: {name} is not installed; install it with pip install {name}, or leave it out")


@contextmanager
def grouped(names: Sequence[str], folder: Path, group: str, project: str | None) -> Iterator[None]:
    """While a stage trains: TensorBoard writes into its folder, wandb and MLflow into its group of the project. Without a project,
    the one that their variables name is used; a group that these name is kept. Runs of wandb and MLflow are ended, which
    transformers leaves to the end of the program, or of a training that succeeds: the next stage would continue them."""
    project_of_each = {name: project or os.environ.get(name, PROJECT) for name in ("WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME")}
    tags = json.dumps({"group": group})
    group_of_each = {name: os.environ.get(name, own) for name, own in (("WANDB_RUN_GROUP", group), ("MLFLOW_TAGS", tags))}
    failed = True
    try:
        with patch_environment(TENSORBOARD_LOGGING_DIR=folder, **project_of_each, **group_of_each):
            yield
        failed = False
    finally:
        _end_runs(names, failed=failed)


def _end_runs(names: Sequence[str], *, failed: bool) -> None:
    if "wandb" in names:
        import wandb

        wandb.finish(exit_code=int(failed))
    if "mlflow" in names:
        import mlflow

        mlflow.end_run("FAILED" if failed else "FINISHED")
