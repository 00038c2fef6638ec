"""Several processes in one run, started by torch's launcher (`aftune run --processes`, torchrun) or by accelerate.

The first process decides, writes, and runs the stages that one process runs; the others follow it into the stages that train.
"""

import os
from datetime import timedelta
from typing import Any

from aftune.common.errors import TrainingError

# What the launchers set; a process that starts workers of its own takes it from them.
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_LOST = ("Connection closed by peer", "Connection reset by peer", "remote process exited", "Broken pipe")
_PATIENCE = timedelta(days=14)  # the others wait while the first one samples


def number() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    return int(os.environ.get("RANK", "0")) == 0


def join(device: str) -> None:
    """Meets the other processes; each of them must call this first."""
    from accelerate import PartialState

    PartialState(cpu=device == "cpu", timeout=_PATIENCE)


def share(value: Any = None) -> Any:
    """The first process's value, in every process; each of them must call this."""
    if number() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    values = [value]
    broadcast_object_list(values)
    return values[0]


def says_nothing(error: Exception) -> bool:
    """Whether another process tells the user of this error: it ended, and this one lost it, or all end for the same reason."""
    lost = any(words in str(error) for words in _LOST)
    return number() > 1 and (lost or (isinstance(error, TrainingError) and not is_first()))


def leave() -> None:
    """Makes this process one of its own, for a worker of one of several processes."""
    for name in _VARIABLES:
        os.environ.pop(name, None)
