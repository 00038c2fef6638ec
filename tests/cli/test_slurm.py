"""`srun aftune run` with several tasks: Slurm's variables, and two processes that find each other by them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import own_processes
import small_run
from aftune.cli.slurm import first_host, join_step, torch_variables
from aftune.common.errors import UsageError

# A step of seven tasks on four nodes, seen by its last task.
STEP = {
    "SLURM_JOB_ID": "1808417",
    "SLURM_STEP_ID": "3",
    "SLURM_STEP_NUM_TASKS": "7",
    "SLURM_STEP_NODELIST": "node[01-03,07]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x3),1",
    "SLURM_NODEID": "3",
    "SLURM_PROCID": "6",
    "SLURM_LOCALID": "0",
}
TORCH = {
    "RANK": "6",
    "WORLD_SIZE": "7",
    "LOCAL_RANK": "0",
    "LOCAL_WORLD_SIZE": "1",
    "MASTER_ADDR": "node01",
    "MASTER_PORT": "64173",
}
# What Slurm sets beside the job's own variables in a batch script, and in the shell that `salloc` opens on a node.
BATCH = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
SHELL = BATCH | {"SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_TASKS_PER_NODE": "1"}


def test_a_task_of_a_step_is_a_process() -> None:
    """Four nodes have 2, 2, 2 and 1 tasks. Port: 10 * 1808417 + 3 = 18084173, less 4018 * 4500 is 3173, and 61000 is the first."""
    assert torch_variables(STEP) == TORCH
    second = {"SLURM_NODEID": "0", "SLURM_PROCID": "1", "SLURM_LOCALID": "1"}
    assert torch_variables(STEP | second) == TORCH | {"RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("node07", "node07"),
        ("node07,node09", "node07"),
        ("node[01-03,07],other", "node01"),
        ("other,node[01-03]", "other"),
        ("gpu-[7,9-12].cluster.org", "gpu-7.cluster.org"),
        ("rack[0-1]n[02-10],other", "rack0n02"),
    ],
)
def test_the_first_of_the_hosts(hosts: str, expected: str) -> None:
    assert first_host(hosts) == expected


@pytest.mark.parametrize(
    ("before", "terminal", "added"),
    [
        (STEP, False, TORCH),
        (STEP, True, {}),  # srun --pty bash
        (STEP | {"SLURM_STEP_NUM_TASKS": "1"}, False, {}),
        (BATCH, False, {}),
        (SHELL, False, {}),
        ({}, False, {}),
        (STEP | {"MASTER_PORT": "29500"}, False, {name: value for name, value in TORCH.items() if name != "MASTER_PORT"}),
        (STEP | dict.fromkeys(TORCH, "0"), False, {}),  # torchrun in a step
    ],
)
def test_only_tasks_of_a_step_join_and_what_is_set_stays(
    monkeypatch: pytest.MonkeyPatch, before: dict[str, str], terminal: bool, added: dict[str, str]
) -> None:
    variables = dict(before)
    monkeypatch.setattr(os, "environ", variables)
    monkeypatch.setattr("aftune.cli.slurm._at_a_terminal", lambda: terminal)
    join_step()
    assert variables == before | added


def test_a_variable_that_is_missing_is_named() -> None:
    with pytest.raises(UsageError, match="SLURM_PROCID is not set, though this is one of 7 tasks of a Slurm step; let"):
        torch_variables({name: value for name, value in STEP.items() if name != "SLURM_PROCID"})


def test_a_terminal_is_seen() -> None:
    """By a process that has one, and not by its like that has none."""
    code = (
        "import os, pty; from aftune.cli.slurm import _at_a_terminal\n"
        "child, _ = pty.fork()\n"
        "if child == 0: os._exit(_at_a_terminal())\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), int(_at_a_terminal()))"
    )
    told = subprocess.run([sys.executable, "-c", code], start_new_session=True, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["1", "0"]


def test_two_tasks_run_a_stage_together(tmp_path: Path) -> None:
    """The first does the work and tells of it; the second, which alone would do the same, follows it."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(small_run.recipe(tmp_path / "run").to_yaml())
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    host = {"SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NODEID": "0"}
    variables = STEP | host | {"MASTER_PORT": str(port)}
    said = [tmp_path / "said-0.txt", tmp_path / "said-1.txt"]
    tasks = [
        own_processes.start(
            own_processes.command,
            path,
            ["prepare", str(recipe)],
            variables | {"SLURM_PROCID": str(place), "SLURM_LOCALID": str(place)},
            os.setsid,  # without a terminal, as Slurm starts it
        )
        for place, path in enumerate(said)
    ]
    for task in tasks:
        task.join(300)
    outputs = [path.read_text() for path in said]
    assert [task.exitcode for task in tasks] == [0, 0], outputs
    assert "prepare   done" in outputs[0]
    assert outputs[1] == ""
    assert (tmp_path / "run" / "prepare" / "train.jsonl").exists()
