"""The checkpoint that an interrupted stage continues from."""

import json
import shutil
import warnings
from pathlib import Path

from aftune.common import checksums
from aftune.common.errors import UsageError
from aftune.pipeline import processes
from aftune.recipe import LaunchSection


def last_checkpoint(folder: Path, launch: LaunchSection) -> str | None:
    """The newest complete checkpoint. One that a kill left half written has no readable trainer state and is removed, and so is one
    that was changed since, with a warning.

    Raises UsageError for one that these processes cannot read.
    """
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.partition("-")[2])):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(checkpoint, ignore_errors=True)
            continue
        if (checkpoint / checksums.LIST).exists():  # killed just before, or of an earlier aftune, it has none
            found = checksums.inspect(checkpoint, checksums.sha256(checkpoint / checksums.LIST)).differences
            if found:
                warnings.warn(
                    f"{found[0]}; this checkpoint was removed, and training goes on from the one before, if any", stacklevel=2
                )
                shutil.rmtree(checkpoint, ignore_errors=True)
                continue
        _check_readable(checkpoint, launch.sharding)
        return str(checkpoint)
    return None


def _check_readable(checkpoint: Path, sharding: str) -> None:
    """Weights are stored as they were shared; only DeepSpeed's optimizer state is tied to the number of processes as well."""
    remedy = f"or remove {checkpoint.parent} to begin the stage anew"
    made_with = (
        "fsdp" if any(checkpoint.glob("pytorch_model_fsdp*")) else "zero2" if any(checkpoint.glob("global_step*")) else "none"
    )
    if made_with != sharding:
        raise UsageError(
            f"{checkpoint}: was made with launch.sharding={made_with} and cannot be read with {sharding}; set it back, {remedy}"
        )
    made_by = len(list(checkpoint.glob("rng_state*")))
    if made_with == "zero2" and made_by != processes.number():
        raise UsageError(
            f"{checkpoint}: was made by {made_by} processes with launch.sharding=zero2 and cannot be read by {processes.number()}; "
            f"start {made_by}, {remedy}"
        )
