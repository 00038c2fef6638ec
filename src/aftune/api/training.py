"""What the functions that train share: the folder that they leave, and what they give."""

import shutil
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftune.api.call import Call, CallContext
from aftune.common.errors import TrainingError, UsageError
from aftune.common.json_text import read_json
from aftune.pipeline.directory.run_directory import missing_folders, remove_made
from aftune.recipe import Section

_LEFT = ("model", "adapter", "checkpoints", "tensorboard")  # the folders of a stage that trains


@dataclass(frozen=True)
class Trained:
    """What training has left. path: the model, a plain folder of transformers. summary: of the stage, such as the optimizer steps.
    log: the trainer's, an entry each time."""

    path: Path
    summary: dict[str, Any]
    log: list[dict[str, float]]


def train(
    call: Call,
    stage: Callable[[CallContext], dict[str, Any]],
    output_dir: str | Path,
    *,
    overwrite: bool,
    **sections: Section | None,
) -> Trained:
    """Runs a stage that trains, into a folder that is new, empty or to be overwritten; it is laid out as the stage's in a run.

    What is refused leaves no folder; after a TrainingError the groups of the bad step stay, which its message names.
    """
    output = Path(output_dir).expanduser()
    if output.exists() and (not output.is_dir() or any(output.iterdir())) and not overwrite:
        raise UsageError(f"{call.name}: output_dir: {output} is not empty; choose a new folder, or set overwrite=True")
    with ExitStack() as stack:
        context = stack.enter_context(call.context(output, **sections))
        made = missing_folders(output)
        output.mkdir(parents=True, exist_ok=True)
        for name in _LEFT:
            shutil.rmtree(output / name, ignore_errors=True)
        (output / "log.json").unlink(missing_ok=True)
        try:
            summary = stage(context)
        except TrainingError:
            raise
        except BaseException:
            shutil.rmtree(output / "checkpoints", ignore_errors=True)
            remove_made(made)
            raise
    for text in summary.pop("warnings"):
        warnings.warn(text, stacklevel=3)
    return Trained(output / "model", summary, read_json(output / "log.json"))
