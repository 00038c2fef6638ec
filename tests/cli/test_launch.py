"""How many processes a command starts, and which of them ended a run."""

import signal

import pytest

from aftune.cli.launch import check_launcher, culprit, wanted_processes
from aftune.common.errors import UsageError
from aftune.pipeline.processes import SAID_NOTHING


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ({0: SAID_NOTHING, 1: -signal.SIGKILL}, (1, -signal.SIGKILL)),  # both had ended when the launcher looked
        ({0: -signal.SIGTERM, 1: -signal.SIGKILL}, (1, -signal.SIGKILL)),  # the launcher stopped the first
        ({0: SAID_NOTHING, 1: -signal.SIGTERM}, (1, -signal.SIGTERM)),  # somebody else stopped the second
        ({0: 1, 1: -signal.SIGKILL}, (0, 1)),  # the first told its error; the second did not end in time
        ({0: 1, 1: SAID_NOTHING}, (0, 1)),
        ({0: SAID_NOTHING, 1: 2}, (1, 2)),
    ],
)
def test_the_process_that_the_others_ended_for(statuses: dict[int, int], expected: tuple[int, int]) -> None:
    assert culprit(statuses) == expected


def test_a_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert wanted_processes("3") == wanted_processes(3) == 3
    for wrong in ("0", "two", "-1", "1.5"):
        with pytest.raises(UsageError, match="expected a number of processes, or auto for one per GPU"):
            wanted_processes(wrong)
    monkeypatch.setenv("WORLD_SIZE", "2")  # started by a launcher
    assert wanted_processes("3") == 1


def test_the_recipe_decides_what_accelerate_could_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, harmless, other, key in (
        ("ACCELERATE_MIXED_PRECISION", "no", "bf16", "model.precision"),
        ("ACCELERATE_USE_FSDP", "false", "true", "launch.sharding"),
        ("ACCELERATE_USE_DEEPSPEED", "False", "true", "launch.sharding"),
    ):
        monkeypatch.setenv(name, harmless)
        check_launcher()
        monkeypatch.setenv(name, other)
        with pytest.raises(UsageError, match=f"{name}={other}, which the recipe's {key} decides"):
            check_launcher()
        monkeypatch.delenv(name)


def test_auto_is_one_process_for_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    for gpus, expected in ((0, 1), (1, 1), (2, 2)):
        monkeypatch.setattr("torch.cuda.device_count", lambda gpus=gpus: gpus)
        assert wanted_processes("auto") == expected
