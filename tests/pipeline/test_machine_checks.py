"""What processes need is told before anything is computed."""

from pathlib import Path
from typing import Any

import pytest
import torch

import small_run
from aftune.common.errors import UsageError
from aftune.pipeline.machine_checks import check_launch, idle_gpus
from aftune.pipeline.processes import check_gpus

CASES: list[tuple[int, str, dict[str, Any], str]] = [
    (2, "cpu", {"align": {"batch_size": 7}}, "align.batch_size: 7 problems cannot be shared by 2 processes; take a multiple"),
    (2, "cpu", {"launch": {"sharding": "fsdp"}}, "launch.sharding: fsdp needs GPUs, and the run computes on cpu; set none"),
    (1, "cpu", {"launch": {"sharding": "fsdp"}}, "launch.sharding: fsdp needs GPUs, and the run computes on cpu; set none"),
    (
        1,
        "cuda",
        {"launch": {"sharding": "fsdp"}},
        "launch.sharding: fsdp spreads the model over processes, and there is one; set launch.processes",
    ),
    (
        2,
        "cpu",
        {"evaluate": {"engine": "ray"}},
        "evaluate.engine: ray spreads its work itself, and 2 processes would each start one; take one process, or the engine "
        "transformers",
    ),
    (
        2,
        "cuda",
        {"launch": {"offload": True}},
        "launch.offload: only what is sharded can wait in the CPU's memory; set launch.sharding: fsdp as well",
    ),
]


@pytest.mark.parametrize(("number", "device", "sections", "message"), CASES)
def test_what_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, device: str, sections: dict[str, Any], message: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(number))
    with pytest.raises(UsageError) as caught:
        check_launch(small_run.recipe(tmp_path, **sections), device)
    assert str(caught.value) == message


def test_a_process_for_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes: none too many for three GPUs, or where they are on two machines; one alone leaves a GPU idle."""
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    check_gpus("cuda")
    assert idle_gpus("cuda") == ""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_gpus("cpu")
    with pytest.raises(UsageError, match="processes: 3 on a machine with 2 GPUs; start one for each"):
        check_gpus("cuda")
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "3")  # srun --gpus-per-task
    check_gpus("cuda")
    monkeypatch.delenv("SLURM_GPUS_ON_NODE")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    check_gpus("cuda")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert idle_gpus("cuda") == "one of 2 GPUs is used; `--processes auto` uses all of them"
