"""Tasks of a Slurm step (`srun aftune run RECIPE`) as the processes of one run: Slurm's variables in torch's words."""

import os
import re
from collections.abc import Mapping

from aftune.common.errors import UsageError

_NEEDED = (
    "SLURM_JOB_ID",
    "SLURM_STEP_ID",
    "SLURM_STEP_NODELIST",
    "SLURM_STEP_TASKS_PER_NODE",
    "SLURM_NODEID",
    "SLURM_PROCID",
    "SLURM_LOCALID",
)
_FIRST_PORT, _NUM_PORTS = 61000, 4500  # above those that Linux gives to outgoing connections


def join_step() -> None:
    """Sets those of torch's variables that are not set yet, where this process is one of several tasks of a step.

    Outside of a step (a batch script, the shell of an allocation) there is nothing to join, nor at a terminal, since
    `srun --pty bash` gives one to the first task alone. Raises UsageError where a variable of Slurm is missing.
    """
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1 and not _at_a_terminal():
        for name, value in torch_variables(os.environ).items():
            os.environ.setdefault(name, value)


def torch_variables(slurm: Mapping[str, str]) -> dict[str, str]:
    """What torch's launcher would set for this task of a step; the first task is on the first host of the step."""
    for name in _NEEDED:
        if name not in slurm:
            number = slurm["SLURM_STEP_NUM_TASKS"]
            raise UsageError(
                f"{name} is not set, though this is one of {number} tasks of a Slurm step; let Slurm's variables through, "
                "or start the processes with torchrun"
            )
    step = 10 * int(slurm["SLURM_JOB_ID"]) + int(slurm["SLURM_STEP_ID"])
    return {
        "RANK": slurm["SLURM_PROCID"],
        "WORLD_SIZE": slurm["SLURM_STEP_NUM_TASKS"],
        "LOCAL_RANK": slurm["SLURM_LOCALID"],
        "LOCAL_WORLD_SIZE": str(_tasks_per_node(slurm["SLURM_STEP_TASKS_PER_NODE"])[int(slurm["SLURM_NODEID"])]),
        "MASTER_ADDR": first_host(slurm["SLURM_STEP_NODELIST"]),
        "MASTER_PORT": str(_FIRST_PORT + step % _NUM_PORTS),
    }


def first_host(hosts: str) -> str:
    """The first of Slurm's list of hosts: `node[01-03,07],other` begins with `node01`."""
    first = re.split(r",(?![^\[]*\])", hosts)[0]  # at the commas outside of brackets
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", first)


def _tasks_per_node(counts: str) -> list[int]:
    """`2(x3),1`: two on each of three nodes, and one on the last."""
    return [int(tasks) for tasks, nodes in re.findall(r"(\d+)(?:\(x(\d+)\))?", counts) for _ in range(int(nodes or 1))]


def _at_a_terminal() -> bool:
    """Whether somebody's terminal controls this process."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
